//! Back-off after a failure applies to the failed contact, or to one part of it; every other contact is answered as
//! usual.

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use serde_json::{Value, json};

use crate::harness::{SHOP, TestApp, alarms, id, let_requests_arrive};

const SECOND: Duration = Duration::from_secs(1);
/// The first back-off: `cache.negative_lifetime`.
const BACK_OFF: Duration = Duration::from_secs(30);

fn profile_of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

/// Unusable answers about one contact, each with the error code that callers get.
fn unusable_answers() -> Vec<(Fault, &'static str)> {
    let unreadable = json!({"id": ALVA.id, "attributes": null}).to_string();
    vec![
        (Fault::Status(500, json!("An error")), "UpstreamFailed"),
        (Fault::Status(422, json!({})), "UpstreamFailed"),
        (Fault::Status(403, json!("no")), "UpstreamForbidden"),
        (Fault::Body(unreadable), "UpstreamInvalid"),
        (Fault::TruncatedJson, "UpstreamInvalid"),
        (Fault::HtmlOk200, "UpstreamInvalid"),
        (Fault::WrongContact(BO.id.to_owned()), "IdentityMismatch"),
    ]
}

async fn overview_breaker(app: &TestApp) -> Value {
    app.operations("/readyz")
        .await
        .at("/engage/breakers/0/state")
}

#[tokio::test]
async fn failing_contact_costs_one_call_and_refuses_no_other() {
    for (fault, code) in unusable_answers() {
        let app = TestApp::spawn().await;
        let before = alarms();
        app.engage
            .fault_times(Endpoint::Overview, fault.clone(), 20);
        for _ in 0..20 {
            app.get(&profile_of(ALVA.id))
                .await
                .assert_problem(502, code);
            app.advance(SECOND / 2);
        }
        assert_eq!(app.overview_calls(), 1, "{fault:?}");
        assert!(alarms() - before <= 1, "{fault:?}");
        assert_eq!(overview_breaker(&app).await, "closed", "{fault:?}");
        app.engage.clear_faults();
        for person in [BO.id, CIM.id, DORA.id] {
            app.get(&profile_of(person)).await.assert_ok();
        }
    }
}

#[tokio::test]
async fn failing_identifier_of_any_kind_costs_one_call() {
    for lookup in [
        json!({"email": ALVA.email}),
        json!({"mobilePhone": ALVA.phone}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.email}),
        json!({"contactId": ALVA.id, "contactType": "Member"}),
    ] {
        let app = TestApp::spawn().await;
        app.engage
            .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
        for _ in 0..5 {
            let answer = app.lookup(lookup.clone()).await;
            answer.assert_problem(502, "UpstreamFailed");
        }
        assert_eq!(app.engage.total_calls(), 1, "{lookup}");
    }
}

#[tokio::test]
async fn cached_contact_has_one_back_off_for_all_its_identifiers() {
    let app = TestApp::spawn().await;
    let queries = [
        profile_of(ALVA.id),
        format!("email={}&parts=none", ALVA.email),
        format!("customKey={}&parts=none", ALVA.member_number),
    ];
    for query in &queries {
        app.get(query).await.assert_ok();
    }
    app.advance(90 * SECOND);
    app.engage.reset_log();
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    for query in &queries {
        app.get(query).await.assert_stale_if_error();
    }
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn failed_part_is_null_without_a_call_during_its_back_off() {
    let cases = [
        (Endpoint::Promotions, Part::Promotions),
        (Endpoint::Vouchers, Part::Vouchers),
        (Endpoint::PointAccounts, Part::Points),
    ];
    for (endpoint, part) in cases {
        for fault in [
            Fault::Status(500, json!("no")),
            Fault::Body("{\"no\":\"list\"}".to_owned()),
            Fault::HtmlOk200,
        ] {
            let app = TestApp::spawn().await;
            let query = format!("contactId={}", ALVA.id);
            app.get(&query).await.assert_ok();
            app.customers
                .invalidate(id(ALVA.id), part.into())
                .await
                .expect("there is no shared tier");
            app.engage.reset_log();
            app.engage.fault(endpoint, fault.clone());
            let before = alarms();
            for _ in 0..15 {
                let answer = app.get(&query).await;
                assert_eq!(answer.assert_ok().at("/degraded"), json!([part.as_str()]));
                let data = answer.at(&format!("/{}", part.as_str()));
                assert_eq!(data, Value::Null, "{fault:?}");
            }
            assert_eq!(app.engage.total_calls(), 1, "{part:?} {fault:?}");
            assert!(alarms() - before <= 1, "{fault:?}");
            app.engage.clear_faults();
            app.advance(BACK_OFF);
            let healed = app.get(&query).await;
            assert_eq!(healed.assert_ok().at("/degraded"), json!([]));
        }
    }
}

#[tokio::test]
async fn back_off_doubles_up_to_ten_minutes_and_ends_with_success() {
    let app = TestApp::spawn().await;
    let query = profile_of(ALVA.id);
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    for (calls, seconds) in [30, 60, 120, 240, 480, 600, 600].into_iter().enumerate() {
        app.get(&query).await.assert_problem(502, "UpstreamFailed");
        assert_eq!(app.overview_calls(), calls + 1);
        app.advance(Duration::from_millis(seconds * 1000 - 1));
        app.get(&query).await.assert_problem(502, "UpstreamFailed");
        assert_eq!(app.overview_calls(), calls + 1, "{seconds} s");
        app.advance(Duration::from_millis(1));
    }
    app.engage.clear_faults();
    app.get(&query).await.assert_ok();
    app.advance(3700 * SECOND);
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    app.get(&query).await.assert_problem(502, "UpstreamFailed");
    app.advance(BACK_OFF);
    app.engage.clear_faults();
    app.get(&query).await.assert_ok();
}

#[tokio::test]
async fn invalidation_ends_the_back_off() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    let fail = |endpoint| app.engage.fault(endpoint, Fault::Status(500, json!("no")));
    // Back-off of a part, ended by an invalidation of that part.
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    fail(Endpoint::Vouchers);
    let degraded = app.get(&query).await.at("/degraded");
    assert_eq!(degraded, json!(["vouchers"]));
    app.engage.clear_faults();
    assert_eq!(app.get(&query).await.at("/degraded"), json!(["vouchers"]));
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    assert_eq!(app.get(&query).await.at("/degraded"), json!([]));
    // Back-off of an uncached contact, ended by an invalidation of all its parts.
    fail(Endpoint::Overview);
    app.get(&profile_of(BO.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    app.engage.clear_faults();
    app.customers
        .invalidate(id(BO.id), PartSet::INVALIDATABLE)
        .await
        .expect("there is no shared tier");
    app.get(&profile_of(BO.id)).await.assert_ok();
    // Back-off of an identifier, ended when the negative entries are dropped.
    let by_email = format!("email={}", CIM.email);
    fail(Endpoint::Overview);
    app.get(&by_email)
        .await
        .assert_problem(502, "UpstreamFailed");
    app.engage.clear_faults();
    app.get(&by_email)
        .await
        .assert_problem(502, "UpstreamFailed");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    app.get(&by_email).await.assert_ok();
}

#[tokio::test]
async fn fresh_request_ignores_the_back_off() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    app.engage
        .fault_times(Endpoint::Vouchers, Fault::Status(500, json!("no")), 1);
    assert_eq!(app.get(&query).await.at("/degraded"), json!(["vouchers"]));
    let fresh = app.get(&format!("{query}&fresh=vouchers")).await;
    assert_eq!(fresh.assert_ok().at("/degraded"), json!([]));
    // The fetched part is cached for all callers.
    assert_eq!(app.get(&query).await.at("/degraded"), json!([]));
}

#[tokio::test]
async fn end_of_an_outage_ends_its_back_offs() {
    let app = TestApp::spawn().await;
    let mut ids = app.engage.contact_ids().split_off(5);
    let last = ids.pop().expect("many contacts");
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("down")));
    for id in &ids[..6] {
        app.get(&profile_of(id))
            .await
            .assert_problem(502, "UpstreamFailed");
    }
    app.engage.clear_faults();
    app.get(&profile_of(&last)).await.assert_ok();
    for id in &ids[..6] {
        app.get(&profile_of(id)).await.assert_ok();
    }
}

#[tokio::test]
async fn connection_failures_and_429_start_no_back_off() {
    for fault in [
        Fault::ResetBeforeBody,
        Fault::ResetMidBody,
        Fault::TooMany {
            retry_after: Some("1".to_owned()),
        },
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault_times(Endpoint::Overview, fault.clone(), 1);
        let failed = app.get(&profile_of(ALVA.id)).await;
        assert_ne!(failed.status, 200, "{fault:?}");
        app.advance(SECOND);
        app.get(&profile_of(ALVA.id)).await.assert_ok();
    }
}

#[tokio::test]
async fn zero_negative_lifetime_disables_the_back_off() {
    let app = TestApp::with(|config| config.cache.negative_lifetime = Duration::ZERO).await;
    app.engage
        .fault_times(Endpoint::Overview, Fault::Status(500, json!("no")), 1);
    app.get(&profile_of(ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    app.get(&profile_of(ALVA.id)).await.assert_ok();
}

#[tokio::test]
async fn only_if_cached_returns_not_cached_instead_of_the_failure() {
    let app = TestApp::spawn().await;
    app.engage
        .fault_times(Endpoint::Overview, Fault::Status(500, json!("no")), 1);
    let query = profile_of(ALVA.id);
    app.get(&query).await.assert_problem(502, "UpstreamFailed");
    let request = app.customer(SHOP, &query);
    let answer = request.header("cache-control", "only-if-cached");
    crate::harness::Answer::of(answer)
        .await
        .assert_problem(504, "NotCached");
}

#[tokio::test]
async fn part_unreadable_in_the_overview_costs_one_overview_call() {
    for (key, part) in [
        ("audiences", "audiences"),
        ("promotions", "promotions"),
        ("rewardVouchers", "vouchers"),
    ] {
        let app = TestApp::spawn().await;
        let query = format!("contactId={}", ALVA.id);
        let mut overview = json!({
            "id": ALVA.id, "attributes": {"firstName": "Alva"}, "meta": {"contactType": "Member"},
            "audiences": [], "promotions": [], "rewardVouchers": [],
        });
        overview[key] = json!({"x": 1});
        app.engage
            .fault(Endpoint::Overview, Fault::Body(overview.to_string()));
        for _ in 0..10 {
            let answer = app.get(&query).await;
            assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alva");
            let degraded = answer.at("/degraded") == json!([part]);
            assert_eq!(degraded, part == "audiences", "{part}");
        }
        assert_eq!(app.overview_calls(), 1, "{part}");
        // After the profile's lifetime, eleven requests make one more overview call, the refresh.
        app.advance(65 * SECOND);
        for _ in 0..11 {
            app.get(&query).await.assert_ok();
        }
        let_requests_arrive().await;
        assert_eq!(app.overview_calls(), 2, "{part}");
    }
}

#[tokio::test]
async fn part_refused_with_a_contact_error_has_a_back_off() {
    for fault in [
        Fault::Status(404, json!({"errorCode": "ContactNotFound"})),
        Fault::Status(400, json!({"errorCode": "InvalidContactId"})),
        Fault::Status(409, json!({"errorCode": "MultipleMatches"})),
        Fault::Status(400, json!({"errorCode": "SomethingNew"})),
    ] {
        let app = TestApp::spawn().await;
        let query = format!("contactId={}", ALVA.id);
        app.get(&query).await.assert_ok();
        app.customers
            .invalidate(id(ALVA.id), Part::Vouchers.into())
            .await
            .expect("there is no shared tier");
        app.engage.fault(Endpoint::Vouchers, fault.clone());
        app.engage.reset_log();
        for _ in 0..10 {
            let answer = app.get(&query).await;
            assert_eq!(answer.assert_ok().at("/degraded"), json!(["vouchers"]));
        }
        assert_eq!(app.engage.total_calls(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn mismatch_by_alias_starts_no_back_off_for_the_contact() {
    let app = TestApp::spawn().await;
    let by_email = format!("email={}&parts=none", ALVA.email);
    app.get(&by_email).await.assert_ok();
    app.advance(90 * SECOND);
    app.engage.fault_times(
        Endpoint::Overview,
        Fault::WrongContact(CIM.id.to_owned()),
        1,
    );
    app.get(&by_email)
        .await
        .assert_problem(502, "IdentityMismatch");
    let answer = app.get(&profile_of(ALVA.id)).await;
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
}

#[tokio::test]
async fn repeated_retry_after_becomes_a_back_off() {
    let app = TestApp::spawn().await;
    let busy = crate::faults::busy("1");
    app.engage
        .fault(Endpoint::Overview, Fault::Raw(busy.into()));
    let query = profile_of(ALVA.id);
    for _ in 0..120 {
        assert_eq!(app.get(&query).await.status, 503);
        app.advance(SECOND);
    }
    // The first call, one after the announced second, and one after a minute of back-off.
    assert_eq!(app.overview_calls(), 3);
}

#[tokio::test]
async fn fresh_points_do_not_repeat_a_failed_overview() {
    let app = TestApp::spawn().await;
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    for _ in 0..5 {
        app.get(&format!("contactId={}&fresh=points", ALVA.id))
            .await
            .assert_problem(502, "UpstreamFailed");
    }
    assert_eq!(app.overview_calls(), 1);
}
