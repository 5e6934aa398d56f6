//! The fields of a request's log event that only its handler knows: the caller, and the contact that it is about.
//!
//! The event of a request without a valid credential is limited, since anyone on the network can cause it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

use super::client_metrics::{ClientCounters, SHOPPERS};
use crate::{
    domain::{ClientName, ContactId, RequestId, TraceId},
    traces::RequestTrace,
};

/// Filled in while a request is handled, read when it has been answered.
#[derive(Debug)]
pub(super) struct LogContext {
    pub(super) request_id: RequestId,
    /// Its trace, if one was begun.
    pub(super) trace: Option<Arc<RequestTrace>>,
    is_identified: AtomicBool,
    /// The client; `None` for a shopper without one.
    caller: OnceLock<Option<ClientName>>,
    /// The caller's counters.
    counters: OnceLock<Arc<ClientCounters>>,
    contact: OnceLock<ContactId>,
}

impl LogContext {
    pub(super) fn new(request_id: RequestId, trace: Option<Arc<RequestTrace>>) -> Self {
        Self {
            request_id,
            trace,
            is_identified: AtomicBool::new(false),
            caller: OnceLock::new(),
            counters: OnceLock::new(),
            contact: OnceLock::new(),
        }
    }

    /// The context of the request with these extensions.
    pub(super) fn from_extensions(extensions: &Extensions) -> Arc<Self> {
        let found = extensions.get().cloned();
        found.unwrap_or_else(|| Arc::new(Self::new(RequestId::from_bytes(None), None)))
    }

    /// The request's trace, if it is recorded.
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.trace.as_deref().and_then(RequestTrace::recorded_id)
    }

    /// The request has a valid credential: an operator's token, or the signature of a webhook; or the operations
    /// listener has no token.
    pub(super) fn identify(&self) {
        self.is_identified.store(true, Ordering::Relaxed);
    }

    /// The credential of a caller is valid: a client's, or without a client a shopper's. The request is counted in
    /// `counters`.
    pub(super) fn identify_caller(
        &self,
        client: Option<&ClientName>,
        counters: Option<&Arc<ClientCounters>>,
    ) {
        self.identify();
        self.caller.get_or_init(|| client.cloned());
        if let Some(counters) = counters {
            self.counters.get_or_init(|| Arc::clone(counters));
        }
    }

    /// The response is about this contact.
    pub(super) fn set_contact(&self, id: ContactId) {
        self.contact.get_or_init(|| id);
    }

    /// Whether the request had a valid credential.
    pub(super) fn is_identified(&self) -> bool {
        self.is_identified.load(Ordering::Relaxed)
    }

    /// The client's name, or that of all shoppers without one.
    pub(super) fn client(&self) -> Option<&str> {
        let caller = self.caller.get()?;
        Some(caller.as_ref().map_or(SHOPPERS, ClientName::as_str))
    }

    /// The caller's counters, if it is known.
    pub(super) fn counters(&self) -> Option<&Arc<ClientCounters>> {
        self.counters.get()
    }

    pub(super) fn contact(&self) -> Option<ContactId> {
        self.contact.get().copied()
    }
}
