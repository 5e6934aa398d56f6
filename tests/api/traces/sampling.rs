//! Which requests are traced, and which trace they continue.

use engage_simulator::fixtures::ALVA;
use http::header::AUTHORIZATION;

use super::{
    PARENT, TRACE,
    collector::{Collector, Spans},
    hex, traced_with, traceparent,
};
use crate::{
    harness::{Answer, READER, SHOP, TestApp},
    issuer::Issuer,
    tokens,
};

fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Sends a request with this `traceparent` and this credential.
async fn send(app: &TestApp, key: Option<&str>, token: Option<&str>, traceparent: &str) {
    let path = if token.is_some() {
        "/customer/me?parts=none".to_owned()
    } else {
        format!("/customer?{}", by_email())
    };
    let mut request = app.request(&path).header("traceparent", traceparent);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    Answer::of(request).await.assert_ok();
}

/// Stops the service, which sends its remaining spans, and returns all spans that arrived.
async fn all_spans(app: TestApp, collector: &Collector) -> Spans {
    app.stop().await.expect("a clean end");
    collector.spans()
}

#[tokio::test]
async fn client_with_a_key_decides_for_its_own_requests() {
    for (ratio, is_sampled) in [(0.0, true), (1.0, false)] {
        let (app, collector) = traced_with(ratio, |_| {}).await;
        // A miss, and a hit of the fast path.
        for _ in 0..2 {
            send(&app, Some(READER), None, &traceparent(is_sampled)).await;
        }
        assert_eq!(app.fast_path_total(), 1);
        let sent = app.engage.log()[0].traceparent.clone();
        let sent = sent.expect("a traceparent");
        assert!(sent.starts_with(&format!("00-{TRACE}-")), "{sent}");
        assert!(sent.ends_with(if is_sampled { "-01" } else { "-00" }));
        let spans = all_spans(app, &collector).await;
        let servers = spans.all("GET /customer");
        assert_eq!(servers.len(), if is_sampled { 2 } else { 0 });
        for server in servers {
            assert_eq!(hex(&server.trace_id), TRACE);
            assert_eq!(hex(&server.parent_span_id), PARENT);
        }
    }
}

#[tokio::test]
async fn caller_without_a_key_can_neither_force_nor_extend_a_trace() {
    let issuer = Issuer::new();
    let token = issuer.sign(&tokens::of_alva());
    for (ratio, count) in [(0.0, 0), (1.0, 3)] {
        let collector = Collector::start().await;
        let app = tokens::with_config(&issuer, |config| {
            config.telemetry.otlp_endpoint = Some(collector.url.clone());
            config.telemetry.trace_sample_ratio = ratio;
        })
        .await;
        send(&app, None, Some(&token), &traceparent(true)).await;
        let spans = all_spans(app, &collector).await;
        assert_eq!(spans.0.len(), count, "{:?}", spans.names());
        for server in spans.all("GET /customer/me") {
            // A trace of its own, with a link to the caller's.
            assert_ne!(hex(&server.trace_id), TRACE);
            assert_eq!(server.parent_span_id, Vec::<u8>::new());
            assert_eq!(hex(&server.links[0].trace_id), TRACE);
            assert_eq!(hex(&server.links[0].span_id), PARENT);
        }
    }
}

#[tokio::test]
async fn key_next_to_a_token_decides_for_its_request() {
    let issuer = Issuer::new();
    let token = issuer.sign(&tokens::of_alva());
    let collector = Collector::start().await;
    let app = tokens::with_config(&issuer, |config| {
        config.telemetry.otlp_endpoint = Some(collector.url.clone());
        config.telemetry.trace_sample_ratio = 0.0;
    })
    .await;
    send(&app, Some(SHOP), Some(&token), &traceparent(true)).await;
    let spans = all_spans(app, &collector).await;
    assert_eq!(hex(&spans.only("GET /customer/me").trace_id), TRACE);
}

#[tokio::test]
async fn anonymous_caller_is_a_caller_without_a_key() {
    let (app, collector) = traced_with(0.0, |config| config.auth.allow_anonymous = true).await;
    send(&app, None, None, &traceparent(true)).await;
    assert_eq!(all_spans(app, &collector).await.names(), Vec::<&str>::new());
}

#[tokio::test]
async fn malformed_or_repeated_traceparent_is_ignored() {
    let (app, collector) = traced_with(1.0, |_| {}).await;
    // A miss, and a hit of the fast path.
    for _ in 0..2 {
        send(&app, Some(READER), None, "00-zq9mark-zq9mark-01").await;
        let twice = app
            .customer(READER, &by_email())
            .header("traceparent", traceparent(false))
            .header("traceparent", traceparent(false));
        Answer::of(twice).await.assert_ok();
    }
    assert_eq!(app.fast_path_total(), 3);
    let spans = all_spans(app, &collector).await;
    assert_eq!(spans.0.len(), 6, "{:?}", spans.names());
    for server in spans.all("GET /customer") {
        assert_ne!(hex(&server.trace_id), TRACE);
        assert_eq!(server.parent_span_id, Vec::<u8>::new());
    }
}

#[tokio::test]
async fn probes_and_operators_are_not_traced() {
    let (app, collector) = traced_with(1.0, |_| {}).await;
    for path in ["/livez", "/readyz"] {
        let request = app.request(path).header("traceparent", traceparent(true));
        Answer::of(request).await.assert_ok();
    }
    app.operations("/metrics").await.assert_ok();
    app.operations("/cache/stats").await.assert_ok();
    assert_eq!(all_spans(app, &collector).await.names(), Vec::<&str>::new());
}

#[tokio::test]
async fn without_a_collector_nothing_of_a_trace_is_passed_on() {
    let app = TestApp::spawn().await;
    for _ in 0..2 {
        send(&app, Some(READER), None, &traceparent(true)).await;
    }
    assert_eq!(app.fast_path_total(), 1);
    assert_eq!(app.engage.log()[0].traceparent, None);
    let metrics = app.operations("/metrics").await;
    assert!(!metrics.text().contains("traces_"));
}
