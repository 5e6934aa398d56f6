//! The keys with which an issuer signs its tokens, read by one background task: until they are known after a short
//! back-off, then every ten minutes, and soon after a token names a key that is not known. Callers wait for a reading and
//! never make one. Keys outlive a source that fails.

mod absent_ids;
mod key_source;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, Semaphore, watch};

use self::absent_ids::AbsentIds;
pub(super) use self::key_source::KeySource;
use crate::{
    clock::{Clock, Tick},
    config::jwk::Key,
};

/// How often keys are read anew.
const REFRESH: Duration = Duration::from_secs(600);
/// How long at least between the beginnings of two readings that callers ask for.
const SPACING: Duration = Duration::from_secs(3);
/// The first and the longest pause after a reading that failed while no key is known; each is twice as long as the last.
const UNKNOWN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The same while keys are known.
const KNOWN: (Duration, Duration) = (SPACING, Duration::from_secs(60));
/// How long the service counts as starting while no key is known.
const START: Duration = Duration::from_secs(30);
/// How many keys are tried on one token.
const MAX_TRIED: usize = 4;
/// How many callers wait for a reading at the same time.
const MAX_WAITING: usize = 1000;

/// No reading could be finished that says whether the issuer has the key.
#[derive(Debug)]
pub(super) struct KeysUnavailable {
    /// When to try again.
    pub(super) retry_after: Duration,
}

/// There was no time, or no room, to wait for one.
const LATER: KeysUnavailable = KeysUnavailable {
    retry_after: SPACING,
};

/// The keys, as they are known now.
pub(super) struct KeyRing {
    source: KeySource,
    state: Mutex<RingState>,
    /// A caller asks for a reading.
    requested: Notify,
    /// The number of the reading that ended last.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
    hasher: RandomState,
    clock: Clock,
    since: Tick,
}

/// Readings are numbered from 1, in the order in which they begin; one is under way at a time.
struct RingState {
    /// `None` until a reading succeeds.
    keys: Option<Arc<Vec<Key>>>,
    started: u64,
    ended: u64,
    succeeded: u64,
    /// How many failed since one succeeded.
    failures: u32,
    /// When the next one begins, whether or not a caller asks for it.
    next: Tick,
    /// Whether a caller asks for the next one.
    is_requested: bool,
    /// When the last one began that a caller had asked for.
    requested_started: Option<Tick>,
    absent: AbsentIds,
}

impl RingState {
    fn is_reading(&self) -> bool {
        self.started > self.ended
    }

    /// When a reading that a caller asks for may begin.
    fn earliest(&self, now: Tick) -> Tick {
        let spaced = self
            .requested_started
            .map_or(now, |started| started + SPACING);
        spaced.max(now).min(self.next.max(now))
    }
}

/// What is known of a key at one moment.
enum KeySearch {
    /// The keys that may have signed the token; none where the issuer has no such key.
    Found(Vec<DecodingKey>),
    /// The next reading will say.
    Pending,
}

impl KeyRing {
    pub(super) fn new(source: KeySource, clock: Clock) -> Self {
        let now = clock.tick();
        Self {
            source,
            state: Mutex::new(RingState {
                keys: None,
                // The first reading begins with the service.
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
            since: now,
            clock,
        }
    }

    /// Whether a reading has succeeded.
    pub(super) fn is_loaded(&self) -> bool {
        self.state().keys.is_some()
    }

    /// Whether the service still starts: no key is known, and might soon be.
    pub(super) fn is_starting(&self) -> bool {
        !self.is_loaded() && self.clock.tick().since(self.since) < START
    }

    /// The keys of the issuer's that may have signed a token that names this key, or none. Where the key is not known, the
    /// answer waits for a reading that begins from now on, until `deadline` at most.
    pub(super) async fn keys(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let known = |state: &RingState, _: Option<u64>| {
            let keys = state.keys.as_deref()?;
            known(keys, id, algorithm)
        };
        self.wait_for(self.hasher.hash_one(id), known, deadline)
            .await
    }

    /// The keys that suit the algorithm after a reading that begins from now on: for a token that names no key and was
    /// signed with none of the known ones. None where there was such a reading for it within a minute.
    pub(super) async fn newer_keys(
        &self,
        signature: &str,
        algorithm: Algorithm,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let known = |state: &RingState, needed: Option<u64>| {
            let is_newer = needed.is_some_and(|needed| state.succeeded >= needed);
            let keys = state.keys.as_deref().filter(|_| is_newer)?;
            known(keys, None, algorithm)
        };
        self.wait_for(self.hasher.hash_one(signature), known, deadline)
            .await
    }

    /// Whether the last reading failed.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }

    /// `known` finds the keys in a state; it is given the number of the first reading that began after the question.
    async fn wait_for(
        &self,
        hash: u64,
        known: impl Fn(&RingState, Option<u64>) -> Option<Vec<DecodingKey>>,
        deadline: Tick,
    ) -> Result<Vec<DecodingKey>, KeysUnavailable> {
        let mut ended = self.ended.subscribe();
        let mut needed = None;
        let mut place = None;
        loop {
            if let KeySearch::Found(keys) = self.search(hash, &known, deadline, &mut needed)? {
                return Ok(keys);
            }
            if place.is_none() {
                place = Some(self.waiting.try_acquire().map_err(|_| LATER)?);
            }
            tokio::select! {
                biased;
                ended = ended.changed() => ended.map_err(|_| LATER)?,
                () = self.clock.sleep_until(deadline) => return Err(LATER),
            }
        }
    }

    /// What is known now. `needed` is the number of the first reading that began after the question, once it has been
    /// asked.
    fn search(
        &self,
        hash: u64,
        known: impl Fn(&RingState, Option<u64>) -> Option<Vec<DecodingKey>>,
        deadline: Tick,
        needed: &mut Option<u64>,
    ) -> Result<KeySearch, KeysUnavailable> {
        let now = self.clock.tick();
        let mut state = self.state();
        if state.keys.is_none() {
            let retry_after = state.next.since(now);
            let is_reading = state.is_reading();
            return is_reading
                .then_some(KeySearch::Pending)
                .ok_or(KeysUnavailable { retry_after });
        }
        if let Some(known) = known(&state, *needed) {
            return Ok(KeySearch::Found(known));
        }
        let is_first = needed.is_none();
        let needed = *needed.get_or_insert(state.started + 1);
        if state.succeeded >= needed || state.absent.contains(hash, now) {
            return Ok(KeySearch::Found(Vec::new()));
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
        if !state.is_reading() && earliest > deadline {
            // The reading will be made, only not in this caller's time.
            return Err(KeysUnavailable {
                retry_after: earliest.since(now),
            });
        }
        Ok(KeySearch::Pending)
    }

    /// Reads the keys anew for as long as the service runs.
    pub(super) async fn refresh(&self) {
        loop {
            let read = self.source.read(&self.clock).await;
            self.end(read);
            self.pause().await;
            self.begin();
        }
    }

    /// Waits until the next reading may begin.
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

    fn begin(&self) {
        let mut state = self.state();
        state.started += 1;
        state.absent.begin();
        if std::mem::take(&mut state.is_requested) {
            state.requested_started = Some(self.clock.tick());
        }
    }

    fn end(&self, read: Result<Vec<Key>, anyhow::Error>) {
        let now = self.clock.tick();
        let mut state = self.state();
        state.ended = state.started;
        let failures = state.failures;
        match read {
            Ok(keys) => {
                let before = state.keys.replace(Arc::new(keys));
                let ids = before.iter().flat_map(|keys| keys.iter());
                let ids = ids.filter_map(|key| key.id.as_deref());
                let ids = ids.map(|id| self.hasher.hash_one(Some(id)));
                state.succeeded = state.started;
                state.failures = 0;
                state.next = now + REFRESH;
                state.absent.succeed(ids, now);
                if failures > 0 {
                    tracing::info!(failures, "the token issuer's keys can be read again");
                }
            }
            Err(error) => {
                let (first, most) = if state.keys.is_some() { KNOWN } else { UNKNOWN };
                let pause = first.saturating_mul(1 << failures.min(16));
                state.failures = failures.saturating_add(1);
                state.next = now + pause.min(most);
                state.absent.fail();
                let error = format!("{error:#}");
                // An alarm when it begins; what it goes on with is of interest to whoever looks for it.
                if failures == 0 {
                    tracing::error!(alarm = true, error, "the token issuer's keys can't be read");
                } else {
                    tracing::debug!(error, failures, "the token issuer's keys can't be read");
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

/// The keys of that id, or where a token names none all, as far as they suit its algorithm. `None` where the issuer has
/// none of that id, or none that suits a token without one.
fn known(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Option<Vec<DecodingKey>> {
    let is_named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
    let suiting: Vec<_> = keys
        .iter()
        .filter(is_named)
        .filter(|key| key.suits(algorithm))
        .take(MAX_TRIED)
        .map(|key| key.verifier.clone())
        .collect();
    let is_known = !suiting.is_empty() || (id.is_some() && keys.iter().any(|key| is_named(&key)));
    is_known.then_some(suiting)
}
