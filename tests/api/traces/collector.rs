//! A stand-in for an OpenTelemetry collector: accepts OTLP over HTTP and decodes it with the OpenTelemetry project's
//! own definition of the protocol.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{AnyValue, any_value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::{Value, json};

use crate::harness::{TestApp, wait_until};

/// How the collector treats a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    Accept,
    /// Accepts the message except for this many spans.
    Reject(i64),
    Refuse(StatusCode),
    /// Never answers.
    Hang,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) content: ExportTraceServiceRequest,
}

#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) url: String,
    state: Arc<Mutex<CollectorState>>,
}

struct CollectorState {
    behaviour: Behaviour,
    received: Vec<Received>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let collector = Self {
            url: format!("http://{address}"),
            state: Arc::new(Mutex::new(CollectorState {
                behaviour: Behaviour::Accept,
                received: Vec::new(),
            })),
        };
        let serving = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = serving.clone();
                let service = service_fn(move |request| collector.clone().receive(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        collector
    }

    /// Behaves like this from now on.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// The messages that arrived, however they were answered.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// The bytes of everything that arrived, as text.
    pub(crate) fn raw(&self) -> String {
        let received = self.received();
        let texts = received
            .iter()
            .map(|message| String::from_utf8_lossy(&message.body));
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The spans that arrived.
    pub(crate) fn spans(&self) -> Spans {
        let received = self.received();
        let resources = received
            .iter()
            .flat_map(|message| &message.content.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        Spans(scopes.flat_map(|scope| scope.spans.clone()).collect())
    }

    /// Waits for this many spans. Advances the clocks by the second that a span waits for others: only once, because
    /// the exporter's deadline uses the same clock.
    pub(crate) async fn spans_of(&self, app: &TestApp, count: usize) -> Spans {
        app.advance(Duration::from_secs(1));
        wait_until(|| self.spans().0.len() >= count).await;
        let spans = self.spans();
        assert_eq!(spans.0.len(), count, "{:?}", spans.names());
        spans
    }

    async fn receive(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let content = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
        let behaviour = {
            let mut state = self.state();
            state.received.push(Received {
                path: head.uri.path().to_owned(),
                headers: head.headers,
                body,
                content,
            });
            state.behaviour
        };
        let (status, rejected_spans) = match behaviour {
            Behaviour::Accept => (StatusCode::OK, 0),
            Behaviour::Reject(count) => (StatusCode::OK, count),
            Behaviour::Refuse(status) => (status, 0),
            Behaviour::Hang => std::future::pending().await,
        };
        let partial = ExportTracePartialSuccess {
            rejected_spans,
            error_message: String::new(),
        };
        let answer = ExportTraceServiceResponse {
            partial_success: (rejected_spans > 0).then_some(partial),
        };
        let mut response = Response::new(Full::from(answer.encode_to_vec()));
        *response.status_mut() = status;
        Ok(response)
    }

    fn state(&self) -> MutexGuard<'_, CollectorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spans, with the queries that tests need.
#[derive(Clone, Debug)]
pub(crate) struct Spans(pub(crate) Vec<Span>);

impl Spans {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|span| span.name.as_str()).collect()
    }

    /// The only span of this name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> &Span {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {:?}", self.names());
        all[0]
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The span with this id.
    #[track_caller]
    pub(crate) fn by_id(&self, id: &[u8]) -> &Span {
        let found = self.0.iter().find(|span| span.span_id == id);
        found.expect("a span with this id")
    }
}

/// The value of a span's attribute; null if it has none.
pub(crate) fn attribute(span: &Span, key: &str) -> Value {
    let found = span.attributes.iter().find(|pair| pair.key == key);
    found
        .and_then(|pair| pair.value.as_ref())
        .map_or(Value::Null, plain)
}

fn plain(value: &AnyValue) -> Value {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(flag)) => json!(flag),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().map(plain).collect(),
        other => panic!("unexpected value: {other:?}"),
    }
}

/// Asserts that the span has these attributes.
#[track_caller]
pub(crate) fn assert_attributes(span: &Span, expected: &[(&str, Value)]) {
    for (key, value) in expected {
        assert_eq!(attribute(span, key), *value, "{key} of {span:?}");
    }
}

/// Whether the span is a child of the other.
pub(crate) fn is_child(child: &Span, parent: &Span) -> bool {
    child.trace_id == parent.trace_id && child.parent_span_id == parent.span_id
}

/// Asserts that the span is of this kind, and that it did not end before it began.
#[track_caller]
pub(crate) fn assert_kind(span: &Span, kind: SpanKind) {
    assert_eq!(span.kind, i32::from(kind), "{span:?}");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
}
