//! `POST /webhooks/engage`: the one route that Engage calls. Whose delivery it is shows in its signature alone, so it is
//! checked over the raw bytes before anything else is read of them; and it is answered once the fence stands.
//!
//! A delivery only ever makes something be asked for again. One that is sent twice does nothing the second time: not for
//! safety, since an invalidation may be repeated, but so that whoever recorded one can't keep a customer out of the cache.

mod counts;
mod seen;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, extract::State};
use http::{HeaderMap, Request, StatusCode};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use self::{counts::Counts, seen::Seen};
use super::{
    AppState,
    customer::read_at_most,
    error::{ApiError, Code},
};
use crate::{
    clock::Tick,
    customer::CustomerService,
    engage::webhook::{Claim, News, Refusal, WebhookReader},
};

const CHALLENGE: &str = "Svix realm=\"engage-bff webhooks\"";
/// Deliveries that are read at the same time: what their bodies may take of memory is bounded.
const MAX_AT_ONCE: usize = 256;
/// The event in metrics of what was not read.
const UNREAD: &str = "(unread)";
/// Messages that were taken: as many as some 800 a second bring in ten minutes.
const MAX_SEEN: usize = 500_000;
/// Messages that were not understood.
const MAX_MISSED: usize = 10_000;
/// How often one kind of message that was not understood is logged.
const LOG_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Receives deliveries.
pub struct Webhooks {
    reader: WebhookReader,
    max_body: usize,
    body_timeout: Duration,
    seen: Mutex<Seen>,
    /// A message that is not taken is sent again, and must not count again.
    missed: Mutex<Seen>,
    logged: Mutex<HashMap<Missed, Tick>>,
    places: Semaphore,
    counts: Counts,
}

/// What was not understood: the event where that could be read, and why.
type Missed = (&'static str, &'static str);

impl Webhooks {
    /// Receives what the reader can read, if its body is no larger and no slower than that.
    pub fn new(reader: WebhookReader, max_body: usize, body_timeout: Duration) -> Self {
        // The longest time in which a recorded delivery passes for timely.
        let keep = 2 * reader.tolerance();
        Self {
            seen: Mutex::new(Seen::new(keep, MAX_SEEN)),
            missed: Mutex::new(Seen::new(keep, MAX_MISSED)),
            logged: Mutex::default(),
            reader,
            max_body,
            body_timeout,
            places: Semaphore::new(MAX_AT_ONCE),
            counts: Counts::default(),
        }
    }

    /// Makes the counts known to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.counts.register(registry);
    }

    async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
        customers: &CustomerService,
    ) -> Result<StatusCode, ApiError> {
        let clock = customers.clock();
        let arrived = clock.now();
        let claim = self
            .reader
            .claim(headers, arrived.wall)
            .map_err(|refusal| self.refuse(refusal))?;
        let Ok(_place) = self.places.try_acquire() else {
            self.counts.ended(UNREAD, "overloaded");
            return Err(ApiError::new(Code::Overloaded));
        };
        let deadline = arrived.tick + self.body_timeout;
        let body = read_at_most(self.max_body, deadline, clock, headers, body)
            .await
            .inspect_err(|_| self.counts.ended(UNREAD, "incomplete"))?;
        self.take(&claim, &body, customers).map_err(|refusal| {
            if matches!(refusal, Refusal::NotJson | Refusal::Sealed) {
                self.missed(claim.id, (UNREAD, refusal.as_str()), customers);
            }
            self.refuse(refusal)
        })?;
        Ok(StatusCode::NO_CONTENT)
    }

    /// Nothing is awaited between the fence and the answer.
    fn take(
        &self,
        claim: &Claim<'_>,
        body: &[u8],
        customers: &CustomerService,
    ) -> Result<(), Refusal> {
        let News {
            event,
            change,
            is_understood,
        } = self.reader.read(claim, body)?;
        let now = customers.clock().tick();
        if lock(&self.seen).contains(claim.id, now) {
            self.counts.ended(event, "repeated");
            return Ok(());
        }
        customers.apply(&change);
        // Only now: where this is cut off before, the sender tries again with the same id.
        lock(&self.seen).insert(claim.id, now);
        let outcome = if is_understood && !change.is_nothing() {
            "taken"
        } else {
            "unaddressed"
        };
        self.counts.ended(event, outcome);
        if !is_understood {
            // It would be the same if it came again.
            self.missed(claim.id, (event, outcome), customers);
        } else if let Some(feed) = customers.feed() {
            feed.heard(now);
        }
        Ok(())
    }

    /// A message that is Engage's was not understood, or not kept.
    fn missed(&self, id: &str, missed: Missed, customers: &CustomerService) {
        let now = customers.clock().tick();
        if !lock(&self.missed).insert(id, now) {
            return;
        }
        let (event, why) = missed;
        let logged_at = lock(&self.logged).get(&missed).copied();
        if logged_at.is_none_or(|at| now.since(at) >= LOG_PAUSE) {
            lock(&self.logged).insert(missed, now);
            tracing::warn!(event, why, "webhook not understood; a change is missed");
        }
        if let Some(feed) = customers.feed() {
            feed.missed(now, why);
        }
    }

    fn refuse(&self, refusal: Refusal) -> ApiError {
        self.counts.ended(UNREAD, refusal.as_str());
        match refusal {
            Refusal::Unsigned | Refusal::Untimely | Refusal::Forged => {
                ApiError::because(Code::Unauthorized, format!("{refusal}.")).challenge(CHALLENGE)
            }
            Refusal::NotJson => ApiError::because(Code::InvalidParameter, format!("{refusal}.")),
            Refusal::Sealed => ApiError::new(Code::WebhookUnreadable),
        }
    }
}

fn lock<T>(locked: &Mutex<T>) -> MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One delivery.
pub(super) async fn receive(
    State(state): State<AppState>,
    request: Request<Body>,
) -> Result<StatusCode, ApiError> {
    let Some(webhooks) = &state.webhooks else {
        return Err(ApiError::new(Code::NotFound));
    };
    let (parts, body) = request.into_parts();
    webhooks
        .receive(&parts.headers, body, &state.customers)
        .await
}
