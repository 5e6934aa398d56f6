//! What Engage shows and cannot be read fails closed, and costs the smallest thing: the item is left out, its part is named
//! in `degraded`, and everything else is answered as ever.

mod bodies;
mod dates;
mod flags;

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    people::{ALVA, BO, EVERYONE},
};
use serde_json::{Value, json};

use crate::{
    forms::{GUID, answer_with, fresh, overview},
    harness::{API, Answer, SHOP, TILL, TestApp, logs},
};
use engage_bff::config::ApiVersion;

const OTHER: &str = "8d31c000-2009-4c22-b002-b2d200c0000a";

/// A campaign with an offer of money whose currency is not said.
fn odd_campaign() -> Value {
    json!({"id": OTHER, "name": "Odd", "redemptionChannels": [
        {"type": "ECOM", "valueType": "MONEY", "value": {"amount": 50}, "instruction": null},
    ]})
}

/// The ids of a list, and what is degraded.
#[track_caller]
fn shown(answer: &Answer, list: &str) -> (Vec<String>, Value) {
    let items = answer.assert_ok().at(list);
    let items = items
        .as_array()
        .unwrap_or_else(|| panic!("no {list} in {}", answer.text()));
    let id = |item: &Value| {
        let id = item.get("id").or_else(|| item.get("definitionId"));
        id.and_then(Value::as_str).expect("an id").to_owned()
    };
    (items.iter().map(id).collect(), answer.at("/degraded"))
}

#[tokio::test]
async fn an_unreadable_item_is_left_out_and_its_part_is_degraded() {
    let app = TestApp::spawn().await;
    let offer = |offer: Value| json!({"id": OTHER, "redemptionChannels": [offer]});
    let odd_promotions = [
        json!("text"),
        json!(null),
        json!({"name": "without an id"}),
        json!({"id": true}),
        json!({"id": OTHER, "redemptionChannels": "many"}),
        json!({"id": OTHER, "redemptionChannels": [7]}),
        offer(json!({"valueType": "MONEY", "value": {"amount": 5}})),
        offer(json!({"valueType": "MONEY", "value": 5})),
        offer(json!({"valueType": "PERCENT", "value": "half"})),
        offer(json!({"valueType": "MANUAL", "localValues": [{"currency": "NOK"}]})),
        json!({"id": OTHER, "expiresOn": "31/12/2026"}),
    ];
    for odd in odd_promotions {
        let list = json!([odd, {"id": GUID}, odd]);
        answer_with(&app, Endpoint::Promotions, list.to_string());
        let answer = app.get(&fresh("promotions")).await;
        let expected = (vec![GUID.to_owned()], json!(["promotions"]));
        assert_eq!(shown(&answer, "/promotions"), expected, "{odd}");
    }
    let odd_vouchers = [
        json!(7),
        json!({"voucherNumber": "1"}),
        json!({"id": OTHER, "value": {"amount": "much", "currency": "SEK"}}),
        json!({"id": OTHER, "localValues": {}}),
        json!({"id": OTHER, "expiresOn": 1_767_225_600}),
    ];
    for odd in odd_vouchers {
        let page = json!({"items": [{"id": GUID}, odd], "totalCount": 2});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        let answer = app.get(&fresh("vouchers")).await;
        let expected = (vec![GUID.to_owned()], json!(["vouchers"]));
        assert_eq!(shown(&answer, "/vouchers"), expected, "{odd}");
    }
    let odd_accounts = [
        json!([]),
        json!({"definitionId": 2}),
        json!({"definitionId": 2, "balance": "many"}),
        json!({"definitionId": {"id": 2}, "balance": 5}),
        json!({"definitionId": 2, "balance": 5, "balanceExpires": false}),
    ];
    for odd in odd_accounts {
        let list = json!([odd, {"definitionId": 1, "balance": 3}]);
        answer_with(&app, Endpoint::PointAccounts, list.to_string());
        let answer = app.get(&fresh("points")).await;
        let expected = (vec!["1".to_owned()], json!(["points"]));
        assert_eq!(shown(&answer, "/points/accounts"), expected, "{odd}");
    }
}

#[tokio::test]
async fn unreadable_audiences_warnings_and_consents_degrade_their_part_alone() {
    for (more, list, ids, degraded) in [
        (
            json!({"audiences": [{"name": "Gold"}, {"id": GUID}, "Gold"]}),
            "/audiences",
            vec![GUID],
            json!(["audiences"]),
        ),
        (
            json!({"audiences": [{"id": GUID}], "warnings": [[]]}),
            "/audiences",
            vec![GUID],
            json!(["audiences"]),
        ),
        (
            json!({"consents": [{"id": "terms", "value": true}, {"value": true}]}),
            "/consents",
            vec!["terms"],
            json!(["profile"]),
        ),
        (
            json!({"consents": [7, {"id": "terms"}, "x"]}),
            "/consents",
            vec!["terms"],
            json!(["profile"]),
        ),
        (
            json!({"consents": [{"id": "terms", "date": "31/12/2026"}]}),
            "/consents",
            vec!["terms"],
            json!([]),
        ),
    ] {
        let app = TestApp::spawn().await;
        answer_with(&app, Endpoint::Overview, overview(&more));
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        assert_eq!(shown(&answer, list), (ids, degraded), "{more}");
        assert_eq!(answer.at("/profile/email"), BO.email);
    }
}

#[tokio::test]
async fn consents_that_are_no_list_are_null_and_the_profile_is_degraded() {
    for consents in [json!({"terms": true}), json!("none"), json!(7)] {
        let app = TestApp::spawn().await;
        let body = overview(&json!({"consents": consents}));
        answer_with(&app, Endpoint::Overview, body);
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        assert_eq!(answer.assert_ok().at("/consents"), Value::Null);
        assert_eq!(answer.at("/degraded"), json!(["profile"]));
    }
}

#[tokio::test]
async fn with_an_account_left_out_only_the_default_definition_gives_the_balance() {
    let app = TestApp::spawn().await;
    for (accounts, balance) in [
        (json!([{"definitionId": 7, "balance": 70}]), json!(70)),
        (
            json!([{"definitionId": 7, "balance": 70}, {"definitionId": 8}]),
            Value::Null,
        ),
        (json!([{"definitionId": 7, "balance": 70}, 8]), Value::Null),
        (
            json!([{"definitionId": 1, "balance": 10}, {"definitionId": 8}]),
            json!(10),
        ),
        (
            json!([{"definitionId": 7, "balance": 70}, {"definitionId": 1, "balance": "x"}]),
            Value::Null,
        ),
    ] {
        answer_with(&app, Endpoint::PointAccounts, accounts.to_string());
        let answer = app.get(&fresh("points")).await;
        assert_eq!(
            answer.assert_ok().at("/points/balance"),
            balance,
            "{accounts}"
        );
    }
}

#[tokio::test]
async fn an_account_of_another_contact_still_fails_the_part() {
    let app = TestApp::spawn().await;
    let good = json!({"contactId": BO.id, "definitionId": 1, "balance": 5});
    for owner in [json!({"contactId": ALVA.id}), json!({"ContactId": ALVA.id})] {
        for list in [json!([good, owner]), json!([owner, good, 7])] {
            answer_with(&app, Endpoint::PointAccounts, list.to_string());
            let answer = app.get(&fresh("points")).await;
            assert_eq!(answer.assert_ok().at("/points"), Value::Null, "{list}");
            assert_eq!(answer.at("/degraded"), json!(["points"]));
        }
    }
}

#[tokio::test]
async fn what_is_left_out_is_counted_and_logged_by_its_place_without_its_value() {
    let app = TestApp::spawn().await;
    let odd = json!({"id": OTHER, "expiresOn": "quistelina"});
    let page = json!({"items": [odd, odd, {"id": GUID}], "totalCount": 3});
    answer_with(&app, Endpoint::Vouchers, page.to_string());
    for _ in 0..3 {
        app.get(&fresh("vouchers")).await.assert_ok();
    }
    let metrics = app.operations("/metrics").await;
    let line = r#"engage_bff_engage_items_unreadable_total{part="vouchers"} 6"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    let logs = logs();
    assert!(logs.contains("vouchers[].expiresOn"));
    assert!(!logs.contains("quistelina"));
}

/// The upstream calls for a thousand page views, one contact after the other.
async fn calls_for_page_views(is_odd: bool) -> usize {
    let app = TestApp::spawn().await;
    let contacts = app.engage.contact_ids();
    if is_odd {
        for contact in &contacts {
            app.engage.contact(contact).add_promotion(odd_campaign());
        }
    }
    for number in 0..1000 {
        let contact = &contacts[number % contacts.len()];
        let answer = app.get_as(SHOP, &format!("contactId={contact}")).await;
        let degraded = if is_odd {
            json!(["promotions"])
        } else {
            json!([])
        };
        assert_eq!(answer.assert_ok().at("/degraded"), degraded);
        assert!(answer.at("/promotions").is_array());
        if number >= contacts.len() {
            answer.assert_hit();
        }
    }
    app.engage.total_calls()
}

#[tokio::test]
async fn an_odd_campaign_of_every_customer_costs_no_upstream_call() {
    let without = calls_for_page_views(false).await;
    assert_eq!(calls_for_page_views(true).await, without);
}

#[tokio::test]
async fn an_incomplete_answer_is_kept_packed_and_repeated_word_for_word() {
    let app = TestApp::spawn().await;
    app.engage.contact(ALVA.id).add_promotion(odd_campaign());
    let queries = [
        (TILL, format!("contactId={}", ALVA.id)),
        (SHOP, format!("contactId={}", ALVA.id)),
        (SHOP, format!("contactId={}&parts=promotions", ALVA.id)),
    ];
    for (key, query) in &queries {
        let first = app.get_as(key, query).await;
        assert_eq!(first.assert_ok().at("/degraded"), json!(["promotions"]));
        app.customers.maintain();
        app.customers.maintain();
        for _ in 0..3 {
            let again = app.get_as(key, query).await;
            again.assert_hit();
            assert_eq!(again.body, first.body);
        }
    }
    // Where the part is not asked for, nothing of the answer is incomplete.
    let other = format!("contactId={}&parts=points", ALVA.id);
    assert_eq!(app.get(&other).await.at("/degraded"), json!([]));
}

#[tokio::test]
async fn a_part_that_can_be_read_again_is_complete_again() {
    let app = TestApp::spawn().await;
    app.engage.contact(ALVA.id).add_promotion(odd_campaign());
    let query = format!("contactId={}", ALVA.id);
    assert_eq!(app.get(&query).await.at("/degraded"), json!(["promotions"]));
    app.engage.contact(ALVA.id).remove_promotion(OTHER);
    app.advance(Duration::from_secs(3 * 3600));
    let answer = app
        .get_until(&query, |answer| answer.at("/degraded") == json!([]))
        .await;
    assert!(answer.at("/promotions").is_array());
}

/// That the other parts of everybody's answers are as they were.
#[tokio::test]
async fn an_odd_item_changes_nothing_else_of_an_answer() {
    for person in EVERYONE {
        let app = TestApp::spawn().await;
        let query = format!("contactId={}", person.id);
        let mut before = app.get(&query).await.json();
        app.engage.contact(person.id).add_promotion(odd_campaign());
        app.customers.purge_everything().await;
        let mut after = app.get(&query).await.json();
        for answer in [&mut before, &mut after] {
            answer["degraded"] = Value::Null;
        }
        assert_eq!(before, after);
    }
}

/// In API v2 the points are the profile's, and only a balance of their own.
#[tokio::test]
async fn a_balance_of_the_overview_that_cannot_be_read_is_asked_for_elsewhere() {
    if API == ApiVersion::V3 {
        return;
    }
    let app = TestApp::spawn().await;
    app.engage
        .contact(ALVA.id)
        .attribute("bonusPoints", json!("many"));
    let answer = app.get(&format!("contactId={}", ALVA.id)).await;
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
    assert_eq!(answer.at("/points/balance"), json!(317.5));
}
