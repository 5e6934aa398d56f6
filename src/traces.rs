//! Traces: spans of requests and of the calls they cause, sent to a collector over OTLP. Off unless
//! `telemetry.otlp_endpoint` is set.
//!
//! [`Tracer`] decides what is recorded, [`RequestTrace`] follows one request, and finished spans wait in a bounded queue
//! (`queue`) for the thread (`export`) that encodes them (`otlp`) and sends them. A request waits for none of it: spans
//! that do not fit, and those that the collector does not take, are dropped and counted.
//!
//! Names and values of a span are of types that no text from a caller or from Engage has, so none can be part of one.

mod export;
mod otlp;
mod queue;
mod request;
mod span;
mod tracer;

pub use self::{
    export::{CollectorHeaders, ExportFailure, Exporter, FLUSH, RunningExport, TraceSettings},
    request::{RequestTrace, Responded},
    span::{Attribute, Span, SpanEvent, SpanKind, Value},
    tracer::Tracer,
};
