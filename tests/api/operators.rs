//! Operators' actions: purge a contact, an identifier's contact or everything, and switch the cache off.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, COLD_CALLS, TILL, TestApp, let_requests_arrive};

const LAG: Duration = Duration::from_secs(600);

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

/// Sends a request to the operations listener.
pub(crate) async fn operate(app: &TestApp, method: Method, target: &str, body: &str) -> Answer {
    let request = app
        .operations_request(target)
        .header("content-type", "application/json")
        .body(body.to_owned());
    let mut request = request.build().expect("a request");
    *request.method_mut() = method;
    app.execute(request).await
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""));
}

/// Changes Alva in Engage.
fn change(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("742.25")
        .attribute("firstName", json!("Alvina"));
}

#[track_caller]
fn assert_new(answer: &Answer) {
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(answer.at("/points/balance"), json!(742.25));
}

#[tokio::test]
async fn purge_by_id_identifier_or_of_everything_is_final() {
    let by_id = format!("/cache/contacts/{}", ALVA.id.to_uppercase());
    let phone = json!({"mobilePhone": ALVA.phone, "contactType": "member"}).to_string();
    let national_id = json!({"socialSecurityNumber": "198507099805"}).to_string();
    for (method, target, body) in [
        (Method::DELETE, &*by_id, ""),
        (Method::POST, "/cache/purge", &*phone),
        (Method::POST, "/cache/purge", &*national_id),
        (Method::POST, "/cache/purge", "{\"all\": true}"),
    ] {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        app.get(&by_email()).await.assert_ok();
        app.advance(Duration::from_secs(1));
        change(&app);
        app.get(&by_email()).await.assert_hit();
        // Only a purge of everything may refill from the overview, so the overview must not lag then.
        if body.contains("all") {
            app.engage.set_overview_lag(Duration::ZERO);
        }
        assert_done(&operate(&app, method, target, body).await);
        let answer = app.get(&by_email()).await;
        assert_new(&answer);
        answer.assert_cache_status("engage-bff; fwd=miss; stored");
        app.get(&by_email()).await.assert_hit();
    }
}

#[tokio::test]
async fn answer_in_flight_is_discarded_by_a_purge() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    let target = format!("/cache/contacts/{}", ALVA.id);
    assert_done(&operate(&app, Method::DELETE, &target, "").await);
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    let cached = app.get(&by_email()).await;
    cached.assert_hit();
    assert_new(&cached);
    assert_eq!(cached.at("/degraded"), json!([]));
}

#[tokio::test]
async fn request_waiting_during_a_purge_gets_a_complete_new_answer() {
    let by_id = format!("contactId={}", ALVA.id);
    let one = format!("/cache/contacts/{}", ALVA.id);
    let everything = (Method::POST, "/cache/purge", "{\"all\": true}");
    for query in [&by_email(), &by_id] {
        for (method, target, body) in [(Method::DELETE, &*one, ""), everything.clone()] {
            let app = TestApp::spawn().await;
            let before = app.get(query).await;
            assert_done(&operate(&app, Method::POST, "/cache/purge", "{\"all\": true}").await);
            let calls = app.overview_calls();
            let hold = app.engage.hold(Endpoint::All);
            let waiting = app.spawn_get(query);
            app.engage
                .wait_for_calls(Endpoint::Overview, calls + 1)
                .await;
            assert_done(&operate(&app, method.clone(), target, body).await);
            hold.release();
            let answer = waiting.await.expect("an answer");
            answer.assert_ok();
            assert_eq!(answer.at("/degraded"), json!([]), "{query} {target}");
            assert_eq!(answer.at("/audiences"), before.at("/audiences"));
            assert_ne!(answer.at("/audiences"), json!([]));
            assert_eq!(app.overview_calls(), calls + 2, "{query} {target}");
            app.get(query).await.assert_hit();
        }
    }
}

#[tokio::test]
async fn purge_without_exactly_one_target_is_refused() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let both = json!({"email": ALVA.email, "contactId": ALVA.id}).to_string();
    for (body, status, code) in [
        ("", 400, "InvalidParameter"),
        ("{}", 400, "MissingIdentifier"),
        ("[]", 400, "InvalidParameter"),
        ("{\"all\": false}", 400, "InvalidParameter"),
        (
            "{\"all\": true, \"email\": \"a@example.com\"}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"email\": \"a@example.com\", \"view\": \"full\"}",
            400,
            "InvalidParameter",
        ),
        ("{\"email\": \"nonsense\"}", 400, "InvalidEmailAddress"),
        (&*both, 400, "AmbiguousIdentifier"),
    ] {
        let answer = operate(&app, Method::POST, "/cache/purge", body).await;
        answer.assert_problem(status, code);
    }
    for id in ["nonsense", "%2f", ALVA.email] {
        let target = format!("/cache/contacts/{id}");
        let answer = operate(&app, Method::DELETE, &target, "").await;
        answer.assert_problem(400, "InvalidContactId");
    }
    let target = format!("/cache/contacts/{}/x", ALVA.id);
    let answer = operate(&app, Method::DELETE, &target, "").await;
    answer.assert_problem(404, "NotFound");
    app.get(&by_email()).await.assert_hit();
}

#[tokio::test]
async fn disabled_cache_neither_serves_nor_stores() {
    let app = TestApp::spawn().await;
    let bo = format!("contactId={}", BO.id);
    app.get(&by_email()).await.assert_ok();
    assert_eq!(app.operations("/cache/enabled").await.text(), "true");
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    assert_eq!(app.operations("/cache/enabled").await.text(), "false");
    let ready = app.operations("/readyz").await;
    ready.assert_ok();
    assert_eq!(ready.at("/cache/enabled"), false);
    assert_eq!(ready.at("/cache/records"), 0);
    let metrics = app.operations("/metrics").await;
    assert!(metrics.text().contains("engage_bff_cache_enabled 0\n"));
    change(&app);
    for query in [&by_email(), &bo, &by_email()] {
        let calls = app.engage.total_calls();
        let answer = app.get(query).await;
        answer
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=bypass");
        assert_eq!(app.engage.total_calls(), calls + COLD_CALLS);
    }
    assert_new(&app.get(&by_email()).await);
    app.get(&format!("{}&fresh=all", by_email()))
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=bypass");
    let unknown = "email=unknown@example.com";
    for attempt in 1..=2 {
        let calls = app.overview_calls();
        app.get(unknown)
            .await
            .assert_problem(404, "ContactNotFound");
        assert_eq!(app.overview_calls(), calls + 1, "attempt {attempt}");
    }
    app.get_with(&bo, "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    assert_eq!(app.operations("/readyz").await.at("/cache/records"), 0);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "true").await);
    let answer = app.get(&bo).await;
    answer.assert_cache_status("engage-bff; fwd=miss; stored");
    app.get(&bo).await.assert_hit();
}

#[tokio::test]
async fn nothing_stands_in_for_engage_while_the_cache_is_disabled() {
    let app = TestApp::spawn().await;
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    let query = format!("{}&parts=none", by_email());
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(Duration::from_secs(2));
    // The second request shares the call in flight, whose result is older than `max-age` allows; then its own call
    // fails.
    let second = app
        .customer(TILL, &query)
        .header("cache-control", "max-age=1");
    let second = tokio::spawn(Answer::of(second));
    let_requests_arrive().await;
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!({})));
    hold.release();
    let first = first.await.expect("an answer");
    first
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=bypass");
    let second = second.await.expect("an answer");
    second.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.overview_calls(), 2);
}

#[tokio::test]
async fn answer_in_flight_is_discarded_when_the_cache_is_disabled() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "true").await);
    let later = app.spawn_get(&by_email());
    let_requests_arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    assert_new(&later.await.expect("an answer"));
    let cached = app.get(&by_email()).await;
    cached.assert_hit();
    assert_new(&cached);
}

#[tokio::test]
async fn concurrent_requests_share_one_call_while_the_cache_is_disabled() {
    let app = TestApp::spawn().await;
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    let hold = app.engage.hold(Endpoint::Overview);
    let query = format!("{}&parts=none", by_email());
    let waiting: Vec<_> = (0..20).map(|_| app.spawn_get(&query)).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let_requests_arrive().await;
    hold.release();
    for pending in waiting {
        pending.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn cache_switch_accepts_only_true_and_false() {
    let app = TestApp::spawn().await;
    for body in ["", "off", "0", "\"false\"", "{\"enabled\": false}"] {
        let answer = operate(&app, Method::PUT, "/cache/enabled", body).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    assert_eq!(app.operations("/cache/enabled").await.text(), "true");
}

#[tokio::test]
async fn operator_actions_need_the_token_and_the_operations_listener() {
    let app =
        TestApp::with(|config| config.operations.token = Some("an-operators-token".into())).await;
    app.get(&by_email()).await.assert_ok();
    let contact = format!("/cache/contacts/{}", ALVA.id);
    let by_id = json!({"contactId": ALVA.id}).to_string();
    for (method, target, body) in [
        (Method::DELETE, &*contact, ""),
        (Method::POST, "/cache/purge", "{\"all\": true}"),
        (Method::PUT, "/cache/enabled", "false"),
        (Method::GET, "/cache/enabled", ""),
        (Method::GET, "/cache/stats", ""),
        (Method::POST, "/cache/explain", &*by_id),
    ] {
        let answer = operate(&app, method.clone(), target, body).await;
        answer.assert_problem(401, "Unauthorized");
        let mut request = app
            .customer(crate::harness::TILL, "")
            .body(body.to_owned())
            .build()
            .expect("a request");
        request.url_mut().set_path(target);
        *request.method_mut() = method;
        let answer = app.execute(request).await;
        answer.assert_problem(404, "NotFound");
    }
    app.get(&by_email()).await.assert_hit();
    let answer = operate(&app, Method::PATCH, &contact, "").await;
    assert_eq!(
        answer
            .assert_problem(405, "MethodNotAllowed")
            .header("allow"),
        "DELETE"
    );
}
