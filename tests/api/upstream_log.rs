//! Log events about calls that fail: the first failure with the request that caused it, then a count every ten seconds;
//! one message for each cause; and an event when Engage answers again.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    admission::{broken, fail, fail_about, ids, of},
    harness::{Answer, SHOP, TestApp, alarms, events, wait_until},
};

const SECOND: Duration = Duration::from_secs(1);
const FAILED: &str = "upstream request failed";

/// Looks the contact up with this request id.
async fn look_up(app: &TestApp, id: &str, request_id: &str) -> u16 {
    let request = app.customer(SHOP, &of(id));
    let answer = Answer::of(request.header("x-request-id", request_id)).await;
    answer.status
}

#[tokio::test]
async fn repeated_failures_are_logged_at_once_then_counted_every_ten_seconds() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.engage.fault(Endpoint::Overview, broken());
    for (number, id) in ids[..12].iter().enumerate() {
        assert_eq!(look_up(&app, id, &format!("failed-{number}")).await, 502);
    }
    let first = events(FAILED);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(first[0]["group"], "overview");
    assert_eq!(first[0]["request_id"], "failed-0");
    assert_eq!(first[0]["level"], "WARN");
    assert!(first[0]["duration_ms"].is_number() && first[0]["error"].is_string());
    assert_eq!(first[0].get("count"), None);

    app.advance(10 * SECOND);
    wait_until(|| events(FAILED).len() == 2).await;
    let second = &events(FAILED)[1];
    assert_eq!(second["count"], 11);
    assert_eq!(second["request_id"], "failed-11");
    assert_eq!(second["error"], first[0]["error"]);

    // Another error of the group is another event, and a window without failures ends the counting.
    app.engage
        .fault(Endpoint::Overview, Fault::Status(501, json!("no")));
    assert_eq!(look_up(&app, &ids[12], "other").await, 502);
    assert_eq!(events(FAILED).len(), 3);
    app.advance(10 * SECOND);
    assert_eq!(look_up(&app, &ids[13], "again").await, 502);
    wait_until(|| {
        let last = events(FAILED).pop().expect("an event");
        last["request_id"] == "again"
    })
    .await;
}

#[tokio::test]
async fn engage_answering_again_is_logged_with_duration_and_count() {
    const AGAIN: &str = "engage outage ended";
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.engage.fault(Endpoint::Overview, broken());
    for id in &ids[..3] {
        look_up(&app, id, "failing").await;
        app.advance(20 * SECOND);
    }
    assert_eq!(events(AGAIN).len(), 0);
    app.engage.clear_faults();
    for id in &ids[3..6] {
        assert_eq!(look_up(&app, id, "answered").await, 200);
    }
    let again = events(AGAIN);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["group"], "overview");
    assert_eq!(again[0]["failures"], 3);
    assert_eq!(again[0]["failed_seconds"], 60.0);
    assert_eq!(again[0]["level"], "INFO");
}

#[tokio::test]
async fn one_failing_contact_among_others_is_no_outage() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    let no = Fault::Status(500, json!("no"));
    for other in &ids[..3] {
        app.engage.fault_times(Endpoint::Overview, no.clone(), 1);
        assert_eq!(look_up(&app, ALVA.id, "failing").await, 502);
        assert_eq!(look_up(&app, other, "answered").await, 200);
        app.advance(300 * SECOND);
    }
    assert_eq!(look_up(&app, &ids[9], "answered").await, 200);
    // One contact is logged once, until a call about it succeeds.
    assert_eq!(events(FAILED).len(), 1);
    assert_eq!(events("engage outage ended").len(), 0);
}

#[tokio::test]
async fn each_fault_for_an_operator_has_a_message_of_its_own() {
    let refused = |status, code: &str| Fault::Status(status, json!({"errorCode": code}));
    for (fault, message) in [
        (refused(401, "Unauthorized"), "engage API key not accepted"),
        (refused(403, "Forbidden"), "engage request forbidden"),
        (
            refused(500, "InvalidSystemConfiguration"),
            "engage tenant not configured",
        ),
        (
            Fault::WrongContact(BO.id.to_owned()),
            "engage response about another contact",
        ),
        (Fault::HtmlOk200, "engage response unreadable"),
    ] {
        let app = TestApp::spawn().await;
        let before = alarms();
        app.engage.fault(Endpoint::Overview, fault);
        for id in [ALVA.id, BO.id] {
            if message.contains("another") && id == BO.id {
                continue;
            }
            look_up(&app, id, "of-an-operator").await;
        }
        assert_eq!(alarms() - before, 1, "{message}");
        let logged = events(message);
        assert_eq!(logged.len(), 1, "{message}");
        assert_eq!(logged[0]["alarm"], true);
        assert_eq!(logged[0]["level"], "ERROR");
        assert_eq!(logged[0]["group"], "overview");
        assert_eq!(logged[0]["request_id"], "of-an-operator");
        assert_eq!(events(FAILED).len(), 0, "{message}");
    }
}

#[tokio::test]
async fn breaker_is_logged_when_it_opens_and_when_it_closes() {
    const OPENED: &str = "circuit breaker opened";
    const CLOSED: &str = "circuit breaker closed";
    let app = TestApp::spawn().await;
    fail(&app, broken(), 20).await;
    assert_eq!(events(OPENED).len(), 1);
    let ids = ids(&app);
    for id in &ids[30..34] {
        // A probe, which fails.
        app.advance(5 * SECOND);
        fail_about(&app, broken(), std::slice::from_ref(id)).await;
    }
    assert_eq!((events(OPENED).len(), events(CLOSED).len()), (1, 0));
    app.engage.clear_faults();
    app.advance(5 * SECOND);
    assert_eq!(look_up(&app, &ids[40], "probe").await, 200);
    let closed = events(CLOSED);
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["group"], "overview");
    assert_eq!(closed[0]["open_seconds"], 25.0);
    fail(&app, broken(), 20).await;
    assert_eq!(events(OPENED).len(), 2);
}

#[tokio::test]
async fn pause_after_429s_is_logged_once() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let fault = Fault::TooMany {
        retry_after: Some("7".to_owned()),
    };
    app.engage.fault(Endpoint::Overview, fault);
    let pending: Vec<_> = ids[..5].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 5).await;
    hold.release();
    for pending in pending {
        let answer = pending.await.expect("an answer");
        answer.assert_problem(503, "UpstreamUnavailable");
    }
    let paused = events("upstream rate limit exceeded");
    assert_eq!(paused.len(), 1, "{paused:?}");
    assert_eq!(paused[0]["pause_seconds"], 7.0);
    let failed: Vec<Value> = events(FAILED);
    assert!(failed.is_empty(), "{failed:?}");
}
