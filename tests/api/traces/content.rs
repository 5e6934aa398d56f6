//! The contents of spans, how they are connected, and what they do not contain.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::{
    TRACE,
    collector::{assert_attributes, assert_kind, attribute, is_child},
    hex, traced, traced_with, traceparent,
};
use crate::{
    harness::{
        Answer, OVERVIEW_HAS_POINTS, READER, SHOP, TILL, TestApp, let_requests_arrive,
        percent_encoded,
    },
    sensitive::assert_no_sensitive_data,
};

const SERVER: &str = "GET /customer";
const FLIGHT: &str = "fetch overview";
const CALL: &str = "GET /contactoverview";
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// A query that one call of the overview answers.
fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Makes calls succeed until the retry budget allows one retry.
async fn earn_a_retry(app: &TestApp) {
    for _ in 0..10 {
        app.get_with(&by_email(), "no-cache").await.assert_ok();
    }
    app.advance(Duration::from_secs(10));
}

#[tokio::test]
async fn miss_is_a_request_with_its_flight_and_its_call() {
    let (app, collector) = traced().await;
    let request = app.customer(SHOP, &by_email());
    let request = request.header("traceparent", traceparent(true));
    Answer::of(request).await.assert_ok();
    let spans = collector.spans_of(&app, 3).await;
    let (server, flight, call) = (spans.only(SERVER), spans.only(FLIGHT), spans.only(CALL));
    assert!(is_child(flight, server) && is_child(call, flight));
    assert_eq!(hex(&server.trace_id), TRACE);
    assert_eq!(hex(&server.parent_span_id), super::PARENT);
    assert_kind(server, SpanKind::Server);
    assert_kind(flight, SpanKind::Internal);
    assert_kind(call, SpanKind::Client);
    assert_attributes(
        server,
        &[
            ("http.request.method", json!("GET")),
            ("http.route", json!("/customer")),
            ("http.response.status_code", json!(200)),
            ("engage_bff.cache", json!("miss")),
            ("engage_bff.client", json!("shop")),
            ("engage_bff.degraded", Value::Null),
            ("error.type", Value::Null),
        ],
    );
    let contact = attribute(server, "engage_bff.contact");
    assert_eq!(contact.as_str().map(str::len), Some(16), "{contact}");
    assert_attributes(flight, &[("engage_bff.priority", json!("miss"))]);
    assert_attributes(
        call,
        &[
            ("http.request.method", json!("GET")),
            ("url.template", json!("/contactoverview")),
            ("server.address", json!("127.0.0.1")),
            ("http.response.status_code", json!(200)),
            ("engage.group", json!("overview")),
            ("engage.queue_ms", json!(0.0)),
            ("http.request.resend_count", Value::Null),
        ],
    );
    for span in [server, flight, call] {
        assert_eq!(span.status, None, "{span:?}");
        assert!(span.links.is_empty() && span.events.is_empty());
    }
    // The remote parent is marked as such.
    assert_eq!(
        [server, flight, call].map(|span| span.flags),
        [0x301, 0x101, 0x101]
    );
    // Engage is sent the ids of the call's span.
    let sent = app.engage.log()[0].traceparent.clone();
    let expected = format!("00-{TRACE}-{}-01", hex(&call.span_id));
    assert_eq!(sent, Some(expected));
}

#[tokio::test]
async fn hit_is_one_span_and_stays_on_the_fast_path() {
    let (app, collector) = traced().await;
    app.get_as(READER, &by_email()).await.assert_ok();
    collector.spans_of(&app, 3).await;
    app.get_as(READER, &by_email()).await.assert_ok();
    assert_eq!(app.fast_path_total(), 1);
    let spans = collector.spans_of(&app, 4).await;
    let hit = spans.0.last().expect("a span");
    assert_eq!(hit.name, SERVER);
    assert_eq!(hit.parent_span_id, Vec::<u8>::new());
    assert_attributes(
        hit,
        &[
            ("engage_bff.cache", json!("hit")),
            ("engage_bff.client", json!("reader")),
            ("http.response.status_code", json!(200)),
        ],
    );
    let contact = attribute(spans.all(SERVER)[0], "engage_bff.contact");
    assert_eq!(attribute(hit, "engage_bff.contact"), contact);
}

#[tokio::test]
async fn each_entity_call_of_a_request_is_a_child_of_its_flight() {
    let (app, collector) = traced().await;
    app.fetch_points_separately(ALVA.id).await;
    let query = format!("contactId={}&parts=points", ALVA.id);
    app.get_as(SHOP, &query).await.assert_ok();
    let spans = collector.spans_of(&app, 5).await;
    let server = spans.only(SERVER);
    let flight = spans.only("fetch points");
    let call = spans.only("GET /point-accounts");
    assert!(is_child(flight, server) && is_child(call, flight));
    assert_attributes(call, &[("engage.group", json!("points"))]);
    assert!(is_child(spans.only(CALL), spans.only(FLIGHT)));
    assert!(OVERVIEW_HAS_POINTS || app.overview_calls() == 1);
}

#[tokio::test]
async fn request_that_joins_a_flight_is_linked_with_it() {
    let (app, collector) = traced().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get_as(SHOP, &by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let second = app.spawn_get_as(READER, &by_email());
    let_requests_arrive().await;
    hold.release();
    for pending in [first, second] {
        pending.await.expect("an answer").assert_ok();
    }
    let spans = collector.spans_of(&app, 4).await;
    let (flight, call) = (spans.only(FLIGHT), spans.only(CALL));
    assert!(is_child(call, flight));
    let starter = spans.by_id(&flight.parent_span_id);
    let servers = spans.all(SERVER);
    let joined = servers.iter().find(|span| span.span_id != starter.span_id);
    let joined = joined.expect("two requests");
    assert_attributes(starter, &[("engage_bff.client", json!("shop"))]);
    assert_attributes(joined, &[("engage_bff.client", json!("reader"))]);
    assert!(starter.links.is_empty());
    assert_ne!(joined.trace_id, flight.trace_id);
    assert_eq!(joined.links.len(), 1);
    assert_eq!(joined.links[0].span_id, flight.span_id);
    assert_eq!(joined.links[0].trace_id, flight.trace_id);
}

#[tokio::test]
async fn flight_of_an_untraced_request_is_recorded_for_a_traced_one() {
    let (app, collector) = traced_with(0.0, |_| {}).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get_as(SHOP, &by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let request = app.customer(READER, &by_email());
    let request = request.header("traceparent", traceparent(true));
    let second = tokio::spawn(Answer::of(request));
    let_requests_arrive().await;
    hold.release();
    for pending in [first, second] {
        pending.await.expect("an answer").assert_ok();
    }
    let spans = collector.spans_of(&app, 3).await;
    let (server, flight) = (spans.only(SERVER), spans.only(FLIGHT));
    assert_eq!(hex(&server.trace_id), TRACE);
    assert_eq!(server.links.len(), 1);
    assert_eq!(server.links[0].span_id, flight.span_id);
    assert!(is_child(spans.only(CALL), flight));
}

#[tokio::test]
async fn retry_is_an_event_of_its_call() {
    let (app, collector) = traced_with(0.0, |_| {}).await;
    earn_a_retry(&app).await;
    app.engage
        .fault_times(Endpoint::Overview, Fault::Status(503, json!("no")), 1);
    let clock = app.run_clock();
    let query = format!("email={}&parts=none", BO.email);
    let request = app.customer(SHOP, &format!("{query}&contactType=Contact"));
    let request = request.header("traceparent", traceparent(true));
    Answer::of(request).await.assert_ok();
    drop(clock);
    let spans = collector.spans_of(&app, 3).await;
    let call = spans.only(CALL);
    assert_attributes(
        call,
        &[
            ("http.request.resend_count", json!(1)),
            ("http.response.status_code", json!(200)),
            ("error.type", Value::Null),
        ],
    );
    assert_eq!(call.events.len(), 1);
    assert_eq!(call.events[0].name, "retry");
    let why = &call.events[0].attributes;
    assert!(format!("{why:?}").contains("failed"), "{why:?}");
    let at = call.events[0].time_unix_nano;
    assert!((call.start_time_unix_nano..=call.end_time_unix_nano).contains(&at));
    assert_eq!(call.status, None);
}

#[tokio::test]
async fn failed_call_makes_all_its_spans_errors() {
    let (app, collector) = traced().await;
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("no")));
    app.get_as(SHOP, &by_email())
        .await
        .assert_problem(502, "UpstreamFailed");
    let spans = collector.spans_of(&app, 3).await;
    assert_attributes(
        spans.only(SERVER),
        &[
            ("http.response.status_code", json!(502)),
            ("error.type", json!("UpstreamFailed")),
            ("engage_bff.problem", json!("UpstreamFailed")),
            ("engage_bff.contact", Value::Null),
        ],
    );
    assert_attributes(
        spans.only(CALL),
        &[
            ("http.response.status_code", json!(500)),
            ("error.type", json!("failed")),
        ],
    );
    assert_attributes(spans.only(FLIGHT), &[("error.type", json!("failed"))]);
    for span in &spans.0 {
        let code = span.status.as_ref().map(|status| status.code);
        assert_eq!(code, Some(ERROR), "{span:?}");
    }
}

#[tokio::test]
async fn unknown_contact_is_not_a_span_error() {
    let (app, collector) = traced().await;
    let answer = app.get_as(SHOP, "email=unknown@example.com").await;
    answer.assert_problem(404, "ContactNotFound");
    let spans = collector.spans_of(&app, 3).await;
    assert_attributes(
        spans.only(SERVER),
        &[
            ("engage_bff.problem", json!("ContactNotFound")),
            ("error.type", Value::Null),
        ],
    );
    let status = ("http.response.status_code", json!(404));
    assert_attributes(spans.only(CALL), &[status]);
    assert!(spans.0.iter().all(|span| span.status.is_none()));
}

#[tokio::test]
async fn span_names_the_degraded_parts() {
    let (app, collector) = traced().await;
    app.fetch_points_separately(ALVA.id).await;
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Status(500, json!("no")));
    let query = format!("contactId={}&parts=points", ALVA.id);
    app.get_as(SHOP, &query).await.assert_ok();
    let spans = collector.spans_of(&app, 5).await;
    let degraded = ("engage_bff.degraded", json!(["points"]));
    assert_attributes(spans.only(SERVER), &[degraded]);
}

#[tokio::test]
async fn wait_for_the_call_budget_is_recorded_in_milliseconds() {
    let (app, collector) = traced_with(1.0, |config| {
        config.engage.requests_per_second = 10.0;
        config.engage.burst = 1;
        config.engage.replicas = 1;
    })
    .await;
    app.get_as(SHOP, &by_email()).await.assert_ok();
    let query = format!("contactId={}&parts=none", BO.id);
    let second = app.spawn_get_as(SHOP, &query);
    crate::admission::queued(&app, 1).await;
    app.advance(Duration::from_millis(100));
    second.await.expect("an answer").assert_ok();
    let spans = collector.spans_of(&app, 6).await;
    let waits: Vec<_> = spans.all(CALL);
    let waits = waits
        .iter()
        .map(|span| attribute(span, "engage.queue_ms").as_f64());
    let waits: Vec<_> = waits.map(|wait| wait.expect("a number")).collect();
    assert!(
        waits[0] < 1.0 && (99.0..101.0).contains(&waits[1]),
        "{waits:?}"
    );
}

#[tokio::test]
async fn batch_is_one_request_with_a_flight_for_each_uncached_look_up() {
    let (app, collector) = traced().await;
    let body = json!({"lookups": [{"email": ALVA.email}, {"contactId": BO.id}], "parts": []});
    let request = app.post_to("/customer/batch", TILL).body(body.to_string());
    Answer::of(request).await.assert_ok();
    let spans = collector.spans_of(&app, 5).await;
    let server = spans.only("POST /customer/batch");
    let flights = spans.all(FLIGHT);
    assert_eq!(flights.len(), 2);
    for flight in flights {
        assert!(is_child(flight, server));
        assert_attributes(flight, &[("engage_bff.priority", json!("deferred"))]);
    }
}

#[tokio::test]
async fn spans_contain_no_personal_data_whatever_callers_send() {
    let (app, collector) = traced().await;
    let email = percent_encoded(ALVA.email);
    for key in [TILL, SHOP] {
        for query in [
            format!("email={email}"),
            format!("mobilePhone={}", percent_encoded(ALVA.phone)),
            format!("contactId={}", ALVA.id),
            format!("contactId={}&parts=purchases,pointTransactions", ALVA.id),
            format!("email={email}&{email}={email}"),
        ] {
            let request = app.customer(key, &query);
            let request = request
                .header("tracestate", format!("shop={}", ALVA.email))
                .header("baggage", format!("email={}", ALVA.email))
                .header("x-request-id", "shop-4711")
                .header("user-agent", ALVA.email)
                .header("traceparent", traceparent(true));
            Answer::of(request).await;
        }
    }
    let odd = traceparent(true).replace(TRACE, ALVA.email);
    let request = app.customer(SHOP, &by_email()).header("traceparent", odd);
    Answer::of(request).await;
    app.lookup(json!({"socialSecurityNumber": ALVA.national_id}))
        .await;
    app.lookup(json!({"email": ALVA.email, ALVA.email: 1}))
        .await;
    for path in [
        format!("/{email}"),
        format!("/customer/{}", ALVA.id),
        format!("/customer?email={email}"),
    ] {
        Answer::of(app.request(&path).header("x-api-key", SHOP)).await;
        let request = app.request(&path);
        Answer::of(request.header(AUTHORIZATION, format!("Bearer {email}"))).await;
    }
    app.engage
        .fault(Endpoint::All, Fault::Status(400, json!(ALVA.email)));
    app.get(&format!("contactId={}", BO.id)).await;
    app.advance(Duration::from_secs(1));
    app.stop().await.expect("a clean end");
    let raw = collector.raw();
    assert!(
        collector.spans().0.len() > 30,
        "{}",
        collector.spans().0.len()
    );
    assert!(raw.contains("GET /customer") && raw.contains("(unknown)"));
    assert_no_sensitive_data("traces", &raw);
    // Nothing else that a caller chose is in them either.
    assert!(!raw.contains("4711") && !raw.contains("shop="));
}
