//! Traces: spans of requests and of the calls they cause, sent to a collector over OTLP. Off unless
//! `telemetry.otlp_endpoint` is set.
//!
//! [`Tracer`] decides what is recorded, and [`RequestTrace`] follows one request. Finished spans wait in a bounded
//! queue (`queue`) for the thread (`export`) that encodes them (`otlp`) and sends them. No request waits for any of
//! this: spans that do not fit, and those that the collector does not accept, are dropped and counted.
//!
//! The names and values of a span have types that can't contain text from a caller or from Engage.

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
