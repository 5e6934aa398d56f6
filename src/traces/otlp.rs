//! The OTLP messages that are sent: `ExportTraceServiceRequest` and its contents (opentelemetry-proto 1.x, whose field
//! numbers never change).

use prost::{Message, Oneof};

use super::span::{Attribute, Span, SpanKind, Value};
use crate::{
    clock::{Now, Tick},
    domain::{Part, SpanContext},
};

#[derive(Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

/// The response. Only its number of rejected spans is read.
#[derive(Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

#[derive(Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Message)]
struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    kind: Option<Kind>,
}

#[derive(Oneof)]
enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(double, tag = "4")]
    Real(f64),
    #[prost(message, tag = "5")]
    List(List),
}

#[derive(Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;
/// The bit of `flags` that marks a recorded trace.
const SAMPLED: u32 = 1;
/// Bits of `flags`: whether it is known in which process the parent is, and whether that is another one.
const KNOWS_REMOTE: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;

/// This process, as the source of its spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Distinguishes the replicas.
    pub(super) instance: uuid::Uuid,
}

impl Source {
    /// The message with these spans.
    pub(super) fn encode(&self, spans: &[Span]) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let request = ExportRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![
                        text("service.name", "engage-bff"),
                        text("service.version", version),
                        text("service.instance.id", &self.instance.to_string()),
                    ],
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(Scope {
                        name: "engage-bff".to_owned(),
                        version: version.to_owned(),
                    }),
                    spans: spans.iter().map(WireSpan::from).collect(),
                }],
            }],
        };
        request.encode_to_vec()
    }
}

/// The number of spans of the message that the collector rejected, according to its response.
pub(super) fn rejected(response: &[u8]) -> u64 {
    let response = ExportResponse::decode(response).ok();
    let partial = response.and_then(|response| response.partial_success);
    partial.map_or(0, |partial| {
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    })
}

impl From<&Span> for WireSpan {
    fn from(span: &Span) -> Self {
        let parent = span.parent.as_ref();
        let remote = if span.has_remote_parent { IS_REMOTE } else { 0 };
        let at = |tick| unix_nanos(span.started, tick);
        let events = span.events.iter().map(|event| Event {
            time_unix_nano: at(event.at),
            name: event.name.to_owned(),
            attributes: attributes(&event.attributes),
        });
        Self {
            trace_id: span.context.trace.as_bytes().to_vec(),
            span_id: span.context.span.as_bytes().to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.as_bytes().to_vec()),
            name: span.name.join(" "),
            kind: match span.kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
            },
            start_time_unix_nano: at(span.started.tick),
            end_time_unix_nano: at(span.ended),
            attributes: attributes(&span.attributes),
            events: events.collect(),
            links: span.links.iter().map(Link::from).collect(),
            status: span.is_error.then_some(Status { code: ERROR }),
            flags: SAMPLED | KNOWS_REMOTE | remote,
        }
    }
}

impl From<&SpanContext> for Link {
    fn from(context: &SpanContext) -> Self {
        Self {
            trace_id: context.trace.as_bytes().to_vec(),
            span_id: context.span.as_bytes().to_vec(),
            flags: u32::from(context.is_sampled),
        }
    }
}

impl From<&Value> for AnyValue {
    fn from(value: &Value) -> Self {
        let kind = match value {
            Value::Name(name) => Kind::Text((*name).to_owned()),
            Value::Client(client) => Kind::Text(client.as_str().to_owned()),
            Value::Host(host) => Kind::Text(host.as_ref().to_owned()),
            Value::Contact(digest) => Kind::Text(digest.to_string()),
            Value::Parts(parts) => Kind::List(List {
                values: parts.iter().map(AnyValue::from).collect(),
            }),
            Value::Number(number) => Kind::Number(*number),
            Value::Millis(duration) => Kind::Real(duration.as_secs_f64() * 1000.0),
            Value::Flag(flag) => Kind::Flag(*flag),
        };
        Self { kind: Some(kind) }
    }
}

impl From<Part> for AnyValue {
    fn from(part: Part) -> Self {
        Self {
            kind: Some(Kind::Text(part.as_str().to_owned())),
        }
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    let written = attributes.iter().map(|(key, value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(value.into()),
    });
    written.collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            kind: Some(Kind::Text(value.to_owned())),
        }),
    }
}

/// The moment `at`, which is not before `started`, in nanoseconds since the Unix epoch.
fn unix_nanos(started: Now, at: Tick) -> u64 {
    let nanos = u64::try_from(started.wall.as_nanosecond()).unwrap_or(0);
    let since = u64::try_from(at.since(started.tick).as_nanos()).unwrap_or(u64::MAX);
    nanos.saturating_add(since)
}
