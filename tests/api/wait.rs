//! `wait`: a caller that waits for less time than the service's limit. The shared call continues without it.

use std::time::Duration;

use engage_simulator::{Endpoint, fixtures::ALVA};
use http::header::AUTHORIZATION;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    fast_path::assert_same_by_both,
    harness::{Answer, SHOP, TILL, TestApp, let_requests_arrive},
    issuer::Issuer,
    tokens::{of_alva, with_config},
};

/// The wait of most requests here.
const WAIT: Duration = Duration::from_millis(150);
const JUST_BEFORE: Duration = Duration::from_millis(149);

fn alva() -> String {
    format!("email={}", ALVA.email)
}

/// The response to a request, which must not arrive before `WAIT` has passed.
async fn after_wait(app: &TestApp, request: RequestBuilder) -> Answer {
    let pending: JoinHandle<Answer> = tokio::spawn(Answer::of(request));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(JUST_BEFORE);
    let_requests_arrive().await;
    assert!(!pending.is_finished());
    app.advance(Duration::from_millis(1));
    pending.await.expect("an answer")
}

#[tokio::test]
async fn wait_ends_the_request_and_the_call_fills_the_cache() {
    let issuer = Issuer::new();
    let query = format!("{}&wait=150", alva());
    for route in ["query", "body", "me"] {
        let app = with_config(&issuer, |_| {}).await;
        let hold = app.engage.hold(Endpoint::All);
        let request = match route {
            "query" => app.customer(TILL, &query),
            "body" => app
                .post(TILL)
                .body(json!({"email": ALVA.email, "wait": 150}).to_string()),
            _ => app
                .request("/customer/me?wait=150")
                .header(AUTHORIZATION, format!("Bearer {}", issuer.sign(&of_alva()))),
        };
        let late = after_wait(&app, request).await;
        late.assert_problem(504, "UpstreamTimeout");
        assert_eq!(late.at("/retryable"), true);
        let calls = app.engage.calls(Endpoint::Overview);
        hold.release();
        // The result of the same call.
        let again = match route {
            "me" => format!("contactId={}", ALVA.id),
            _ => alva(),
        };
        app.get(&again).await.assert_ok();
        assert_eq!(app.engage.calls(Endpoint::Overview), calls, "{route}");
    }
}

#[tokio::test]
async fn others_still_get_the_answer_of_the_shared_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::All);
    let patient = app.spawn_get(&alva());
    let late = after_wait(&app, app.customer(TILL, &format!("{}&wait=150", alva()))).await;
    late.assert_problem(504, "UpstreamTimeout");
    assert!(!patient.is_finished());
    hold.release();
    patient.await.expect("an answer").assert_ok();
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn stale_data_is_served_after_the_wait_because_engage_is_slow() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(Duration::from_secs(90));
    app.engage.reset_log();
    let _hold = app.engage.hold(Endpoint::All);
    let stale = after_wait(&app, app.customer(TILL, &format!("{}&wait=150", alva()))).await;
    // Engage has not failed, so no alarm about failures may count this.
    stale.assert_stale_if_slow();
    assert_ne!(stale.at("/degraded"), json!([]));
}

#[tokio::test]
async fn part_that_is_not_there_in_time_is_null() {
    let app = TestApp::spawn().await;
    let without_points = format!("{}&parts=promotions,vouchers", alva());
    app.get(&without_points).await.assert_ok();
    app.engage.reset_log();
    let _hold = app.engage.hold(Endpoint::PointAccounts);
    let query = format!("{}&wait=150&fresh=points", alva());
    let pending = tokio::spawn(Answer::of(app.customer(TILL, &query)));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.advance(WAIT);
    let answer = pending.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["points"]));
}

#[tokio::test]
async fn guest_answers_after_the_wait() {
    let app = TestApp::spawn().await;
    let _hold = app.engage.hold(Endpoint::All);
    let query = format!("{}&wait=150&onUnavailable=guest", alva());
    let guest = after_wait(&app, app.customer(TILL, &query)).await;
    assert_eq!(guest.assert_ok().at("/contactId"), Value::Null);
}

#[tokio::test]
async fn wait_is_whole_milliseconds_up_to_the_services_own_limit() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    for wait in ["100", "2500", "0100"] {
        app.get(&format!("{}&wait={wait}", alva()))
            .await
            .assert_ok();
    }
    for wait in ["99", "2501", "0", "-1", "1e3", "300ms", "", "%2B300"] {
        let refused = app.get(&format!("{}&wait={wait}", alva())).await;
        refused.assert_problem(400, "InvalidParameter");
        assert_eq!(refused.at("/parameter"), "wait", "{wait}");
    }
    let form = app.get(&format!("{}&wait=x", alva())).await;
    let expected = "wait: whole milliseconds from 100 to 2500";
    assert_eq!(form.at("/detail"), expected);
    for wait in [json!(100), json!("300"), json!(2500)] {
        let body = json!({"email": ALVA.email, "wait": wait});
        app.lookup(body).await.assert_ok();
    }
    for wait in [json!(99), json!(2501), json!(300.5), json!(null), json!([])] {
        let body = json!({"email": ALVA.email, "wait": wait});
        let refused = app.lookup(body).await;
        refused.assert_problem(400, "InvalidParameter");
        assert_eq!(refused.at("/parameter"), "wait");
    }
}

#[tokio::test]
async fn prefetch_batch_and_changed_refuse_a_wait() {
    let app = TestApp::spawn().await;
    for (path, body) in [
        ("prefetch", json!({"contactId": ALVA.id, "wait": 300})),
        (
            "batch",
            json!({"lookups": [{"contactId": ALVA.id}], "wait": 300}),
        ),
        ("changed", json!({"contactId": ALVA.id, "wait": 300})),
    ] {
        let request = app.post_to(&format!("/customer/{path}"), TILL);
        let refused = Answer::of(request.body(body.to_string())).await;
        refused.assert_problem(400, "InvalidParameter");
        assert_eq!(refused.at("/parameter"), "wait", "{path}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn hit_with_a_wait_stays_on_the_fast_path() {
    let app = TestApp::spawn().await;
    app.get_as(SHOP, &alva()).await.assert_ok();
    let request = format!(
        "GET /customer?{}&wait=300 HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {SHOP}\r\n\r\n",
        alva()
    );
    let (response, is_taken) = assert_same_by_both(&app, request.as_bytes()).await;
    assert!(is_taken, "{response}");
}
