//! The spans of flights: what was fetched, for which request, and how it ended. The spans of the flight's calls are its
//! children.

use std::sync::Arc;

use super::FetchRequest;
use crate::{
    cache::flight::{FlightHandle, Joined},
    clock::Now,
    customer::{CustomerQuery, Inner},
    domain::{FlightTrace, Priority},
    engage::{Cause, Error},
    traces::{RequestTrace, Span, SpanKind, Value},
};

impl CustomerQuery {
    /// Records that the request waits for this flight. If another request started the flight, its span is in that
    /// request's trace and is only linked.
    pub(in crate::customer) fn note_joined<V>(&self, flight: &FlightHandle<V>) {
        if let (Some(trace), Some(flight_trace), Joined::Collapsed) =
            (&self.trace, &flight.trace, flight.joined)
        {
            trace.joined(flight_trace.context());
        }
    }

    /// The request as the cause of a call, for the log.
    pub(in crate::customer) fn cause(&self) -> Cause {
        Cause {
            request_id: self.request_id,
            trace_id: self.trace.as_deref().and_then(RequestTrace::recorded_id),
        }
    }
}

/// The span of a flight, if this request starts it.
pub(super) struct FetchSpan {
    trace: Arc<FlightTrace>,
    name: [&'static str; 2],
    priority: Priority,
    started: Now,
}

impl FetchSpan {
    /// Begins the span of a flight with this name. `None` if traces are off.
    pub(super) fn begin(
        inner: &Inner,
        request: &FetchRequest<'_>,
        name: [&'static str; 2],
    ) -> Option<Self> {
        Some(Self {
            trace: inner.tracer.begin_flight(request.trace)?,
            name,
            priority: request.priority,
            started: inner.clock.now(),
        })
    }

    pub(super) fn trace(&self) -> Arc<FlightTrace> {
        Arc::clone(&self.trace)
    }

    /// Ends the span. `is_shared`: the flight ended with what another replica had fetched.
    pub(super) fn end(self, inner: &Inner, error: Option<&Error>, is_shared: bool) {
        let priority = Value::Name(self.priority.as_str());
        let mut attributes = vec![("engage_bff.priority", priority)];
        if is_shared {
            attributes.push(("engage_bff.from_replica", Value::Flag(true)));
        }
        if let Some(error) = error {
            attributes.push(("error.type", Value::Name(error.kind())));
        }
        inner.tracer.record(Span {
            context: self.trace.context(),
            parent: self.trace.parent(),
            has_remote_parent: false,
            name: self.name,
            kind: SpanKind::Internal,
            started: self.started,
            ended: inner.clock.tick(),
            is_error: error.is_some_and(|error| !error.is_about_the_identifier()),
            attributes,
            events: Vec::new(),
            links: Vec::new(),
        });
    }
}
