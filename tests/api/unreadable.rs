//! Unreadable data from Engage fails closed and costs as little as possible: the item is left out, its part is listed
//! in `degraded`, and everything else is served as usual.

mod bodies;
mod dates;
mod flags;

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALL_CONTACTS, ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    forms::{GUID, answer_with, fresh, overview},
    harness::{API, Answer, SHOP, TILL, TestApp, logs},
};
use engage_bff::config::ApiVersion;

const OTHER: &str = "8d31c000-2009-4c22-b002-b2d200c0000a";

/// A promotion with a money offer without a currency.
fn unreadable_promotion() -> Value {
    json!({"id": OTHER, "name": "Unreadable", "redemptionChannels": [
        {"type": "ECOM", "valueType": "MONEY", "value": {"amount": 50}, "instruction": null},
    ]})
}

/// The ids of a list, and the degraded parts.
#[track_caller]
fn ids_and_degraded(answer: &Answer, list: &str) -> (Vec<String>, Value) {
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
async fn unreadable_item_is_left_out_and_its_part_degraded() {
    let app = TestApp::spawn().await;
    let offer = |offer: Value| json!({"id": OTHER, "redemptionChannels": [offer]});
    let unreadable_promotions = [
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
    for item in unreadable_promotions {
        let list = json!([item, {"id": GUID}, item]);
        answer_with(&app, Endpoint::Promotions, list.to_string());
        let answer = app.get(&fresh("promotions")).await;
        let expected = (vec![GUID.to_owned()], json!(["promotions"]));
        assert_eq!(ids_and_degraded(&answer, "/promotions"), expected, "{item}");
    }
    let unreadable_vouchers = [
        json!(7),
        json!({"voucherNumber": "1"}),
        json!({"id": OTHER, "value": {"amount": "much", "currency": "SEK"}}),
        json!({"id": OTHER, "localValues": {}}),
        json!({"id": OTHER, "expiresOn": 1_767_225_600}),
    ];
    for item in unreadable_vouchers {
        let page = json!({"items": [{"id": GUID}, item], "totalCount": 2});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        let answer = app.get(&fresh("vouchers")).await;
        let expected = (vec![GUID.to_owned()], json!(["vouchers"]));
        assert_eq!(ids_and_degraded(&answer, "/vouchers"), expected, "{item}");
    }
    let unreadable_accounts = [
        json!([]),
        json!({"definitionId": 2}),
        json!({"definitionId": 2, "balance": "many"}),
        json!({"definitionId": {"id": 2}, "balance": 5}),
        json!({"definitionId": 2, "balance": 5, "balanceExpires": false}),
    ];
    for item in unreadable_accounts {
        let list = json!([item, {"definitionId": 1, "balance": 3}]);
        answer_with(&app, Endpoint::PointAccounts, list.to_string());
        let answer = app.get(&fresh("points")).await;
        let expected = (vec!["1".to_owned()], json!(["points"]));
        assert_eq!(
            ids_and_degraded(&answer, "/points/accounts"),
            expected,
            "{item}"
        );
    }
}

#[tokio::test]
async fn unreadable_audiences_warnings_and_consents_degrade_only_their_part() {
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
        assert_eq!(ids_and_degraded(&answer, list), (ids, degraded), "{more}");
        assert_eq!(answer.at("/profile/email"), BO.email);
    }
}

#[tokio::test]
async fn consents_that_are_no_list_are_null_and_degrade_the_profile() {
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
async fn unreadable_account_leaves_only_the_default_definitions_balance() {
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
async fn account_of_another_contact_fails_the_part() {
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
async fn unreadable_items_are_counted_and_logged_by_path_without_values() {
    let app = TestApp::spawn().await;
    let item = json!({"id": OTHER, "expiresOn": "quistelina"});
    let page = json!({"items": [item, item, {"id": GUID}], "totalCount": 3});
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

/// The number of upstream calls for a thousand page views, round robin over the contacts.
async fn calls_for_page_views(has_unreadable: bool) -> usize {
    let app = TestApp::spawn().await;
    let contacts = app.engage.contact_ids();
    if has_unreadable {
        for contact in &contacts {
            app.engage
                .contact(contact)
                .add_promotion(unreadable_promotion());
        }
    }
    for number in 0..1000 {
        let contact = &contacts[number % contacts.len()];
        let answer = app.get_as(SHOP, &format!("contactId={contact}")).await;
        let degraded = if has_unreadable {
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
async fn unreadable_promotion_of_every_contact_costs_no_upstream_call() {
    let without = calls_for_page_views(false).await;
    assert_eq!(calls_for_page_views(true).await, without);
}

#[tokio::test]
async fn incomplete_answer_is_served_identically_before_and_after_sweeps() {
    let app = TestApp::spawn().await;
    app.engage
        .contact(ALVA.id)
        .add_promotion(unreadable_promotion());
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
    // An answer without that part is complete.
    let other = format!("contactId={}&parts=points", ALVA.id);
    assert_eq!(app.get(&other).await.at("/degraded"), json!([]));
}

#[tokio::test]
async fn readable_part_is_no_longer_degraded() {
    let app = TestApp::spawn().await;
    app.engage
        .contact(ALVA.id)
        .add_promotion(unreadable_promotion());
    let query = format!("contactId={}", ALVA.id);
    assert_eq!(app.get(&query).await.at("/degraded"), json!(["promotions"]));
    app.engage.contact(ALVA.id).remove_promotion(OTHER);
    app.advance(Duration::from_secs(3 * 3600));
    let answer = app
        .get_until(&query, |answer| answer.at("/degraded") == json!([]))
        .await;
    assert!(answer.at("/promotions").is_array());
}

#[tokio::test]
async fn unreadable_item_leaves_the_rest_of_the_answer_unchanged() {
    for person in ALL_CONTACTS {
        let app = TestApp::spawn().await;
        let query = format!("contactId={}", person.id);
        let mut before = app.get(&query).await.json();
        app.engage
            .contact(person.id)
            .add_promotion(unreadable_promotion());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let mut after = app.get(&query).await.json();
        for answer in [&mut before, &mut after] {
            answer["degraded"] = Value::Null;
        }
        assert_eq!(before, after);
    }
}

/// API v2 only: the points are among the profile's attributes, as one balance.
#[tokio::test]
async fn unreadable_overview_balance_is_fetched_from_the_accounts() {
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
