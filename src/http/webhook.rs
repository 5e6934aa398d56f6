//! `POST /webhooks/engage`: the one route that Engage calls. Whose delivery it is shows in its signature alone, so it is
//! checked over the raw bytes before anything else is read of them; and it is answered once the fence stands.
//!
//! A delivery only ever makes something be asked for again. One that is sent twice does nothing the second time: not for
//! safety, since an invalidation may be repeated, but so that whoever recorded one can't keep a customer out of the cache.

mod counts;
mod seen;

use std::{
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
    cache::feed::Standing,
    customer::CustomerService,
    engage::webhook::{Claim, Refusal, WebhookReader},
};

const CHALLENGE: &str = "Svix realm=\"engage-bff webhooks\"";
/// Deliveries that are read at the same time: what their bodies may take of memory is bounded.
const MAX_AT_ONCE: usize = 256;
/// The event in metrics of what was not read.
const UNREAD: &str = "(unread)";

/// Receives deliveries.
pub struct Webhooks {
    reader: WebhookReader,
    max_body: usize,
    body_timeout: Duration,
    seen: Mutex<Seen>,
    places: Semaphore,
    counts: Counts,
}

impl Webhooks {
    /// Receives what the reader can read, if its body is no larger and no slower than that.
    pub fn new(reader: WebhookReader, max_body: usize, body_timeout: Duration) -> Self {
        Self {
            // The longest time in which a recorded delivery passes for timely.
            seen: Mutex::new(Seen::new(2 * reader.tolerance())),
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
            .map_err(|refusal| self.refuse(refusal, customers))?;
        let Ok(_place) = self.places.try_acquire() else {
            self.counts.ended(UNREAD, "overloaded");
            return Err(ApiError::new(Code::Overloaded));
        };
        let deadline = arrived.tick + self.body_timeout;
        let body = read_at_most(self.max_body, deadline, clock, headers, body)
            .await
            .inspect_err(|_| self.counts.ended(UNREAD, "incomplete"))?;
        self.take(&claim, &body, customers)
            .map_err(|refusal| self.refuse(refusal, customers))?;
        Ok(StatusCode::NO_CONTENT)
    }

    /// Nothing is awaited between the fence and the answer.
    fn take(
        &self,
        claim: &Claim<'_>,
        body: &[u8],
        customers: &CustomerService,
    ) -> Result<(), Refusal> {
        let news = self.reader.read(claim, body)?;
        let now = customers.clock().tick();
        if self.seen().contains(claim.id, now) {
            self.counts.ended(news.event, "repeated");
            return Ok(());
        }
        customers.apply(news.change);
        // Only now: where this is cut off before, the sender tries again with the same id.
        self.seen().insert(claim.id, now);
        let before = customers.feed().map(|feed| feed.heard(now));
        if before == Some(Standing::Failing) {
            tracing::info!("webhooks can be read again");
        }
        let outcome = if news.change.is_whole() {
            "taken"
        } else {
            "unaddressed"
        };
        self.counts.ended(news.event, outcome);
        Ok(())
    }

    fn refuse(&self, refusal: Refusal, customers: &CustomerService) -> ApiError {
        self.counts.ended(UNREAD, refusal.as_str());
        if refusal.is_engages() {
            let now = customers.clock().tick();
            let before = customers.feed().map(|feed| feed.missed(now));
            if before != Some(Standing::Failing) {
                let why = refusal.as_str();
                tracing::error!(
                    alarm = true,
                    why,
                    "a webhook can't be read: changes are missed"
                );
            }
        }
        match refusal {
            Refusal::Unsigned | Refusal::Untimely | Refusal::Forged => {
                ApiError::because(Code::Unauthorized, format!("{refusal}.")).challenge(CHALLENGE)
            }
            Refusal::NotJson => ApiError::because(Code::InvalidParameter, format!("{refusal}.")),
            Refusal::Sealed => ApiError::new(Code::WebhookUnreadable),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
