//! Engage's refusals, faults and delays as our errors: each has its code and contains none of Engage's text. Refusals
//! of the identifier are cached; most failures start a back-off.

use std::time::Duration;

use engage_simulator::{
    CustomKey, Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DINA, DORA},
};
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TestApp, let_requests_arrive};

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

/// An overview as Engage returns it, with these values.
fn overview(id: &Value, email: &str, contact_type: &str) -> String {
    let answer = json!({
        "id": id, "attributes": {"email": email}, "meta": {"contactType": contact_type},
        "audiences": [], "promotions": [], "rewardVouchers": [],
    });
    answer.to_string()
}

#[tokio::test]
async fn engage_400s_keep_their_code_but_not_their_message() {
    let app = TestApp::spawn().await;
    for code in [
        "InvalidEmailAddress",
        "InvalidPhoneNumber",
        "InvalidSocialSecurityNumber",
        "InvalidContactType",
        "InvalidContactId",
        "InvalidSearchQuery",
        "SomethingThatEngageAddedLater",
    ] {
        let refusal = json!({"errorCode": code, "message": format!("no {}", ALVA.email)});
        app.engage
            .fault_times(Endpoint::Overview, Fault::Status(400, refusal), 1);
        let answer = app.get(&alva()).await;
        answer.assert_problem(400, code);
        assert!(!answer.text().contains("alva"), "{}", answer.text());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        app.customers
            .drop_negatives()
            .await
            .expect("there is no shared tier");
    }
    for body in [
        json!("Bad Request"),
        json!({"message": "no code"}),
        json!({"errorCode": ALVA.email}),
        json!({"errorCode": "x".repeat(65)}),
        json!({"errorCode": 7}),
        json!({"errorCode": ""}),
        json!([]),
    ] {
        app.engage
            .fault_times(Endpoint::Overview, Fault::Status(400, body), 1);
        let answer = app.get(&alva()).await;
        answer.assert_problem(502, "UpstreamFailed");
        assert!(!answer.text().contains("alva"), "{}", answer.text());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
    }
    app.get(&alva()).await.assert_ok();
}

#[tokio::test]
async fn unknown_contact_is_404_and_ambiguous_identifier_409_without_ids() {
    let app = TestApp::spawn().await;
    app.get("email=unknown%40example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    let several = app.get_as(SHOP, &format!("email={}", DORA.email)).await;
    several.assert_problem(409, "MultipleMatches");
    let sent = format!("{}{:?}", several.text(), several.headers);
    for secret in [DORA.id, DINA.id, DORA.email, DORA.phone, "Delad"] {
        assert!(!sent.contains(secret), "{sent}");
    }
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn engage_faults_are_502_until_the_back_off_ends() {
    let text = |status: u16, text: &str| Fault::Status(status, json!(text));
    let body = |body: &str| Fault::Body(body.to_owned());
    let without_id = json!({"attributes": {}, "meta": {}}).to_string();
    let half_id = overview(&json!(&ALVA.id[..35]), ALVA.email, "Member");
    let failed = "UpstreamFailed";
    let invalid = "UpstreamInvalid";
    let known = json!({"errorCode": "InvalidEmailAddress"});
    let app = TestApp::spawn().await;
    for (fault, code) in [
        (text(401, "Unauthorized"), "UpstreamUnauthorized"),
        (Fault::Status(401, known.clone()), "UpstreamUnauthorized"),
        (text(403, "Forbidden"), "UpstreamForbidden"),
        (text(500, "An error has occurred."), failed),
        (Fault::Status(500, known.clone()), failed),
        (text(503, "busy"), failed),
        (Fault::Status(422, known), failed),
        (text(405, "no"), failed),
        (text(302, "elsewhere"), failed),
        (Fault::Html502, failed),
        (Fault::ResetBeforeBody, failed),
        (Fault::ResetMidBody, failed),
        (text(404, "Not Found"), failed),
        (
            Fault::Status(404, json!({"message": "no such route"})),
            failed,
        ),
        (Fault::Status(404, json!({"errorCode": "NotFound"})), failed),
        (Fault::HtmlOk200, invalid),
        (Fault::WrongContentType, invalid),
        (Fault::TruncatedJson, invalid),
        (Fault::Empty200, invalid),
        (text(204, ""), invalid),
        (body("[]"), invalid),
        (body("null"), invalid),
        (body("\"text\""), invalid),
        (body("{\"id\": NaN}"), invalid),
        (body(&"[".repeat(100_000)), invalid),
        (body(&without_id), invalid),
        (body(&overview(&Value::Null, ALVA.email, "Member")), invalid),
        (body(&overview(&json!(7), ALVA.email, "Member")), invalid),
        (body(&half_id), invalid),
        (body(&json!({"id": ALVA.id}).to_string()), invalid),
    ] {
        let what = format!("{fault:?}").chars().take(80).collect::<String>();
        // A connection that is reset says nothing about the contact.
        let has_back_off = !matches!(fault, Fault::ResetBeforeBody | Fault::ResetMidBody);
        app.engage.fault(Endpoint::Overview, fault);
        // For the delay before a retry.
        let clock = app.run_clock();
        let answer = app.get(&alva()).await;
        drop(clock);
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        answer.assert_problem(502, code);
        app.engage.clear_faults();
        if has_back_off {
            let calls = app.engage.total_calls();
            app.get(&alva()).await.assert_problem(502, code);
            assert_eq!(app.engage.total_calls(), calls, "{what}");
        }
        app.advance(Duration::from_secs(60));
        let recovered = app.get(&alva()).await;
        assert_eq!(recovered.status, 200, "{what}: {}", recovered.text());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
    }
}

#[tokio::test]
async fn missing_custom_key_configuration_is_502_with_engages_code() {
    let app = TestApp::spawn().await;
    app.engage.custom_key(CustomKey::Off);
    app.get("customKey=100001")
        .await
        .assert_problem(502, "InvalidSystemConfiguration");
}

#[tokio::test]
async fn refused_or_restricted_api_key_is_502() {
    let app = TestApp::with(|config| config.engage.api_key = Some("old-key".into())).await;
    app.get(&alva())
        .await
        .assert_problem(502, "UpstreamUnauthorized");
    let app = TestApp::spawn().await;
    app.engage.forbid(true);
    app.get(&alva())
        .await
        .assert_problem(502, "UpstreamForbidden");
}

#[tokio::test]
async fn overview_of_another_contact_is_502_and_not_cached() {
    let wrong = |id: &str| Fault::WrongContact(id.to_owned());
    let alva_id = json!(ALVA.id);
    for (lookup, fault) in [
        (json!({"contactId": ALVA.id}), wrong(BO.id)),
        (json!({"email": ALVA.email}), wrong(CIM.id)),
        (json!({"mobilePhone": ALVA.phone}), wrong(CIM.id)),
        (json!({"customKey": ALVA.member_number}), wrong(DORA.id)),
        (
            json!({"socialSecurityNumber": ALVA.national_id}),
            wrong(DORA.id),
        ),
        (json!({"any": ALVA.email}), wrong(CIM.id)),
        (
            json!({"email": ALVA.email}),
            Fault::Body(overview(&alva_id, CIM.email, "Member")),
        ),
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault_times(Endpoint::Overview, fault, 1);
        let mut lookup = lookup;
        lookup["parts"] = json!([]);
        let answer = app.lookup(lookup.clone()).await;
        answer.assert_problem(502, "IdentityMismatch");
        for secret in [BO.id, BO.email, CIM.id, CIM.email, DORA.id, "Cim", "Dora"] {
            assert!(!answer.text().contains(secret), "{}", answer.text());
        }
        assert_eq!(app.customers.counts().records, 0, "{lookup}");
        app.advance(Duration::from_secs(30));
        let right = app.lookup(lookup).await;
        assert_eq!(right.assert_ok().at("/contactId"), ALVA.id);
    }
}

#[tokio::test]
async fn overview_of_another_contact_type_is_404() {
    let app = TestApp::spawn().await;
    let other = overview(&json!(ALVA.id), ALVA.email, "Contact");
    app.engage.fault(Endpoint::Overview, Fault::Body(other));
    for query in [
        format!("email={}", ALVA.email),
        format!("{}&contactType=Member", alva()),
    ] {
        app.get(&query).await.assert_problem(404, "ContactNotFound");
    }
}

#[tokio::test]
async fn points_of_another_contact_are_not_shown() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let account = json!([{"contactId": BO.id, "definitionId": 1, "balance": 99}]).to_string();
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Body(account));
    let answer = app.get(&alva()).await;
    assert_eq!(answer.assert_ok().at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["points"]));
}

#[tokio::test]
async fn engage_429_pauses_all_calls_for_its_retry_after() {
    for (retry_after, expected) in [
        (Some("7"), 7..=7),
        (Some("Mon, 23 Nov 2026 12:00:30 GMT"), 30..=30),
        (Some("3600"), 60..=60),
        (Some("18446744073709551615"), 60..=60),
        (Some("Mon, 23 Nov 2026 11:00:00 GMT"), 1..=30),
        (Some("soon"), 1..=30),
        (Some("-5"), 1..=30),
        (None, 1..=30),
    ] {
        let app = TestApp::spawn().await;
        let profile = format!("{}&parts=none", alva());
        let fault = Fault::TooMany {
            retry_after: retry_after.map(str::to_owned),
        };
        app.engage.fault_times(Endpoint::Overview, fault, 1);
        let mut wait = 0;
        for query in [&profile, &profile, &format!("contactId={}", BO.id)] {
            let answer = app.get(query).await;
            answer.assert_problem(503, "UpstreamUnavailable");
            wait = answer.header("retry-after").parse().expect("seconds");
            assert!(expected.contains(&wait), "{retry_after:?} became {wait}");
        }
        assert_eq!(app.engage.total_calls(), 1);
        app.advance(Duration::from_secs(wait));
        let _clock = app.run_clock();
        app.get(&alva()).await.assert_ok();
    }
}

#[tokio::test]
async fn exhausted_budget_is_503_with_retry_after() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 0.1;
        config.engage.burst = 1;
    })
    .await;
    app.get(&format!("{}&parts=none", alva())).await.assert_ok();
    let other = format!("contactId={}&parts=none", BO.id);
    let refused = app.get(&other).await;
    refused.assert_problem(503, "UpstreamUnavailable");
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(Duration::from_secs(10));
    app.get(&other).await.assert_ok();
}

#[tokio::test]
async fn calls_above_max_concurrency_wait_a_second_then_503() {
    let app = TestApp::with(|config| {
        config.engage.max_concurrency = 1;
        config.engage.timeout = Duration::from_secs(3600);
        config.server.request_timeout = Duration::from_secs(3600);
    })
    .await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&alva());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let second = app.spawn_get(&format!("contactId={}", BO.id));
    let_requests_arrive().await;
    app.advance(Duration::from_millis(999));
    let_requests_arrive().await;
    assert!(!second.is_finished());
    app.advance(Duration::from_millis(1));
    let refused = second.await.expect("an answer");
    refused.assert_problem(503, "Overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(app.overview_calls(), 1);
    hold.release();
    first.await.expect("an answer").assert_ok();
}

#[tokio::test]
async fn hanging_engage_is_504_at_the_shorter_timeout() {
    // The request timeout, then the timeout of the call.
    for (request_timeout, timeout) in [(2500, 10_000), (10_000, 2500)] {
        let app = TestApp::with(|config| {
            config.server.request_timeout = Duration::from_millis(request_timeout);
            config.engage.timeout = Duration::from_millis(timeout);
        })
        .await;
        app.engage.fault(Endpoint::Overview, Fault::Hang);
        let pending = app.spawn_get(&alva());
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.advance(Duration::from_millis(2499));
        let_requests_arrive().await;
        assert!(!pending.is_finished());
        app.advance(Duration::from_millis(1));
        let answer = pending.await.expect("an answer");
        answer.assert_problem(504, "UpstreamTimeout");
    }
}

#[tokio::test]
async fn uncached_contact_with_only_if_cached_is_504() {
    let app = TestApp::spawn().await;
    for query in [alva(), format!("email={}", ALVA.email)] {
        let request = app.customer(SHOP, &query);
        Answer::of(request.header("cache-control", "only-if-cached"))
            .await
            .assert_problem(504, "NotCached");
    }
    assert_eq!(app.engage.total_calls(), 0);
}
