//! `POST /webhooks/engage`: receives Engage's webhooks. The signature over the raw bytes is verified before anything in
//! the body is parsed, and the delivery is acknowledged once its fences are raised. Until its signature is verified the
//! sender is unknown, so the memory for bodies is bounded ([`bodies`]).
//!
//! A delivery can only invalidate. A repeated one has no effect: applying it again would be safe, but a replayed
//! recording could keep a contact out of the cache. Replicas that share a tier remember each other's deliveries there;
//! a delivery that can't be announced to the other replicas is refused, so that the sender repeats it.

mod bodies;
mod recent_ids;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, extract::State};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;

use self::{
    bodies::{BodyBuffers, BodyDropped},
    recent_ids::RecentIds,
};
use super::{
    body::content_length,
    codings::without_mark,
    credentials::CurrentCredentials,
    error::{ApiError, Code},
    log_context::LogContext,
    peer::Peer,
};
use crate::{
    clock::{Clock, Tick},
    customer::{Announced, CustomerService, Delivery, WebhookMessage},
    metrics::{
        Counters, Registry, Source,
        catalogue::{listeners::WEBHOOKS, values::UNREAD},
    },
    webhook::{WebhookError, WebhookEvent, WebhookReader},
};

const CHALLENGE: &str = "Svix realm=\"engage-bff webhooks\"";
/// A body that is too large to be kept is still read, to verify its signature: up to this multiple of `max_body`, or up
/// to `MIN_READ_LIMIT` if that is more.
const MAX_READ_FACTOR: usize = 4;
const MIN_READ_LIMIT: usize = 4 << 20;
/// At least this many of the latest ids of accepted messages are remembered: ten minutes at 800 a second.
const MAX_SEEN: usize = 500_000;
/// How many ids of messages that were not understood are remembered.
const MAX_MISSED: usize = 10_000;
/// The time between two log events of one kind of message that was not understood.
const LOG_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Receives deliveries of webhooks.
pub struct WebhookReceiver {
    max_body: usize,
    body_timeout: Duration,
    bodies: BodyBuffers,
    seen: Mutex<RecentIds>,
    /// A message that is not accepted is sent again, and must be counted once.
    missed: Mutex<RecentIds>,
    logged: Mutex<HashMap<Missed, Tick>>,
    /// The deliveries by event and outcome; the event is one of a fixed set of names, never text from the sender.
    deliveries: Counters,
}

/// A kind of message that was not understood: the event, where it could be read, and the reason.
type Missed = (&'static str, &'static str);

/// Why a genuine delivery was not accepted.
enum Refused {
    /// It could not be read: the reason, and the response.
    Unread(&'static str, ApiError),
    /// It took effect here, and may not have reached the other replicas.
    NotShared,
}

impl Source for WebhookReceiver {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.deliveries.clone());
    }
}

impl WebhookReceiver {
    /// A receiver of deliveries whose timestamp differs by at most `tolerance` from now, and whose body has at most
    /// `max_body` bytes and arrives within `body_timeout`.
    pub fn new(tolerance: Duration, max_body: usize, body_timeout: Duration) -> Self {
        // The longest time for which a replayed delivery has a valid timestamp.
        let keep = 2 * tolerance;
        Self {
            seen: Mutex::new(RecentIds::new(keep, MAX_SEEN)),
            missed: Mutex::new(RecentIds::new(keep, MAX_MISSED)),
            logged: Mutex::default(),
            max_body,
            body_timeout,
            bodies: BodyBuffers::new(max_body),
            deliveries: Counters::new(&WEBHOOKS),
        }
    }

    fn count(&self, event: &'static str, outcome: &'static str) {
        self.deliveries.of(&[event, outcome]).inc();
    }

    async fn receive(
        &self,
        reader: &WebhookReader,
        headers: &HeaderMap,
        body: Body,
        peer: Peer,
        context: &LogContext,
        customers: &CustomerService,
    ) -> Result<StatusCode, ApiError> {
        let clock = customers.clock();
        let arrived = clock.now();
        let claim = reader
            .signature_headers(headers, arrived.wall)
            .map_err(|refusal| self.refuse(refusal))?;
        let mut verifier = reader.verifier(claim);
        let mut incoming = self.bodies.receive(peer);
        let deadline = arrived.tick + self.body_timeout;
        self.read_body(headers, body, deadline, clock, |chunk| {
            verifier.update(chunk);
            incoming.append(chunk);
        })
        .await?;
        if !verifier.is_genuine() {
            return Err(self.refuse(WebhookError::SignatureMismatch));
        }
        context.identify();
        let accepted = match incoming.finish() {
            Ok(body) => self.accept(reader, claim.id, &body, customers).await,
            Err(dropped) => Err(self.refuse_dropped(dropped)),
        };
        match accepted {
            Ok(()) => Ok(StatusCode::NO_CONTENT),
            Err(Refused::Unread(why, answer)) => {
                self.missed(claim.id, (UNREAD, why), customers).await;
                Err(answer)
            }
            // Not remembered: the sender repeats it.
            Err(Refused::NotShared) => Err(ApiError::new(Code::NotShared)),
        }
    }

    /// Passes the body to `take`, chunk by chunk, to its end; within the bounds of size and time.
    async fn read_body(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        deadline: Tick,
        clock: &Clock,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ApiError> {
        let most = self
            .max_body
            .saturating_mul(MAX_READ_FACTOR)
            .max(MIN_READ_LIMIT);
        let refused = |outcome, answer| {
            self.count(UNREAD, outcome);
            Err(answer)
        };
        if content_length(headers).is_some_and(|length| length > most as u64) {
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
                let why = "the body was cut off";
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

    /// Applies a genuine delivery. The response is sent after its fences are raised, and with a shared tier after it was
    /// announced to the other replicas; nothing else is awaited in between.
    async fn accept(
        &self,
        reader: &WebhookReader,
        id: &str,
        body: &[u8],
        customers: &CustomerService,
    ) -> Result<(), Refused> {
        let WebhookEvent {
            event,
            change,
            is_understood,
        } = reader
            .read(without_mark(body))
            .map_err(|refusal| Refused::Unread(refusal.as_str(), self.refuse(refusal)))?;
        let now = customers.clock().tick();
        if lock(&self.seen).contains(id, now) {
            self.count(event, "repeated");
            return Ok(());
        }
        let outcome = if is_understood && !change.is_nothing() {
            "taken"
        } else {
            "unaddressed"
        };
        let says = if is_understood {
            Some(Delivery::Received)
        } else {
            // An earlier attempt may have been counted already, for example because its body was too large.
            let is_new = !lock(&self.missed).contains(id, now);
            is_new.then_some(Delivery::Missed(outcome))
        };
        let message = WebhookMessage { id, at: now, says };
        let announced = customers.apply_webhook(&change, message).await;
        let Ok(announced) = announced else {
            self.count(event, "not-shared");
            return Err(Refused::NotShared);
        };
        // After the fences: if this is interrupted before, the sender tries again with the same id.
        lock(&self.seen).insert(id, now);
        if announced == Announced::Repeated {
            self.count(event, "repeated");
            return Ok(());
        }
        self.count(event, outcome);
        if !is_understood && lock(&self.missed).insert(id, now) {
            // Acknowledged all the same: sending it again would not help.
            self.log_missed((event, outcome), now);
        }
        Ok(())
    }

    /// Records that a genuine message could not be read, or its body was dropped.
    async fn missed(&self, id: &str, missed: Missed, customers: &CustomerService) {
        let now = customers.clock().tick();
        if !lock(&self.missed).insert(id, now) {
            return;
        }
        self.log_missed(missed, now);
        let (_, why) = missed;
        let message = WebhookMessage {
            id,
            at: now,
            says: Some(Delivery::Missed(why)),
        };
        customers.note_missed(message).await;
    }

    fn log_missed(&self, missed: Missed, now: Tick) {
        let (event, why) = missed;
        let logged_at = lock(&self.logged).get(&missed).copied();
        if logged_at.is_none_or(|at| now.since(at) >= LOG_PAUSE) {
            lock(&self.logged).insert(missed, now);
            tracing::warn!(event, why, "webhook not understood; change missed");
        }
    }

    /// The failure of a genuine delivery whose body was dropped.
    fn refuse_dropped(&self, dropped: BodyDropped) -> Refused {
        let (why, code) = match dropped {
            BodyDropped::TooLarge => ("too-large", Code::PayloadTooLarge),
            BodyDropped::Evicted => ("overloaded", Code::Overloaded),
        };
        self.count(UNREAD, why);
        Refused::Unread(why, ApiError::new(code))
    }

    fn refuse(&self, refusal: WebhookError) -> ApiError {
        self.count(UNREAD, refusal.as_str());
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

fn lock<T>(locked: &Mutex<T>) -> MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one delivery.
pub(super) async fn receive(
    State(credentials): State<CurrentCredentials>,
    State(webhooks): State<Arc<WebhookReceiver>>,
    State(customers): State<CustomerService>,
    request: Request<Body>,
) -> Result<StatusCode, ApiError> {
    let credentials = credentials.to_keep();
    let Some(reader) = &credentials.webhooks else {
        return Err(ApiError::new(Code::NotFound));
    };
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get().copied().unwrap_or_default();
    let context = LogContext::from_extensions(&parts.extensions);
    webhooks
        .receive(reader, &parts.headers, body, peer, &context, &customers)
        .await
}
