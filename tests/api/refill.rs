//! The source of a refill: expired parts come from the overview, invalidated and fresh parts from their entity
//! endpoint, so that Engage's lagging overview never reverts a change.

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{Endpoint, VoucherSeed, fixtures::ALVA};
use serde_json::{Value, json};

use crate::harness::{Answer, COLD_CALLS, POINTS_CALLS, TestApp, id};

const LAG: Duration = Duration::from_secs(600);
/// Past every lifetime and its stale-while-revalidate window, except the audiences'.
const EXPIRED: Duration = Duration::from_secs(90);
const NEW_VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";
const NEW_PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// A part, its endpoint, a change of it, and whether a response shows the change.
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

/// Asserts that the change stays visible while lifetimes expire repeatedly and the overview lags behind the change.
async fn assert_stays_new(app: &TestApp, query: &str, case: &Case) {
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

/// Asserts that the overview refills the part again after its lag has passed without a request.
async fn assert_overview_refills(app: &TestApp, query: &str, case: &Case) {
    app.advance(LAG);
    app.engage.reset_log();
    let answer = app.get(query).await;
    assert!((case.is_new)(answer.assert_ok()));
    assert_eq!(app.overview_calls(), 1, "{:?}", case.part);
    let points_calls = if case.part == Part::Points {
        POINTS_CALLS
    } else {
        0
    };
    assert_eq!(
        app.engage.total_calls(),
        1 + points_calls,
        "{:?}",
        case.part
    );
}

#[tokio::test]
async fn fresh_part_is_never_reverted_by_a_lagging_overview() {
    for case in cases() {
        for identifier in [
            format!("contactId={}", ALVA.id),
            format!("email={}", ALVA.email),
        ] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            let query = format!("{identifier}&parts={}", case.parts);
            app.get(&query).await.assert_ok();
            (case.change)(&app);
            let part = case.part.as_str();
            let fresh = app.get(&format!("{query}&fresh={part}")).await;
            assert!((case.is_new)(fresh.assert_ok()), "{part}");
            assert_stays_new(&app, &query, &case).await;
            assert_overview_refills(&app, &query, &case).await;
        }
    }
}

#[tokio::test]
async fn invalidated_part_is_never_reverted_by_a_lagging_overview() {
    for case in cases() {
        for identifier in [
            format!("contactId={}", ALVA.id),
            format!("email={}", ALVA.email),
        ] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            let query = format!("{identifier}&parts={}", case.parts);
            app.get(&query).await.assert_ok();
            (case.change)(&app);
            app.customers
                .invalidate(id(ALVA.id), case.part.into())
                .await
                .expect("there is no shared tier");
            let calls = app.engage.total_calls();
            let answer = app.get(&query).await;
            answer
                .assert_ok()
                .assert_cache_status("engage-bff; fwd=miss; stored");
            assert!((case.is_new)(&answer), "{:?}", case.part);
            assert_eq!(app.engage.total_calls(), calls + 1, "{:?}", case.part);
            assert_eq!(app.overview_calls(), 1);
            app.get(&query).await.assert_hit();
            assert_stays_new(&app, &query, &case).await;
            assert_overview_refills(&app, &query, &case).await;
        }
    }
}

#[tokio::test]
async fn invalidation_of_an_uncached_contact_applies_to_its_first_answer() {
    for case in cases() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        (case.change)(&app);
        app.customers
            .invalidate(id(ALVA.id), case.part.into())
            .await
            .expect("there is no shared tier");
        let query = format!("email={}&parts={}", ALVA.email, case.parts);
        let answer = app.get(&query).await;
        assert!((case.is_new)(answer.assert_ok()), "{:?}", case.part);
    }
}

#[tokio::test]
async fn invalidation_leaves_other_parts_and_audiences_cached() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.advance(Duration::from_secs(10));
    app.engage.reset_log();
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
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
    app.customers
        .invalidate(id(ALVA.id), PartSet::ALL)
        .await
        .expect("there is no shared tier");
    app.engage.reset_log();
    let answer = app.get(&query).await;
    assert_eq!(app.engage.total_calls(), 4);
    assert_eq!(app.overview_calls(), 0);
    let audiences = answer.at("/freshness/audiences/asOf");
    assert_eq!(audiences, "2026-11-23T12:00:00.000Z");
}

#[tokio::test]
async fn overview_fetched_for_audiences_does_not_revert_other_parts() {
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
    app.customers
        .invalidate(id(ALVA.id), PartSet::ALL)
        .await
        .expect("there is no shared tier");
    for _ in 0..3 {
        let calls = app.overview_calls();
        app.advance(EXPIRED);
        let answer = app.get(&query).await;
        assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
        for case in cases() {
            assert!((case.is_new)(&answer), "{:?}", case.part);
        }
        assert!(
            app.overview_calls() > calls,
            "the audiences come from the overview"
        );
    }
}

#[tokio::test]
async fn stale_part_is_refreshed_from_its_endpoint_during_overview_lag() {
    for case in cases() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        let query = format!("contactId={}&parts={}", ALVA.id, case.parts);
        app.get(&query).await.assert_ok();
        app.customers
            .invalidate(id(ALVA.id), case.part.into())
            .await
            .expect("there is no shared tier");
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
async fn parts_none_costs_one_call_with_null_parts_not_degraded() {
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
    assert_eq!(answer.at("/expiringSoon"), Value::Null);
    assert_eq!(answer.at("/profile/firstName"), "Alva");
    assert_eq!(answer.at("/audiences/0/name"), "Svenska medlemmar");
    // The overview also contained vouchers and promotions.
    let vouchers = format!("email={}&parts=vouchers,promotions", ALVA.email);
    app.get(&vouchers).await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
    let answer = app.get(&format!("email={}&parts=points", ALVA.email)).await;
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    assert_eq!(answer.at("/vouchers"), Value::Null);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn part_unreadable_in_the_overview_comes_from_its_entity_endpoint() {
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
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
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
        assert_eq!(app.overview_calls(), 1);
        assert_eq!(app.engage.calls(endpoint), 1, "{parts}");
    }
}

/// The calls that a frequently read contact costs in ten minutes, including background refreshes.
async fn calls_in_ten_minutes(app: &TestApp, query: &str) -> usize {
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
async fn calls_return_to_normal_once_the_lag_has_passed() {
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
        let before = calls_in_ten_minutes(&app, &query).await;
        if event.starts_with("a webhook") {
            if event.ends_with("change") {
                for case in cases() {
                    (case.change)(&app);
                }
            }
            app.customers
                .invalidate(id(ALVA.id), PartSet::ALL)
                .await
                .expect("there is no shared tier");
        } else {
            app.get(&format!("{query}&{event}")).await.assert_ok();
        }
        let within = calls_in_ten_minutes(&app, &query).await;
        let after = calls_in_ten_minutes(&app, &query).await;
        assert!(
            after <= before + before / 10,
            "{event}: {before} calls before, {within} within the lag, {after} after it"
        );
    }
}

#[tokio::test]
async fn entity_call_with_a_change_fences_the_overview_for_its_lag() {
    let query = format!("contactId={}&parts=vouchers", ALVA.id);
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    app.get(&query).await.assert_ok();
    app.customers
        .invalidate(id(ALVA.id), PartSet::ALL)
        .await
        .expect("there is no shared tier");
    let vouchers = cases().into_iter().find(|case| case.part == Part::Vouchers);
    let case = vouchers.expect("vouchers");
    // Late in the lag period the part changes without a webhook: the next entity call shows the change.
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
