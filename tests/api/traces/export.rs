//! How spans are sent, and what happens if the collector does not accept them.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use http::StatusCode;

use super::{
    collector::{Behaviour, Collector},
    traced, traced_with, traceparent,
};
use crate::harness::{Answer, READER, TestApp, let_requests_arrive, logs, wait_until};

fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Sends a request that is traced.
async fn get(app: &TestApp) {
    let request = app.customer(READER, &by_email());
    let request = request.header("traceparent", traceparent(true));
    Answer::of(request).await.assert_ok();
}

/// The numbers of exported and of dropped spans.
async fn counts(app: &TestApp) -> (u64, u64) {
    let metrics = app.operations("/metrics").await;
    let value = |name: &str| {
        let line = metrics.text().lines().find_map(|line| {
            let rest = line.strip_prefix("engage_bff_traces_")?;
            rest.strip_prefix(name)?.strip_prefix("_total ")
        });
        line.expect("the metric").parse().expect("a number")
    };
    (value("exported"), value("dropped"))
}

/// Waits until this many spans were exported and dropped.
async fn counted(app: &TestApp, exported: u64, dropped: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let mut seen = (0, 0);
    for _ in 0..5000 {
        seen = counts(app).await;
        if seen == (exported, dropped) {
            return;
        }
        ticks.tick().await;
    }
    panic!("exported and dropped: {seen:?}");
}

/// How often the log has this message.
fn logged(message: &str) -> usize {
    logs().matches(&format!("\"{message}\"")).count()
}

#[tokio::test]
async fn spans_of_a_second_are_one_message_with_the_configured_fields() {
    let (app, collector) = traced_with(0.0, |config| {
        let headers = "Authorization=Basic%20c2hvcDpzZWNyZXQ=, x-scope=shop%2Ceu";
        config.telemetry.otlp_headers = Some(headers.into());
    })
    .await;
    assert_eq!(counts(&app).await, (0, 0));
    for _ in 0..3 {
        get(&app).await;
    }
    collector.spans_of(&app, 5).await;
    counted(&app, 5, 0).await;
    let received = collector.received();
    assert_eq!(received.len(), 1);
    let message = &received[0];
    assert_eq!(message.path, "/v1/traces");
    assert_eq!(message.headers["content-type"], "application/x-protobuf");
    assert_eq!(message.headers["authorization"], "Basic c2hvcDpzZWNyZXQ=");
    assert_eq!(message.headers["x-scope"], "shop,eu");
    let resource = message.content.resource_spans[0].resource.as_ref();
    let text = format!("{:?}", resource.expect("a resource").attributes);
    for key in [
        "service.name",
        "engage-bff",
        "service.version",
        "service.instance.id",
    ] {
        assert!(text.contains(key), "{key} in {text}");
    }
}

#[tokio::test]
async fn path_of_the_endpoint_is_kept() {
    let collector = Collector::start().await;
    let app = TestApp::with(|config| {
        config.telemetry.otlp_endpoint = Some(format!("{}/otlp/here", collector.url));
    })
    .await;
    get(&app).await;
    collector.spans_of(&app, 3).await;
    assert_eq!(collector.received()[0].path, "/otlp/here");
}

#[tokio::test]
async fn collector_that_hangs_delays_no_request_and_its_spans_are_dropped() {
    let (app, collector) = traced_with(0.0, |_| {}).await;
    collector.set_behaviour(Behaviour::Hang);
    get(&app).await;
    app.advance(Duration::from_secs(1));
    wait_until(|| collector.received().len() == 1).await;
    // While it hangs, further spans wait.
    for _ in 0..10 {
        get(&app).await;
    }
    assert_eq!(counts(&app).await, (0, 0));
    app.advance(Duration::from_secs(5));
    counted(&app, 0, 3).await;
    assert_eq!(logged("trace export failed"), 1);
    assert!(logs().contains("\"why\":\"timeout\""));
    collector.set_behaviour(Behaviour::Accept);
    wait_until(|| collector.received().len() >= 2).await;
    app.advance(Duration::from_secs(5));
    get(&app).await;
    app.advance(Duration::from_secs(1));
    wait_until(|| logged("trace export recovered") == 1).await;
    assert_eq!(logged("trace export failed"), 1);
}

#[tokio::test]
async fn queue_is_bounded_while_the_collector_hangs() {
    let (app, collector) = traced().await;
    collector.set_behaviour(Behaviour::Hang);
    get(&app).await;
    app.advance(Duration::from_secs(1));
    wait_until(|| collector.received().len() == 1).await;
    for _ in 0..2100 {
        app.get_as(READER, &by_email()).await.assert_ok();
    }
    assert_eq!(counts(&app).await, (0, 2100 - 2048));
}

#[tokio::test]
async fn refused_and_partly_rejected_spans_are_counted_as_dropped() {
    let (app, collector) = traced_with(0.0, |_| {}).await;
    collector.set_behaviour(Behaviour::Refuse(StatusCode::SERVICE_UNAVAILABLE));
    for dropped in [3, 4] {
        get(&app).await;
        app.advance(Duration::from_secs(1));
        counted(&app, 0, dropped).await;
    }
    assert_eq!(logged("trace export failed"), 1);
    assert!(logs().contains("\"status\":503"));
    collector.set_behaviour(Behaviour::Reject(1));
    get(&app).await;
    get(&app).await;
    app.advance(Duration::from_secs(1));
    counted(&app, 1, 5).await;
    assert_eq!(logged("trace export recovered"), 1);
}

#[tokio::test]
async fn absent_collector_costs_spans_and_nothing_else() {
    let app = TestApp::with(|config| {
        // The port of a listener that has been closed again.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        config.telemetry.otlp_endpoint = Some(format!("http://{address}"));
    })
    .await;
    get(&app).await;
    app.advance(Duration::from_secs(1));
    counted(&app, 0, 3).await;
    assert!(logs().contains("\"why\":\"unreachable\""));
}

#[tokio::test]
async fn shutdown_sends_the_remaining_spans() {
    let (app, collector) = traced().await;
    get(&app).await;
    app.stop().await.expect("a clean end");
    assert_eq!(collector.spans().0.len(), 3);
}

#[tokio::test]
async fn shutdown_waits_a_second_at_most_for_the_collector() {
    let (app, collector) = traced().await;
    collector.set_behaviour(Behaviour::Hang);
    get(&app).await;
    app.begin_shutdown();
    wait_until(|| collector.received().len() == 1).await;
    app.advance(Duration::from_millis(999));
    let_requests_arrive().await;
    assert_eq!(logged("stopped"), 0);
    app.advance(Duration::from_millis(1));
    wait_until(|| logged("stopped") == 1).await;
    app.stop().await.expect("a clean end");
}

/// The `Authorization` of each message that arrived.
fn authorizations(collector: &Collector) -> Vec<String> {
    let received = collector.received().into_iter();
    let fields = received.map(|message| message.headers["authorization"].clone());
    fields
        .map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

/// A service that traces only what its callers trace, and sends this token to the collector.
async fn with_token(token: &str) -> (TestApp, Collector) {
    let headers = format!("Authorization=Bearer%20{token}");
    traced_with(0.0, |config| {
        config.telemetry.otlp_headers = Some(headers.into());
    })
    .await
}

#[tokio::test]
async fn reloaded_token_is_sent_with_the_next_message() {
    let (app, collector) = with_token("the-first-token").await;
    get(&app).await;
    collector.spans_of(&app, 3).await;
    let reloaded = app
        .reload(|config| {
            config.telemetry.otlp_headers = Some("Authorization=Bearer%20the-second-token".into());
        })
        .await
        .expect("a reload");
    assert_eq!(reloaded.changed, ["telemetry.otlp_headers"]);
    assert!(reloaded.needs_restart.is_empty());
    get(&app).await;
    collector.spans_of(&app, 4).await;
    assert_eq!(
        authorizations(&collector),
        ["Bearer the-first-token", "Bearer the-second-token"]
    );
}

#[tokio::test]
async fn token_of_another_collector_needs_a_restart() {
    let (app, collector) = with_token("the-first-token").await;
    let reloaded = app
        .reload(|config| {
            config.telemetry.otlp_endpoint = Some("https://otlp.example.com".to_owned());
            config.telemetry.otlp_headers = Some("Authorization=Bearer%20the-second-token".into());
        })
        .await
        .expect("a reload");
    assert!(reloaded.changed.is_empty());
    assert_eq!(
        reloaded.needs_restart,
        ["telemetry.otlp_endpoint", "telemetry.otlp_headers"]
    );
    get(&app).await;
    collector.spans_of(&app, 3).await;
    assert_eq!(authorizations(&collector), ["Bearer the-first-token"]);
}
