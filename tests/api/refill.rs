//! Where what is missing comes from: what expired from the overview, what was invalidated or asked
//! fresh from its entity endpoint, so that Engage's lagging overview never takes a change back.

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{Endpoint, VoucherSeed, people::ALVA};
use serde_json::{Value, json};

use crate::harness::{Answer, COLD_CALLS, POINTS_CALLS, TestApp, id};

const LAG: Duration = Duration::from_secs(600);
/// Beyond every lifetime and its stale-while-revalidate window.
const EXPIRED: Duration = Duration::from_secs(90);
const NEW_VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";
const NEW_PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// A part that can change: how, what shows it, and who is asked for it.
struct Case {
    part: Part,
    parts: &'static str,
    endpoint: Endpoint,
    change: fn(&TestApp),
    is_new: fn(&Answer) -> bool,
}

fn cases() -> [Case; 4] {
    [
        Case {
            part: Part::Points,
            parts: "points",
            endpoint: Endpoint::PointAccounts,
            change: |app| drop(app.engage.contact(ALVA.id).points("742.25")),
            is_new: |answer| answer.at("/points/balance") == json!(742.25),
        },
        Case {
            part: Part::Vouchers,
            parts: "vouchers",
            endpoint: Endpoint::Vouchers,
            change: |app| {
                let voucher = VoucherSeed::worth("75", "SEK").id(NEW_VOUCHER);
                app.engage.contact(ALVA.id).add_voucher(voucher);
            },
            is_new: |answer| lists(&answer.at("/vouchers"), NEW_VOUCHER),
        },
        Case {
            part: Part::Promotions,
            parts: "promotions",
            endpoint: Endpoint::Promotions,
            change: |app| {
                let promotion = json!({"id": NEW_PROMOTION});
                app.engage.contact(ALVA.id).add_promotion(promotion);
            },
            is_new: |answer| lists(&answer.at("/promotions"), NEW_PROMOTION),
        },
        Case {
            part: Part::Profile,
            parts: "none",
            endpoint: Endpoint::Contact,
            change: |app| {
                let alva = app.engage.contact(ALVA.id);
                alva.attribute("firstName", json!("Alvina"));
            },
            is_new: |answer| answer.at("/profile/firstName") == "Alvina",
        },
    ]
}

fn lists(list: &Value, id: &str) -> bool {
    let list = list.as_array().expect("a list");
    list.iter().any(|item| item["id"] == id)
}

/// Lifetimes pass again and again while the overview lags behind the change.
async fn stays_new(app: &TestApp, query: &str, case: &Case) {
    for round in 0..6 {
        app.advance(EXPIRED);
        let calls = app.engage.calls(case.endpoint);
        let answer = app.get(query).await;
        answer.assert_ok();
        assert!((case.is_new)(&answer), "{:?} in round {round}", case.part);
        assert_eq!(answer.at("/degraded"), json!([]));
        assert_eq!(
            app.engage.calls(case.endpoint),
            calls + 1,
            "{:?} in round {round}",
            case.part
        );
    }
}

/// Nobody asks for as long as the overview lags: then the overview fills it again.
async fn overview_comes_back(app: &TestApp, query: &str, case: &Case) {
    app.advance(LAG);
    app.engage.reset_log();
    let answer = app.get(query).await;
    assert!((case.is_new)(answer.assert_ok()));
    assert_eq!(app.overviews(), 1, "{:?}", case.part);
    let points_alone = if case.part == Part::Points {
        POINTS_CALLS
    } else {
        0
    };
    assert_eq!(
        app.engage.total_calls(),
        1 + points_alone,
        "{:?}",
        case.part
    );
}

#[tokio::test]
async fn what_was_asked_fresh_is_never_taken_back_by_a_lagging_overview() {
    for case in cases() {
        for name in [
            format!("contactId={}", ALVA.id),
            format!("email={}", ALVA.email),
        ] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            let query = format!("{name}&parts={}", case.parts);
            app.get(&query).await.assert_ok();
            (case.change)(&app);
            let part = case.part.as_str();
            let fresh = app.get(&format!("{query}&fresh={part}")).await;
            assert!((case.is_new)(fresh.assert_ok()), "{part}");
            stays_new(&app, &query, &case).await;
            overview_comes_back(&app, &query, &case).await;
        }
    }
}

#[tokio::test]
async fn what_was_invalidated_is_never_taken_back_by_a_lagging_overview() {
    for case in cases() {
        for name in [
            format!("contactId={}", ALVA.id),
            format!("email={}", ALVA.email),
        ] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            let query = format!("{name}&parts={}", case.parts);
            app.get(&query).await.assert_ok();
            (case.change)(&app);
            app.customers
                .invalidate(id(ALVA.id), case.part.into())
                .await;
            let calls = app.engage.total_calls();
            let answer = app.get(&query).await;
            answer
                .assert_ok()
                .assert_cache_status("engage-bff; fwd=miss; stored");
            assert!((case.is_new)(&answer), "{:?}", case.part);
            assert_eq!(app.engage.total_calls(), calls + 1, "{:?}", case.part);
            assert_eq!(app.overviews(), 1);
            app.get(&query).await.assert_hit();
            stays_new(&app, &query, &case).await;
            overview_comes_back(&app, &query, &case).await;
        }
    }
}

#[tokio::test]
async fn an_invalidation_of_a_contact_that_is_not_held_is_heeded_by_its_first_answer() {
    for case in cases() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        (case.change)(&app);
        app.customers
            .invalidate(id(ALVA.id), case.part.into())
            .await;
        let query = format!("email={}&parts={}", ALVA.email, case.parts);
        let answer = app.get(&query).await;
        assert!((case.is_new)(answer.assert_ok()), "{:?}", case.part);
    }
}

#[tokio::test]
async fn an_invalidation_leaves_the_other_parts_and_the_audiences_alone() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.advance(Duration::from_secs(10));
    app.engage.reset_log();
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await;
    let answer = app.get(&query).await;
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 1);
    assert_eq!(app.engage.total_calls(), 1);
    for (part, second) in [
        ("vouchers", 10),
        ("profile", 0),
        ("audiences", 0),
        ("promotions", 0),
        ("points", 0),
    ] {
        let expected = format!("2026-11-23T12:00:{second:02}.000Z");
        let as_of = answer.at(&format!("/freshness/{part}/asOf"));
        assert_eq!(as_of, expected.as_str(), "{part}");
    }
    app.customers.invalidate(id(ALVA.id), PartSet::ALL).await;
    app.engage.reset_log();
    let answer = app.get(&query).await;
    assert_eq!(app.engage.total_calls(), 4);
    assert_eq!(app.overviews(), 0);
    let audiences = answer.at("/freshness/audiences/asOf");
    assert_eq!(audiences, "2026-11-23T12:00:00.000Z");
}

#[tokio::test]
async fn an_overview_asked_for_the_audiences_does_not_bring_the_old_parts_along() {
    let app = TestApp::with(|config| {
        config.cache.audiences_lifetime = Duration::from_secs(60);
    })
    .await;
    app.engage.set_overview_lag(LAG);
    let query = format!("email={}", ALVA.email);
    app.get(&query).await.assert_ok();
    for case in cases() {
        (case.change)(&app);
    }
    app.customers.invalidate(id(ALVA.id), PartSet::ALL).await;
    for _ in 0..3 {
        let calls = app.overviews();
        app.advance(EXPIRED);
        let answer = app.get(&query).await;
        assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
        for case in cases() {
            assert!((case.is_new)(&answer), "{:?}", case.part);
        }
        assert!(app.overviews() > calls, "the audiences come from there");
    }
}

#[tokio::test]
async fn a_stale_part_is_refreshed_from_its_entity_endpoint_while_the_overview_lags() {
    for case in cases() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        let query = format!("contactId={}&parts={}", ALVA.id, case.parts);
        app.get(&query).await.assert_ok();
        app.customers
            .invalidate(id(ALVA.id), case.part.into())
            .await;
        app.get(&query).await.assert_ok();
        (case.change)(&app);
        app.engage.reset_log();
        let lifetime = if case.part == Part::Points { 30 } else { 60 };
        app.advance(Duration::from_secs(lifetime));
        app.get(&query).await.assert_ok().assert_hit();
        app.get_until(&query, case.is_new).await;
        assert_eq!(app.engage.calls(case.endpoint), 1, "{:?}", case.part);
    }
}

#[tokio::test]
async fn parts_none_costs_one_call_and_leaves_the_rest_null_and_not_degraded() {
    let app = TestApp::spawn().await;
    let answer = app.get(&format!("email={}&parts=none", ALVA.email)).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.engage.total_calls(), 1);
    for part in ["points", "vouchers", "promotions"] {
        assert_eq!(answer.at(&format!("/{part}")), Value::Null, "{part}");
        assert_eq!(answer.at(&format!("/freshness/{part}")), Value::Null);
    }
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(answer.at("/expiringSoon"), json!([]));
    assert_eq!(answer.at("/profile/firstName"), "Alva");
    assert_eq!(answer.at("/audiences/0/name"), "Svenska medlemmar");
    // The overview brought vouchers and promotions along.
    let vouchers = format!("email={}&parts=vouchers,promotions", ALVA.email);
    app.get(&vouchers).await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
    let answer = app.get(&format!("email={}&parts=points", ALVA.email)).await;
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    assert_eq!(answer.at("/vouchers"), Value::Null);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn a_part_that_the_overview_tells_unreadably_comes_from_its_entity_endpoint() {
    let app = TestApp::spawn().await;
    for (overview, parts, endpoint) in [
        (
            json!({"rewardVouchers": "many"}),
            "vouchers",
            Endpoint::Vouchers,
        ),
        (json!({}), "vouchers", Endpoint::Vouchers),
        (
            json!({"promotions": {"name": "no list"}}),
            "promotions",
            Endpoint::Promotions,
        ),
        (json!({}), "promotions", Endpoint::Promotions),
    ] {
        app.customers.purge_everything().await;
        app.engage.reset_log();
        let mut body = json!({"id": ALVA.id, "attributes": {"email": ALVA.email}});
        let fields = overview.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(fields);
        let body = engage_simulator::Fault::Body(body.to_string());
        app.engage.fault_times(Endpoint::Overview, body, 1);
        let answer = app
            .get(&format!("email={}&parts={parts}", ALVA.email))
            .await;
        assert_eq!(answer.assert_ok().at("/degraded"), json!([]), "{parts}");
        assert!(
            !answer
                .at(&format!("/{parts}"))
                .as_array()
                .expect("a list")
                .is_empty()
        );
        assert_eq!(app.overviews(), 1);
        assert_eq!(app.engage.calls(endpoint), 1, "{parts}");
    }
}

/// The calls that a contact in demand costs in ten minutes. What is refreshed in the background is waited for.
async fn calls_in_demand(app: &TestApp, query: &str) -> usize {
    app.engage.reset_log();
    for _ in 0..75 {
        app.advance(Duration::from_secs(8));
        app.get(query).await.assert_ok();
        app.get_until(query, |_| {
            app.customers.stats().parts + app.customers.stats().overviews == 0
        })
        .await;
    }
    app.engage.total_calls()
}

#[tokio::test]
async fn a_contact_in_demand_costs_as_before_once_the_lag_has_passed() {
    let query = format!("email={}", ALVA.email);
    for event in [
        "fresh=vouchers",
        "fresh=profile",
        "fresh=promotions",
        "fresh=all",
        "a webhook",
        "a webhook with a change",
    ] {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        app.get(&query).await.assert_ok();
        let before = calls_in_demand(&app, &query).await;
        if event.starts_with("a webhook") {
            if event.ends_with("change") {
                for case in cases() {
                    (case.change)(&app);
                }
            }
            app.customers.invalidate(id(ALVA.id), PartSet::ALL).await;
        } else {
            app.get(&format!("{query}&{event}")).await.assert_ok();
        }
        let within = calls_in_demand(&app, &query).await;
        let after = calls_in_demand(&app, &query).await;
        assert!(
            after <= before + before / 10,
            "{event}: {before} calls before, {within} within the lag, {after} after it"
        );
    }
}

#[tokio::test]
async fn an_entity_read_that_tells_something_new_keeps_the_overview_out_for_its_lag() {
    let query = format!("contactId={}&parts=vouchers", ALVA.id);
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    app.get(&query).await.assert_ok();
    app.customers.invalidate(id(ALVA.id), PartSet::ALL).await;
    let vouchers = cases().into_iter().find(|case| case.part == Part::Vouchers);
    let case = vouchers.expect("vouchers");
    // Late in the ban it changes, and no webhook says so: the next entity read does.
    for _ in 0..5 {
        app.advance(EXPIRED);
        app.get(&query).await.assert_ok();
    }
    (case.change)(&app);
    for _ in 0..6 {
        app.advance(EXPIRED);
        assert!((case.is_new)(app.get(&query).await.assert_ok()));
    }
}
