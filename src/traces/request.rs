//! The trace of one request, from its arrival to its response.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::span::{Attribute, Span, SpanKind, Value};
use crate::{
    clock::{Now, Tick},
    domain::{ClientName, KeyedDigest, PartSet, SpanContext, SpanId, TraceId},
};

/// The most links of a span (OpenTelemetry's default limit): a batch joins many flights.
const MAX_LINKS: usize = 128;

/// The span of a request, until the response.
#[derive(Debug)]
pub struct RequestTrace {
    started: Now,
    /// The context in the caller's `traceparent`.
    incoming: Option<SpanContext>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    context: SpanContext,
    parent: Option<SpanId>,
    links: Vec<SpanContext>,
    client: Option<ClientName>,
    contact: Option<KeyedDigest>,
    degraded: PartSet,
}

/// The response to a request.
#[derive(Clone, Copy, Debug)]
pub struct Responded {
    /// The method.
    pub method: &'static str,
    /// The template of the path.
    pub route: &'static str,
    /// The status.
    pub status: u16,
    /// The problem's code, if the response is a problem.
    pub code: Option<&'static str>,
    /// What the cache did, for a response about a customer.
    pub cache: Option<&'static str>,
}

impl RequestTrace {
    pub(super) fn new(context: SpanContext, incoming: Option<SpanContext>, started: Now) -> Self {
        Self {
            started,
            incoming,
            state: Mutex::new(State {
                context,
                parent: None,
                links: Vec::new(),
                client: None,
                contact: None,
                degraded: PartSet::EMPTY,
            }),
        }
    }

    /// The span of the request.
    pub fn context(&self) -> SpanContext {
        self.state().context
    }

    /// The trace, if it is recorded: for log events.
    pub fn recorded_id(&self) -> Option<TraceId> {
        let context = self.context();
        context.is_sampled.then_some(context.trace)
    }

    /// Sets the caller. A client with a key continues its own trace and decides whether that is recorded.
    pub fn identified(&self, client: &ClientName, has_key: bool) {
        let mut state = self.state();
        state.client = Some(client.clone());
        if let Some(incoming) = self.incoming
            && has_key
        {
            state.parent = Some(incoming.span);
            state.context.trace = incoming.trace;
            state.context.is_sampled = incoming.is_sampled;
        }
    }

    /// Records that the request waits for a flight that another request started.
    pub fn joined(&self, flight: SpanContext) {
        let mut state = self.state();
        if state.context.is_sampled && state.links.len() < MAX_LINKS {
            state.links.push(flight);
        }
    }

    /// Records that the response will be about this contact, with these parts degraded.
    pub fn found(&self, contact: impl FnOnce() -> KeyedDigest, degraded: PartSet) {
        let mut state = self.state();
        if state.context.is_sampled {
            state.contact = Some(contact());
            state.degraded = degraded;
        }
    }

    /// Ends the span with the response. Returns it if it is recorded.
    pub fn end(&self, response: &Responded, ended: Tick) -> Option<Span> {
        let mut state = self.state();
        if !state.context.is_sampled {
            return None;
        }
        let mut links = std::mem::take(&mut state.links);
        if let Some(incoming) = self.incoming
            && state.parent.is_none()
        {
            // The trace of a caller without a key is not continued, only linked.
            links.push(incoming);
        }
        Some(Span {
            context: state.context,
            parent: state.parent,
            has_remote_parent: state.parent.is_some(),
            name: [response.method, response.route],
            kind: SpanKind::Server,
            started: self.started,
            ended,
            is_error: response.is_error(),
            attributes: state.attributes(response),
            events: Vec::new(),
            links,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn attributes(&mut self, response: &Responded) -> Vec<Attribute> {
        let status = response.status.into();
        let mut attributes = vec![
            ("http.request.method", Value::Name(response.method)),
            ("http.route", Value::Name(response.route)),
            ("http.response.status_code", Value::Number(status)),
        ];
        if let Some(code) = response.code {
            attributes.push(("engage_bff.problem", Value::Name(code)));
            if response.is_error() {
                attributes.push(("error.type", Value::Name(code)));
            }
        }
        if let Some(cache) = response.cache {
            attributes.push(("engage_bff.cache", Value::Name(cache)));
        }
        if let Some(client) = self.client.take() {
            attributes.push(("engage_bff.client", Value::Client(client)));
        }
        if let Some(contact) = self.contact {
            attributes.push(("engage_bff.contact", Value::Contact(contact)));
        }
        if !self.degraded.is_empty() {
            attributes.push(("engage_bff.degraded", Value::Parts(self.degraded)));
        }
        attributes
    }
}

impl Responded {
    /// Whether it is an error of this service, not of its caller.
    fn is_error(&self) -> bool {
        self.status >= 500
    }
}
