//! The keys that an issuer signs its tokens with. One background task refreshes them: until the first success with a
//! short back-off, then every ten minutes, and soon after a token whose key id is unknown, or which has no key id and
//! is not verified by any known key. Callers wait for a refresh and never run one. While refreshes fail the last keys
//! stay valid.

mod absent_ids;
mod key_source;
mod metrics;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, Semaphore, watch};

use self::absent_ids::AbsentIds;
pub use self::key_source::{PublishedKeys, read_published_keys};
pub(super) use self::{key_source::KeySource, metrics::KeyMetrics};
use crate::{
    clock::{Clock, Tick},
    config::jwk::Key,
};

/// The time between two refreshes.
const INTERVAL: Duration = Duration::from_secs(600);
/// The least time between the starts of two refreshes that callers request.
const SPACING: Duration = Duration::from_secs(3);
/// The first and the longest back-off after a failed refresh while no key is known; each is twice the one before.
const BACK_OFF_WITHOUT_KEYS: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(5));
/// The same while keys are known.
const BACK_OFF_WITH_KEYS: (Duration, Duration) = (SPACING, Duration::from_secs(60));
/// How long the service counts as starting while no key is known.
const START_UP: Duration = Duration::from_secs(30);
/// How many keys are tried for one token.
const MAX_CANDIDATES: usize = 4;
/// How many callers may wait for a refresh at a time.
const MAX_WAITING: usize = 1000;

/// It is not known yet whether the issuer has the key.
#[derive(Debug)]
pub(super) struct KeysUnavailable {
    /// When to try again.
    pub(super) retry_after: Duration,
}

/// The deadline passed, or too many callers are already waiting.
const TIMED_OUT: KeysUnavailable = KeysUnavailable {
    retry_after: SPACING,
};

/// The keys that are known, and the state of their refreshes.
pub(super) struct KeyRing {
    source: KeySource,
    state: Mutex<RingState>,
    /// A caller requested a refresh.
    requested: Notify,
    /// The number of the last finished refresh.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
    hasher: RandomState,
    metrics: KeyMetrics,
    clock: Clock,
    started_at: Tick,
}

/// Refreshes are numbered from 1 and run one at a time.
struct RingState {
    /// `None` until a refresh succeeds.
    keys: Option<Arc<Vec<Key>>>,
    started: u64,
    ended: u64,
    succeeded: u64,
    /// Failures since the last success.
    failures: u32,
    /// When the next one starts, even if no caller requests it.
    next: Tick,
    /// Whether a caller requested the next one.
    is_requested: bool,
    /// When the last one that a caller had requested started.
    requested_started: Option<Tick>,
    absent: AbsentIds,
}

impl RingState {
    fn is_refreshing(&self) -> bool {
        self.started > self.ended
    }

    /// When a refresh that a caller requests may start.
    fn earliest(&self, now: Tick) -> Tick {
        let spaced = self
            .requested_started
            .map_or(now, |started| started + SPACING);
        spaced.max(now).min(self.next.max(now))
    }
}

impl KeyRing {
    pub(super) fn new(source: KeySource, metrics: KeyMetrics, clock: Clock) -> Self {
        let now = clock.tick();
        Self {
            source,
            state: Mutex::new(RingState {
                keys: None,
                // The first refresh starts with the service.
                started: 1,
                ended: 0,
                succeeded: 0,
                failures: 0,
                next: now,
                is_requested: false,
                requested_started: None,
                absent: AbsentIds::default(),
            }),
            requested: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(MAX_WAITING),
            hasher: RandomState::new(),
            metrics,
            started_at: now,
            clock,
        }
    }

    /// Whether any refresh has succeeded.
    pub(super) fn is_loaded(&self) -> bool {
        self.state().keys.is_some()
    }

    /// Whether no key is known yet and the service has just started.
    pub(super) fn is_starting(&self) -> bool {
        !self.is_loaded() && self.clock.tick().since(self.started_at) < START_UP
    }

    /// The issuer's keys with this id, or all of them for a token without one, as far as they suit the algorithm. If
    /// there is none, waits until `deadline` at most for a refresh that starts after the call. While no key set is
    /// known at all, waits for the running refresh, and fails if none runs.
    pub(super) async fn keys(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let find = |state: &RingState, _: Option<u64>| {
            let keys = state.keys.as_deref()?;
            candidates(keys, id, algorithm)
        };
        self.wait_for(self.hasher.hash_one(id), find, deadline)
            .await
    }

    /// For a token without a key id that no known key verifies: the keys that suit the algorithm, from a refresh that
    /// starts after the call. Empty where such a refresh was made for the token within the last minute.
    pub(super) async fn newer_keys(
        &self,
        signature: &str,
        algorithm: Algorithm,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let find = |state: &RingState, needed: Option<u64>| {
            let is_newer = needed.is_some_and(|needed| state.succeeded >= needed);
            let keys = state.keys.as_deref().filter(|_| is_newer)?;
            candidates(keys, None, algorithm)
        };
        self.wait_for(self.hasher.hash_one(signature), find, deadline)
            .await
    }

    /// Whether the last refresh failed.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }

    /// Waits until `find` finds keys, or a refresh decides that there are none. `find` gets the number of the first
    /// refresh that starts after the call; at the first search `None`.
    async fn wait_for(
        &self,
        hash: u64,
        find: impl Fn(&RingState, Option<u64>) -> Option<Vec<DecodingKey>>,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let mut ended = self.ended.subscribe();
        let mut needed = None;
        let mut slot = None;
        loop {
            if let Some(keys) = self.search(hash, &find, deadline, &mut needed)? {
                return Ok(keys);
            }
            if slot.is_none() {
                slot = Some(self.waiting.try_acquire().map_err(|_| TIMED_OUT)?);
            }
            tokio::select! {
                biased;
                ended = ended.changed() => ended.map_err(|_| TIMED_OUT)?,
                () = self.clock.sleep_until(deadline) => return Err(TIMED_OUT),
            }
        }
    }

    /// Searches the state once: returns the keys that may have signed the token, an empty list if the issuer has no
    /// such key, or `None` if the next refresh decides. `needed` is the number of the first refresh that starts after
    /// the call; the first search sets it.
    fn search(
        &self,
        hash: u64,
        find: impl Fn(&RingState, Option<u64>) -> Option<Vec<DecodingKey>>,
        deadline: Tick,
        needed: &mut Option<u64>,
    ) -> Result<Option<Vec<DecodingKey>>, KeysUnavailable> {
        let now = self.clock.tick();
        let mut state = self.state();
        if state.keys.is_none() {
            let retry_after = state.next.since(now);
            let is_refreshing = state.is_refreshing();
            return is_refreshing
                .then_some(None)
                .ok_or(KeysUnavailable { retry_after });
        }
        if let Some(keys) = find(&state, *needed) {
            return Ok(Some(keys));
        }
        let is_first = needed.is_none();
        let needed = *needed.get_or_insert(state.started + 1);
        if state.succeeded >= needed || state.absent.contains(hash, now) {
            return Ok(Some(Vec::new()));
        }
        if state.ended >= needed {
            return Err(KeysUnavailable {
                retry_after: state.earliest(now).since(now),
            });
        }
        if is_first {
            state.absent.request(hash);
            state.is_requested = true;
            self.requested.notify_one();
        }
        let earliest = state.earliest(now);
        if !state.is_refreshing() && earliest > deadline {
            // The refresh will start, but not before this caller's deadline.
            return Err(KeysUnavailable {
                retry_after: earliest.since(now),
            });
        }
        Ok(None)
    }

    /// Reads the keys for the first time, before [`refresh`](Self::refresh) runs. Fails if they can't be read.
    pub(super) async fn read_first(&self) -> Result<(), anyhow::Error> {
        let keys = self.source.read(&self.clock).await?;
        self.end_refresh(Ok(keys));
        Ok(())
    }

    /// Whether the keys of both come from the same place.
    pub(super) fn is_from_same_place(&self, other: &Self) -> bool {
        self.source.is_same(&other.source)
    }

    /// Reads the keys, without keeping them.
    pub(super) async fn read_now(&self) -> Result<Vec<Key>, anyhow::Error> {
        self.source.read(&self.clock).await
    }

    /// Keeps the keys current: reads them at once, and then from time to time. Never returns. Only one task may run it
    /// at a time; it may be cancelled at any moment.
    pub(super) async fn refresh(&self) {
        if !self.state().is_refreshing() {
            self.start_refresh();
        }
        loop {
            let read = self.source.read(&self.clock).await;
            self.end_refresh(read);
            self.pause().await;
            self.start_refresh();
        }
    }

    /// Waits until the next refresh may start.
    async fn pause(&self) {
        loop {
            let due = {
                let state = self.state();
                let now = self.clock.tick();
                if state.is_requested {
                    state.earliest(now)
                } else {
                    state.next
                }
            };
            tokio::select! {
                biased;
                () = self.clock.sleep_until(due) => return,
                () = self.requested.notified() => {}
            }
        }
    }

    fn start_refresh(&self) {
        let mut state = self.state();
        state.started += 1;
        state.absent.start_refresh();
        if std::mem::take(&mut state.is_requested) {
            state.requested_started = Some(self.clock.tick());
        }
    }

    fn end_refresh(&self, read: Result<Vec<Key>, anyhow::Error>) {
        let now = self.clock.tick();
        let mut state = self.state();
        state.ended = state.started;
        let failures = state.failures;
        match read {
            Ok(keys) => {
                self.metrics.succeeded(self.clock.now().wall);
                let before = state.keys.replace(Arc::new(keys));
                let ids = before.iter().flat_map(|keys| keys.iter());
                let ids = ids.filter_map(|key| key.id.as_deref());
                let ids = ids.map(|id| self.hasher.hash_one(Some(id)));
                state.succeeded = state.started;
                state.failures = 0;
                state.next = now + INTERVAL;
                state.absent.succeed(ids, now);
                if failures > 0 {
                    tracing::info!(failures, "token issuer keys available again");
                }
            }
            Err(error) => {
                self.metrics.failed();
                let (first, most) = if state.keys.is_some() {
                    BACK_OFF_WITH_KEYS
                } else {
                    BACK_OFF_WITHOUT_KEYS
                };
                let pause = first.saturating_mul(1 << failures.min(16));
                state.failures = failures.saturating_add(1);
                state.next = now + pause.min(most);
                state.absent.fail();
                let error = format!("{error:#}");
                // One alarm for the first failure in a row; the others at debug.
                if failures == 0 {
                    tracing::error!(alarm = true, error, "token issuer keys unavailable");
                } else {
                    tracing::debug!(error, failures, "token issuer keys unavailable");
                }
            }
        }
        let ended = state.ended;
        drop(state);
        self.ended.send_replace(ended);
    }

    fn state(&self) -> MutexGuard<'_, RingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys with this id, or all for a token without one, that suit the algorithm. `None` where the issuer has no key
/// with the id, or none that suits a token without one.
pub(super) fn candidates(
    keys: &[Key],
    id: Option<&str>,
    algorithm: Algorithm,
) -> Option<Vec<DecodingKey>> {
    let is_named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
    let suitable: Vec<_> = keys
        .iter()
        .filter(is_named)
        .filter(|key| key.suits(algorithm))
        .take(MAX_CANDIDATES)
        .map(|key| key.verifier.clone())
        .collect();
    let is_known = !suitable.is_empty() || (id.is_some() && keys.iter().any(|key| is_named(&key)));
    is_known.then_some(suitable)
}
