//! The names of points: they are read from Engage's point definitions in the background, and no response needs them.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, events, let_requests_arrive, logs, wait_until};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const ALMOST_A_DAY: Duration = Duration::from_secs(24 * 3600 - 1);

fn fresh() -> String {
    format!("contactId={}&fresh=points", ALVA.id)
}

/// The names of the accounts.
#[track_caller]
fn names(answer: &Answer) -> Value {
    let accounts = answer.assert_ok().at("/points/accounts");
    let accounts = accounts.as_array().expect("a list").iter();
    accounts.map(|account| account["name"].clone()).collect()
}

/// The age of the list of definitions; `None` before it was read. The metrics contain the time at which it was read, or
/// 0.
async fn age(app: &TestApp) -> Option<f64> {
    let metrics = app.operations("/metrics").await;
    let name = "engage_bff_engage_point_definitions_read_timestamp_seconds ";
    let line = metrics.text().lines().find_map(|l| l.strip_prefix(name));
    let read: f64 = line?.parse().expect("a number");
    let now = app.customers.clock().now().wall.as_duration();
    (read > 0.0).then(|| (now.as_secs_f64() - read).round())
}

/// A service that is about to read the definitions: nothing has run yet when this returns.
async fn with_names() -> TestApp {
    TestApp::with(|config| config.engage.point_names = true).await
}

/// A service that knows the names.
async fn named() -> TestApp {
    let app = with_names().await;
    app.read_definitions(1).await;
    app
}

impl TestApp {
    /// Waits until the service has read the definitions this many times and has stored the last list.
    async fn read_definitions(&self, times: usize) {
        self.engage
            .wait_for_calls(Endpoint::PointDefinitions, times)
            .await;
        self.settled().await;
    }

    /// Waits until no call is in flight, and the service has read the last answer.
    async fn settled(&self) {
        wait_until(|| self.engage.in_flight() == 0).await;
        let_requests_arrive().await;
    }

    fn definition_calls(&self) -> usize {
        self.engage.calls(Endpoint::PointDefinitions)
    }

    /// Advances the clock, and lets the background work run.
    async fn pass(&self, time: Duration) {
        self.advance(time);
        let_requests_arrive().await;
        self.settled().await;
    }
}

#[tokio::test]
async fn accounts_have_the_names_of_their_definitions() {
    let app = named().await;
    let query = format!("{}&expiringWithin=60d", fresh());
    let answer = app.get(&query).await;
    assert_eq!(names(&answer), json!(["Bonus", "Eco"]));
    let soon = answer.at("/expiringSoon");
    let points = soon.as_array().expect("a list").iter();
    let mut points = points.filter(|item| item["kind"] == "points");
    assert_eq!(points.next().expect("points")["name"], "Bonus");
    // The cached response keeps them, in either view, without a further call.
    for view in ["full", "storefront"] {
        let query = format!("contactId={}&view={view}", ALVA.id);
        let answer = app.get(&query).await;
        answer.assert_hit();
        assert_eq!(names(&answer), json!(["Bonus", "Eco"]));
    }
    assert_eq!(app.definition_calls(), 1);
    let log = app.engage.log();
    let call = log.iter().find(|call| call.path.ends_with("/definitions"));
    let call = call.expect("a call");
    assert_eq!(call.parameter("offset"), Some("0"));
    assert!(call.headers.api_key && call.headers.content_type);
}

#[tokio::test]
async fn account_of_an_unknown_definition_has_no_name() {
    let app = with_names().await;
    app.read_definitions(1).await;
    app.engage.contact(ALVA.id).points_of(77, "5");
    let answer = app.get(&fresh()).await;
    assert_eq!(names(&answer), json!(["Bonus", "Eco", null]));
    assert_eq!(answer.at("/degraded"), json!([]));
}

#[tokio::test]
async fn no_request_waits_for_names_and_a_refresh_adds_them() {
    let app = with_names().await;
    let hold = app.engage.hold(Endpoint::PointDefinitions);
    app.engage
        .wait_for_calls(Endpoint::PointDefinitions, 1)
        .await;
    let ready = app.operations("/readyz").await;
    assert_eq!(ready.assert_ok().at("/ready"), true);
    let answer = app.get(&fresh()).await;
    assert_eq!(names(&answer), json!([null, null]));
    assert_eq!(answer.at("/degraded"), json!([]));
    hold.release();
    app.settled().await;
    // The record was stored without names; the next fetch adds them.
    let cached = app.get(&format!("contactId={}", ALVA.id)).await;
    cached.assert_hit();
    assert_eq!(names(&cached), json!([null, null]));
    assert_eq!(names(&app.get(&fresh()).await), json!(["Bonus", "Eco"]));
    assert_eq!(app.definition_calls(), 1);
}

#[tokio::test]
async fn names_are_read_again_after_a_day() {
    let app = named().await;
    assert_eq!(age(&app).await, Some(0.0));
    app.engage.define_points(1, "Crowns");
    app.pass(ALMOST_A_DAY).await;
    assert_eq!(app.definition_calls(), 1);
    assert_eq!(age(&app).await, Some(86_399.0));
    assert_eq!(names(&app.get(&fresh()).await), json!(["Bonus", "Eco"]));
    app.pass(SECOND).await;
    assert_eq!(app.definition_calls(), 2);
    assert_eq!(age(&app).await, Some(0.0));
    assert_eq!(names(&app.get(&fresh()).await), json!(["Crowns", "Eco"]));
}

#[tokio::test]
async fn known_names_outlive_failures_and_retries_back_off() {
    let app = named().await;
    app.engage.fault(
        Endpoint::PointDefinitions,
        Fault::Status(500, json!("busy")),
    );
    app.pass(HOUR * 24).await;
    assert_eq!(app.definition_calls(), 2);
    let mut calls = 2;
    for wait in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        app.pass(Duration::from_secs(wait - 1)).await;
        assert_eq!(app.definition_calls(), calls, "{wait}");
        app.pass(SECOND).await;
        calls += 1;
        assert_eq!(app.definition_calls(), calls, "{wait}");
    }
    let answer = app.get(&fresh()).await;
    assert_eq!(names(&answer), json!(["Bonus", "Eco"]));
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(logs().matches("point definitions unavailable").count(), 1);
    app.engage.clear_faults();
    app.engage.define_points(2, "Green");
    app.pass(HOUR).await;
    assert_eq!(names(&app.get(&fresh()).await), json!(["Bonus", "Green"]));
    app.pass(HOUR * 23).await;
    assert_eq!(app.definition_calls(), calls + 1);
}

#[tokio::test]
async fn engage_without_the_endpoint_is_asked_once_a_day_and_quietly() {
    for fault in [
        Fault::Status(404, json!("no such path")),
        Fault::Status(404, json!({"errorCode": "ContactNotFound"})),
        Fault::Status(400, json!({"errorCode": "InvalidPointAccountId"})),
        Fault::Status(400, json!("bad request")),
        Fault::Status(405, json!("")),
    ] {
        let app = with_names().await;
        app.engage.fault(Endpoint::PointDefinitions, fault);
        app.read_definitions(1).await;
        let before = logs().matches("point definitions not offered").count();
        assert_eq!(names(&app.get(&fresh()).await), json!([null, null]));
        app.pass(ALMOST_A_DAY).await;
        assert_eq!(app.definition_calls(), 1);
        let after = logs().matches("point definitions not offered").count();
        assert_eq!(after, before);
        assert_eq!(age(&app).await, None);
        app.pass(SECOND).await;
        assert_eq!(app.definition_calls(), 2);
        app.engage.clear_faults();
        app.pass(HOUR * 24).await;
        assert_eq!(names(&app.get(&fresh()).await), json!(["Bonus", "Eco"]));
    }
    let logs = logs();
    assert!(!logs.contains("point definitions unavailable"));
    assert!(!logs.contains("alarm"), "{logs}");
}

#[tokio::test]
async fn failing_definitions_degrade_nothing() {
    for fault in [
        Fault::Status(500, json!("busy")),
        Fault::Status(403, json!("forbidden")),
        Fault::Html502,
        Fault::HtmlOk200,
        Fault::Empty200,
        Fault::TruncatedJson,
        Fault::ResetMidBody,
        Fault::WrongContentType,
        Fault::Hang,
    ] {
        let app = with_names().await;
        app.engage.fault(Endpoint::PointDefinitions, fault.clone());
        app.engage
            .wait_for_calls(Endpoint::PointDefinitions, 1)
            .await;
        let_requests_arrive().await;
        for query in [
            format!("email={}", ALVA.email),
            fresh(),
            format!("contactId={}", ALVA.id),
        ] {
            let answer = app.get(&query).await;
            answer.assert_ok();
            assert_eq!(answer.at("/degraded"), json!([]), "{fault:?}");
            assert_eq!(answer.at("/points/balance"), json!(317.5), "{fault:?}");
            assert_eq!(names_of_any(&answer), [Value::Null], "{fault:?}");
        }
        let ready = app.operations("/readyz").await;
        assert_eq!(ready.assert_ok().at("/ready"), true, "{fault:?}");
    }
}

/// The distinct names of the accounts.
#[track_caller]
fn names_of_any(answer: &Answer) -> Vec<Value> {
    let names = names(answer);
    let mut names = names.as_array().expect("a list").clone();
    names.dedup();
    names
}

#[tokio::test]
async fn hostile_definitions_leave_names_out_and_nothing_else() {
    let many: Vec<Value> = (0..10_000)
        .map(|id| json!({"id": id, "name": format!("Kind {id}")}))
        .collect();
    let megabyte = "n".repeat(1_000_000);
    let script = "<script>alert(\"1\")</script>";
    let item = |name: Value| json!([{"id": 1, "name": name}, {"id": "2", "name": "Eco"}]);
    for (body, expected) in [
        (json!(many), json!(["Kind 1", "Kind 2"])),
        (item(json!(megabyte)), json!([null, "Eco"])),
        (
            item(json!(format!("{megabyte}{megabyte}"))),
            json!([null, null]),
        ),
        (item(json!(script)), json!([script, "Eco"])),
        (item(json!({"sv": "Bonus"})), json!([null, "Eco"])),
        (item(json!(["Bonus"])), json!([null, "Eco"])),
        (item(json!(false)), json!([null, "Eco"])),
        (item(json!("")), json!([null, "Eco"])),
        (
            json!([1, "two", null, [], {"id": 1}, {"name": "Bonus"}]),
            json!([null, null]),
        ),
        (
            json!([{"id": null, "name": "A"}, {"id": [1], "name": "B"}]),
            json!([null, null]),
        ),
        (
            json!({"items": [{"id": 1, "name": "A"}], "totalCount": 1}),
            json!(["A", null]),
        ),
        (
            json!({"items": [], "totalCount": 1_000_000}),
            json!([null, null]),
        ),
        (json!({"items": "none"}), json!([null, null])),
        (json!("Bonus"), json!([null, null])),
        (json!([]), json!([null, null])),
    ] {
        let app = with_names().await;
        let fault = Fault::Body(body.to_string());
        app.engage.fault(Endpoint::PointDefinitions, fault);
        app.read_definitions(1).await;
        let answer = app.get(&fresh()).await;
        let written = format!("{body:.60}");
        assert_eq!(names(&answer), expected, "{written}");
        assert_eq!(answer.at("/degraded"), json!([]), "{written}");
        assert_eq!(answer.at("/points/balance"), json!(317.5), "{written}");
    }
    let logs = logs();
    assert!(!logs.contains("nnnnnnnnnn"));
    assert!(!logs.contains("<script>"));
}

#[tokio::test]
async fn definitions_wait_for_other_calls_and_are_read_one_at_a_time() {
    let app = TestApp::with(|config| {
        config.engage.point_names = true;
        config.engage.max_concurrency = 1;
    })
    .await;
    app.read_definitions(1).await;
    app.pass(ALMOST_A_DAY).await;
    // An interactive call occupies the only permit, and another one waits for it.
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&format!("contactId={}&parts=none", ALVA.id));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(SECOND);
    let second = app.spawn_get(&format!("contactId={}&parts=none", BO.id));
    let_requests_arrive().await;
    assert_eq!(app.definition_calls(), 1);
    hold.release_one();
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    assert_eq!(app.definition_calls(), 1);
    let definitions = app.engage.hold(Endpoint::PointDefinitions);
    hold.release();
    for person in [first, second] {
        person.await.expect("an answer").assert_ok();
    }
    app.engage
        .wait_for_calls(Endpoint::PointDefinitions, 2)
        .await;
    // After eight seconds no second call has started.
    app.advance(Duration::from_secs(8));
    let_requests_arrive().await;
    assert_eq!(app.definition_calls(), 2);
    definitions.release();
    app.settled().await;
    assert_eq!(age(&app).await, Some(0.0));
}

#[tokio::test]
async fn calls_count_in_a_group_of_their_own() {
    let app = named().await;
    let metrics = app.operations("/metrics").await;
    let line = "engage_bff_engage_calls_total{group=\"point_definitions\",outcome=\"ok\"} 1";
    assert!(metrics.text().contains(line), "{}", metrics.text());
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn unknown_default_definition_is_logged_once_a_day() {
    let what = "default point definition unknown";
    let app = named().await;
    assert!(!logs().contains(what));
    app.engage.remove_point_definition(1);
    app.pass(HOUR * 24).await;
    assert_eq!(logs().matches(what).count(), 1);
    assert_eq!(events(what)[0]["alarm"], true);
    app.pass(HOUR * 2).await;
    assert_eq!(logs().matches(what).count(), 1);
    // Its balance is still shown: only the accounts matter.
    let answer = app.get(&fresh()).await;
    assert_eq!(names(&answer), json!([null, "Eco"]));
    assert_eq!(answer.at("/points/balance"), json!(317.5));
}

#[tokio::test]
async fn unwanted_names_cost_no_call() {
    let app = TestApp::spawn().await;
    let answer = app.get(&fresh()).await;
    assert_eq!(names(&answer), json!([null, null]));
    app.pass(HOUR * 25).await;
    assert_eq!(app.definition_calls(), 0);
    assert_eq!(age(&app).await, None);
}
