//! The log events of a traced request name its trace.

use engage_bff::config::AuditedViews;
use engage_simulator::{Endpoint, fixtures::ALVA};
use reqwest::header::AUTHORIZATION;
use serde_json::Value;

use super::{TRACE, collector::Collector, hex, traced, traced_with, traceparent};
use crate::{
    admission::broken,
    harness::{Answer, SHOP, TILL, TestApp, events},
};

fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Looks the customer up as part of the caller's trace, which is recorded or not.
async fn get(app: &TestApp, key: &str, is_sampled: bool) -> Answer {
    let request = app.customer(key, &by_email());
    Answer::of(request.header("traceparent", traceparent(is_sampled))).await
}

/// The trace that each event with this message names.
fn traces_of(message: &str) -> Vec<Value> {
    let events = events(message).into_iter();
    events
        .map(|event| event.get("trace_id").cloned().unwrap_or_default())
        .collect()
}

/// A service that traces what its callers trace, and logs every request.
async fn with_access_log() -> (TestApp, Collector) {
    traced_with(0.0, |config| {
        config.telemetry.access_log = true;
        config.telemetry.audit = AuditedViews::All;
    })
    .await
}

#[tokio::test]
async fn answer_and_audit_of_a_traced_request_name_its_trace() {
    let (app, _collector) = with_access_log().await;
    get(&app, TILL, true).await.assert_ok();
    get(&app, SHOP, true).await.assert_ok();
    get(&app, SHOP, false).await.assert_ok();
    app.get_as(SHOP, &by_email()).await.assert_ok();
    assert_eq!(traces_of("full view requested"), [TRACE]);
    let expected = [TRACE.into(), Value::Null, Value::Null];
    assert_eq!(traces_of("storefront view requested"), expected);
    let expected = [TRACE.into(), TRACE.into(), Value::Null, Value::Null];
    assert_eq!(traces_of("answered"), expected);
}

#[tokio::test]
async fn hit_of_the_fast_path_names_its_trace() {
    let (app, _collector) = traced_with(0.0, |config| config.telemetry.access_log = true).await;
    app.get_as(SHOP, &by_email()).await.assert_ok();
    get(&app, SHOP, true).await.assert_hit();
    get(&app, SHOP, false).await.assert_hit();
    assert_eq!(app.fast_path_total(), 2);
    let expected = [Value::Null, TRACE.into(), Value::Null];
    assert_eq!(traces_of("answered"), expected);
}

#[tokio::test]
async fn failed_call_names_the_trace_of_the_request_that_caused_it() {
    let (app, collector) = traced_with(0.0, |_| {}).await;
    app.engage.fault(Endpoint::Overview, broken());
    assert_eq!(get(&app, SHOP, true).await.status, 502);
    assert_eq!(traces_of("upstream request failed"), [TRACE]);
    let spans = collector.spans_of(&app, 3).await;
    assert!(spans.0.iter().all(|span| hex(&span.trace_id) == TRACE));
}

#[tokio::test]
async fn refused_token_names_the_trace_of_its_span() {
    let (app, collector) = traced().await;
    let request = app.request("/customer/me");
    let request = request.header(AUTHORIZATION, "Bearer not.a.token");
    assert_eq!(Answer::of(request).await.status, 401);
    let spans = collector.spans_of(&app, 1).await;
    let trace = hex(&spans.0[0].trace_id);
    for message in ["token refused", "answered"] {
        assert_eq!(traces_of(message), [trace.as_str()]);
    }
}
