//! The shared upstream calls, each made once for all requests that wait for it. Every kind of call has the same steps:
//! begin, call Engage, check (as far as the response shows it) that it is about what was requested, store.
//!
//! The outcome is handed directly to the waiting requests, so an eviction in between costs none of them its answer.

mod history;
mod overview;
mod part;
mod resolution;
mod span;

use std::{future::Future, hash::Hash, sync::Arc};

pub(super) use self::history::HistoryOutcome;
use self::span::FetchSpan;
use super::{
    Inner,
    tiers::{Fill, Lease, Shared, Stored, Target},
};
use crate::{
    cache::{
        Alias, CallKey, FetchStart,
        fence::Sequence,
        flight::{FlightError, FlightHandle, FlightStart, Flights},
        freshness::FetchSource,
        parts::Parts,
    },
    domain::{Claim, ContactId, Demand, Flow, Lookup, Part, Priority, Requester},
    engage::{Cause, Error, FailedCall, Group},
    traces::RequestTrace,
};

/// How a call ended.
#[derive(Clone, Debug)]
pub(super) struct FetchOutcome {
    /// When its upstream request began or, if another replica made the call, when the shared tier was read; `None` if
    /// it was not admitted.
    pub(super) start: Option<FetchStart>,
    /// What it fetched.
    pub(super) outcome: Result<Fetched, Error>,
}

/// The request that a call is made for, and how new the data must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchRequest<'a> {
    /// The request, for the log.
    pub(super) cause: Cause,
    /// The flow to which the call is charged.
    pub(super) flow: &'a Flow,
    /// How urgent it is.
    pub(super) priority: Priority,
    /// The upstream request must begin after this sequence.
    pub(super) not_before: Sequence,
    /// What the request accepts of the call, and of a call that another replica made.
    pub(super) demand: Demand,
    /// Its trace.
    pub(super) trace: Option<&'a RequestTrace>,
}

/// What a successful call fetched.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// The contact.
    pub(super) id: ContactId,
    /// The alias that led to it, if one did.
    pub(super) alias: Option<Alias>,
    /// The parts that may be served.
    pub(super) parts: Arc<Parts>,
    /// Whether another replica made the call. If so, a part that is absent may still be in the overview.
    pub(super) is_shared: bool,
}

impl Fetched {
    fn new(id: ContactId, stored: Stored) -> Self {
        Self {
            id,
            alias: stored.alias,
            parts: Arc::new(stored.parts),
            is_shared: false,
        }
    }
}

impl FetchRequest<'_> {
    fn claim(&self, span: Option<&FetchSpan>) -> Claim {
        Claim {
            requester: Requester {
                flow: self.flow.clone(),
                priority: self.priority,
            },
            demand: self.demand,
            trace: span.map(FetchSpan::trace),
        }
    }
}

impl FetchOutcome {
    fn not_admitted(error: Error) -> Self {
        Self {
            start: None,
            outcome: Err(error),
        }
    }

    /// Ends the span of the flight with this outcome.
    fn end(self, span: Option<FetchSpan>, inner: &Inner) -> Self {
        if let Some(span) = span {
            let is_shared = matches!(&self.outcome, Ok(fetched) if fetched.is_shared);
            span.end(inner, self.outcome.as_ref().err(), is_shared);
        }
        self
    }

    /// The outcome of a call that another replica made.
    fn shared(start: FetchStart, found: Result<Box<Shared>, Error>) -> Self {
        let fetched = |found: Box<Shared>| Fetched {
            is_shared: true,
            ..Fetched::new(found.id, found.stored)
        };
        Self {
            start: Some(start),
            outcome: found.map(fetched),
        }
    }
}

impl From<FlightError> for Error {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Full => Error::Overloaded,
            FlightError::Lost => Error::Lost,
        }
    }
}

impl Inner {
    /// Joins a call of the overview, or starts one.
    pub(super) fn join_overview(
        self: &Arc<Self>,
        lookup: &Lookup,
        request: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let (requested, cause) = (lookup.clone(), request.cause);
        let (flights, key) = (&self.overviews, lookup.key().clone());
        let name = ["fetch", "overview"];
        self.join(flights, key, request, name, move |inner, flight| async move {
            inner.fetch_overview(&requested, cause, &flight).await
        })
    }

    /// Joins a call of a part's entity endpoint, or starts one.
    pub(super) fn join_part(
        self: &Arc<Self>,
        id: ContactId,
        part: Part,
        request: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let cause = request.cause;
        let (flights, key) = (&self.parts, (id, part));
        let name = ["fetch", part.as_str()];
        self.join(
            flights,
            key,
            request,
            name,
            move |inner, flight| async move { inner.fetch_part(id, part, cause, &flight).await },
        )
    }

    /// Joins a call that resolves an alias without the overview, or starts one.
    pub(super) fn join_resolution(
        self: &Arc<Self>,
        lookup: &Lookup,
        request: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let (requested, cause) = (lookup.clone(), request.cause);
        let (flights, key) = (&self.resolutions, lookup.key().clone());
        let name = ["resolve", "identifier"];
        self.join(flights, key, request, name, move |inner, flight| async move {
            inner.fetch_resolution(&requested, cause, &flight).await
        })
    }

    /// Joins a flight for the key, or starts one with a span of that name, which makes the call.
    fn join<K, F>(
        self: &Arc<Self>,
        flights: &Flights<K, FetchOutcome>,
        key: K,
        request: FetchRequest<'_>,
        name: [&'static str; 2],
        call: impl FnOnce(Arc<Self>, FlightStart<FetchOutcome>) -> F + Send + 'static,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        F: Future<Output = FetchOutcome> + Send + 'static,
    {
        let inner = Arc::clone(self);
        let span = FetchSpan::begin(self, &request, name);
        let claim = request.claim(span.as_ref());
        flights.join(key, request.not_before, claim, move |flight| async move {
            let outcome = call(Arc::clone(&inner), flight).await;
            outcome.end(span, &inner)
        })
    }

    /// If the error is about the identifier itself, stores it as a negative entry; otherwise gives up the lease.
    /// Returns the error.
    async fn store_negative(
        &self,
        lease: Lease,
        requested: &Lookup,
        source: FetchSource,
        error: Error,
    ) -> Error {
        if !error.is_about_the_identifier() {
            self.tiers.release(lease).await;
            return error;
        }
        let fill = Fill::Negative {
            requested,
            source,
            why: &error,
        };
        self.tiers.store(lease, fill).await.err().unwrap_or(error)
    }

    fn finish(
        &self,
        call: &CallKey,
        start: FetchStart,
        cause: Cause,
        outcome: Result<Fetched, Error>,
    ) -> FetchOutcome {
        self.note(call, start, cause, outcome.as_ref().err());
        FetchOutcome {
            start: Some(start),
            outcome,
        }
    }

    /// Records the result of a call, for its back-off and for the log. A failure of the call itself is logged again
    /// only once the call has succeeded or the failure was forgotten.
    pub(super) fn note(
        &self,
        call: &CallKey,
        start: FetchStart,
        cause: Cause,
        error: Option<&Error>,
    ) {
        let memory = &self.tiers.memory;
        let log = self.engage.failure_log();
        // A known contact can't lack a single part: that is a failure.
        let is_of_part = match call {
            CallKey::Part(_, part) => *part != Part::Profile,
            CallKey::History(..) => true,
            _ => false,
        };
        let is_answer = |error: &Error| {
            (error.is_about_the_identifier() && !is_of_part) || *error == Error::Overtaken
        };
        let Some(error) = error.filter(|error| !is_answer(error)) else {
            log.succeeded(group(call));
            return memory.note_success(call);
        };
        let is_charged_to_call = error.is_about_the_identifier() || error.is_about_the_call();
        let is_news = !is_charged_to_call
            || memory.note_failure(call, start, error.retry_after(), error.clone());
        let failed = FailedCall {
            cause,
            took: self.clock.tick().since(start.now.tick),
        };
        log.failed(group(call), error, failed, is_news);
    }
}

/// The group of endpoints that answers the call.
fn group(call: &CallKey) -> Group {
    match call {
        CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => {
            Group::Overview
        }
        CallKey::Resolution(_) => Group::Contacts,
        CallKey::Part(id, part) => Target::Part(*id, *part).group(),
        CallKey::History(_, part) => history::group(*part),
    }
}
