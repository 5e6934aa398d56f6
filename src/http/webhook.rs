//! `POST /webhooks/engage`: the one route that Engage calls. Whose delivery it is shows in its signature alone, so it is
//! checked over the raw bytes before anything else is read of them; and it is answered once the fence stands. Until then
//! its body is a stranger's, and what it may take is bounded ([`bodies`]).
//!
//! A delivery only ever makes something be asked for again. One that is sent twice does nothing the second time: not for
//! safety, since an invalidation may be repeated, but so that whoever recorded one can't keep a customer out of the cache.

mod bodies;
mod metrics;
mod recent_ids;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, extract::State};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;

use self::{
    bodies::{BodyBuffers, BodyDropped},
    metrics::DeliveryMetrics,
    recent_ids::RecentIds,
};
use super::{
    caller_identified::CallerIdentified,
    codings::without_mark,
    error::{ApiError, Code},
    peer::Peer,
};
use crate::{
    clock::{Clock, Tick},
    customer::CustomerService,
    webhook::{WebhookError, WebhookEvent, WebhookReader},
};

const CHALLENGE: &str = "Svix realm=\"engage-bff webhooks\"";
/// The event in metrics of what was not read.
const UNREAD: &str = "(unread)";
/// What is too large to be kept is still read, to learn whether it is Engage's: up to so many times the largest that is
/// kept, or so many bytes if that is more.
const READ_ON: usize = 4;
const READ_ON_BYTES: usize = 4 << 20;
/// Messages that were taken: as many as some 800 a second bring in ten minutes.
const MAX_SEEN: usize = 500_000;
/// Messages that were not understood.
const MAX_MISSED: usize = 10_000;
/// How often one kind of message that was not understood is logged.
const LOG_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Receives deliveries.
pub struct WebhookReceiver {
    reader: WebhookReader,
    max_body: usize,
    body_timeout: Duration,
    bodies: BodyBuffers,
    seen: Mutex<RecentIds>,
    /// A message that is not taken is sent again, and must not count again.
    missed: Mutex<RecentIds>,
    logged: Mutex<HashMap<Missed, Tick>>,
    counts: DeliveryMetrics,
}

/// What was not understood: the event where that could be read, and why.
type Missed = (&'static str, &'static str);

impl WebhookReceiver {
    /// Receives what the reader can read, if its body is no larger and no slower than that.
    pub fn new(reader: WebhookReader, max_body: usize, body_timeout: Duration) -> Self {
        // The longest time in which a recorded delivery passes for timely.
        let keep = 2 * reader.tolerance();
        Self {
            seen: Mutex::new(RecentIds::new(keep, MAX_SEEN)),
            missed: Mutex::new(RecentIds::new(keep, MAX_MISSED)),
            logged: Mutex::default(),
            reader,
            max_body,
            body_timeout,
            bodies: BodyBuffers::new(max_body),
            counts: DeliveryMetrics::default(),
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
        peer: Peer,
        identified: &CallerIdentified,
        customers: &CustomerService,
    ) -> Result<StatusCode, ApiError> {
        let clock = customers.clock();
        let arrived = clock.now();
        let claim = self
            .reader
            .signature_headers(headers, arrived.wall)
            .map_err(|refusal| self.refuse(refusal))?;
        let mut verifier = self.reader.verifier(claim);
        let mut unfinished = self.bodies.receive(peer);
        let deadline = arrived.tick + self.body_timeout;
        self.read_on(headers, body, deadline, clock, |chunk| {
            verifier.update(chunk);
            unfinished.append(chunk);
        })
        .await?;
        if !verifier.is_genuine() {
            return Err(self.refuse(WebhookError::SignatureMismatch));
        }
        identified.set();
        let taken = match unfinished.finish() {
            Ok(body) => self.take(claim.id, &body, customers).await,
            Err(lost) => Err(self.lose(lost)),
        };
        match taken {
            Ok(()) => Ok(StatusCode::NO_CONTENT),
            Err((why, answer)) => {
                self.missed(claim.id, (UNREAD, why), customers);
                Err(answer)
            }
        }
    }

    /// Reads a body to its end, though no further than is reasonable.
    async fn read_on(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        deadline: Tick,
        clock: &Clock,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ApiError> {
        let most = self.max_body.saturating_mul(READ_ON).max(READ_ON_BYTES);
        let refused = |outcome, answer| {
            self.counts.ended(UNREAD, outcome);
            Err(answer)
        };
        if announced(headers).is_some_and(|length| length > most as u64) {
            return refused("too-large", ApiError::new(Code::PayloadTooLarge));
        }
        let late = clock.sleep_until(deadline);
        tokio::pin!(late);
        let mut read = 0;
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut late => {
                    let why = "the body did not arrive in time";
                    return refused("incomplete", ApiError::with_detail(Code::InvalidParameter, why));
                }
                frame = body.frame() => frame,
            };
            let Some(frame) = frame else {
                return Ok(());
            };
            let Ok(frame) = frame else {
                let why = "the body broke off";
                return refused(
                    "incomplete",
                    ApiError::with_detail(Code::InvalidParameter, why),
                );
            };
            let Some(chunk) = frame.data_ref() else {
                continue;
            };
            read += chunk.len();
            if read > most {
                return refused("too-large", ApiError::new(Code::PayloadTooLarge));
            }
            take(chunk);
        }
    }

    /// Takes what is Engage's. Nothing but the invalidation is awaited between the fence and the answer.
    async fn take(
        &self,
        id: &str,
        body: &[u8],
        customers: &CustomerService,
    ) -> Result<(), (&'static str, ApiError)> {
        let WebhookEvent {
            event,
            change,
            is_understood,
        } = self
            .reader
            .read(without_mark(body))
            .map_err(|refusal| (refusal.as_str(), self.refuse(refusal)))?;
        let now = customers.clock().tick();
        if lock(&self.seen).contains(id, now) {
            self.counts.ended(event, "repeated");
            return Ok(());
        }
        customers.apply(&change).await;
        // Only now: where this is cut off before, the sender tries again with the same id.
        lock(&self.seen).insert(id, now);
        let outcome = if is_understood && !change.is_nothing() {
            "taken"
        } else {
            "unaddressed"
        };
        self.counts.ended(event, outcome);
        if !is_understood {
            // It would be the same if it came again.
            self.missed(id, (event, outcome), customers);
        } else if let Some(feed) = customers.feed() {
            feed.note_received(now);
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
            feed.note_missed(now, why);
        }
    }

    /// The body of a genuine delivery was not kept.
    fn lose(&self, lost: BodyDropped) -> (&'static str, ApiError) {
        let (why, code) = match lost {
            BodyDropped::TooLarge => ("too-large", Code::PayloadTooLarge),
            BodyDropped::Evicted => ("overloaded", Code::Overloaded),
        };
        self.counts.ended(UNREAD, why);
        (why, ApiError::new(code))
    }

    fn refuse(&self, refusal: WebhookError) -> ApiError {
        self.counts.ended(UNREAD, refusal.as_str());
        match refusal {
            WebhookError::MalformedHeaders
            | WebhookError::TimestampOutOfRange
            | WebhookError::SignatureMismatch => {
                ApiError::with_detail(Code::Unauthorized, format!("{refusal}."))
                    .challenge(CHALLENGE)
            }
            WebhookError::NotJson => {
                ApiError::with_detail(Code::InvalidParameter, format!("{refusal}."))
            }
            WebhookError::Undecryptable => ApiError::new(Code::WebhookUnreadable),
        }
    }
}

/// The length of the body that the head announces.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn lock<T>(locked: &Mutex<T>) -> MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One delivery.
pub(super) async fn receive(
    State(webhooks): State<Option<Arc<WebhookReceiver>>>,
    State(customers): State<CustomerService>,
    request: Request<Body>,
) -> Result<StatusCode, ApiError> {
    let Some(webhooks) = webhooks else {
        return Err(ApiError::new(Code::NotFound));
    };
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get().copied().unwrap_or_default();
    let identified = CallerIdentified::from_extensions(&parts.extensions);
    webhooks
        .receive(&parts.headers, body, peer, &identified, &customers)
        .await
}
