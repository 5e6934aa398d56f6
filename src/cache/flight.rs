//! Shared upstream calls. Each runs in a task of its own, so a caller who leaves neither cancels nor
//! repeats it, and everybody who asks for the same thing waits for the same flight.
//!
//! Callers say how new the data must be: a [`Sequence`] after which its upstream request must begin.
//! Someone who wants data as it is now (or who comes after an invalidation) can't join a flight that
//! has already begun; such callers share one flight that waits for the running one to end. So there
//! is at most one running and one waiting call for each key, however many ask. A call that has run
//! longer than a caller would ever wait no longer holds the next one up, but of such there are at
//! most [`MAX_OVERDUE`].
//!
//! How often such callers can have one key asked anew is bounded too ([`Pace`]): a few calls in a row, then one
//! after the other at a distance. All who come in between share the next one, which begins after each of them came.

mod pace;

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

pub use self::pace::Pace;
use self::pace::Paces;
use super::fence::Sequence;
use crate::{
    clock::{Clock, Tick},
    domain::{Claim, Claims},
    threads::{AtomicUsize, Mutex, MutexGuard, Ordering, spawn},
};

/// How many calls for one key may run on after every caller's patience has ended.
pub const MAX_OVERDUE: usize = 2;

const SHARDS: usize = 16;

/// The flights of one kind of upstream call.
pub struct Flights<K, V> {
    lanes: Arc<Lanes<K, V>>,
}

struct Lanes<K, V> {
    shards: Vec<Mutex<Shard<K, V>>>,
    hasher: RandomState,
    clock: Clock,
    /// How long a call holds the next one of its key up.
    patience: Duration,
    in_flight: AtomicUsize,
    max_in_flight: usize,
}

struct Shard<K, V> {
    lanes: HashMap<K, Lane<V>>,
    paces: Paces<K>,
}

struct Lane<V> {
    running: Vec<Arc<Flight<V>>>,
    waiting: Option<Arc<Flight<V>>>,
}

struct Flight<V> {
    /// When and in which place the upstream request began; empty until it did.
    start: OnceLock<(Sequence, Tick)>,
    /// When the flight's task was let go.
    started: OnceLock<Tick>,
    /// Those of the callers who joined it.
    claims: watch::Sender<Claims>,
    outcome: watch::Sender<Option<Outcome<V>>>,
}

type Outcome<V> = Result<V, FlightError>;

/// How a caller came to its flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It started the call.
    Started,
    /// It joined a call that somebody else had started.
    Collapsed,
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightError {
    /// Too many calls are in the air.
    Full,
    /// The call's task ended without an outcome: it panicked.
    Lost,
}

/// Tells a flight that its upstream request begins, and who claims it until then.
pub struct FlightStart<V> {
    flight: Arc<Flight<V>>,
}

impl<V> FlightStart<V> {
    /// Notes the beginning. Only the first counts: what a later request of the same flight brings is
    /// at least as new.
    pub fn begin(&self, sequence: Sequence, at: Tick) {
        let _ = self.flight.start.set((sequence, at));
    }

    /// The claims of the callers who joined the flight, and of those who join it later.
    pub fn claims(&self) -> watch::Receiver<Claims> {
        self.flight.claims.subscribe()
    }
}

/// A seat in a flight. Dropping it harms nobody.
pub struct FlightHandle<V> {
    outcome: watch::Receiver<Option<Outcome<V>>>,
    /// How the seat was come by.
    pub joined: Joined,
}

impl<V: Clone> FlightHandle<V> {
    /// Waits for the flight to end.
    pub async fn outcome(mut self) -> Result<V, FlightError> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(FlightError::Lost)),
            Err(_) => Err(FlightError::Lost),
        }
    }
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No flights yet. A call older than `patience` no longer holds the next of its key up.
    pub fn new(clock: Clock, patience: Duration, pace: Pace, max_in_flight: usize) -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                lanes: HashMap::new(),
                paces: Paces::new(pace),
            })
        };
        Self {
            lanes: Arc::new(Lanes {
                shards: (0..SHARDS).map(shard).collect(),
                hasher: RandomState::new(),
                clock,
                patience,
                in_flight: AtomicUsize::new(0),
                max_in_flight,
            }),
        }
    }

    /// A seat in a flight for `key` whose upstream request begins after `not_before`: in the running
    /// one if it began late enough or not yet, else in the waiting one, else in a new one that makes
    /// `call`. Whichever it is, the claim is one of its claims from now on.
    pub fn join<F, C>(
        &self,
        key: K,
        not_before: Sequence,
        claim: Claim,
        call: C,
    ) -> Result<FlightHandle<V>, FlightError>
    where
        C: FnOnce(FlightStart<V>) -> F + Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        let mut shard = self.lanes.shard(&key);
        let Shard { lanes, paces } = &mut *shard;
        let lane = lanes.entry(key.clone()).or_insert_with(|| Lane {
            running: Vec::new(),
            waiting: None,
        });
        let joinable = |flight: &&Arc<Flight<V>>| {
            flight
                .start
                .get()
                .is_none_or(|(start, _)| *start > not_before)
        };
        let found = lane.running.iter().rev().find(joinable);
        if let Some(flight) = found.or(lane.waiting.as_ref()) {
            flight.add(&claim);
            return Ok(flight.seat(Joined::Collapsed));
        }
        if self.lanes.in_flight.load(Ordering::Relaxed) >= self.lanes.max_in_flight {
            if lane.running.is_empty() {
                lanes.remove(&key);
            }
            return Err(FlightError::Full);
        }
        let flight = Arc::new(Flight {
            start: OnceLock::new(),
            started: OnceLock::new(),
            claims: watch::Sender::new(claim.into()),
            outcome: watch::Sender::new(None),
        });
        let seat = flight.seat(Joined::Started);
        let now = self.lanes.clock.tick();
        let is_in_time = !paces.was_asked_before(&key, not_before) || paces.next(&key, now) <= now;
        let at_once = lane.running.is_empty() && is_in_time;
        if at_once {
            let _ = flight.started.set(now);
            paces.start(&key, now);
            lane.running.push(Arc::clone(&flight));
        } else {
            lane.waiting = Some(Arc::clone(&flight));
        }
        drop(shard);
        let landing = FlightGuard::new(Arc::clone(&self.lanes), key, Arc::clone(&flight));
        spawn(async move {
            if !at_once {
                landing.wait_for_turn().await;
            }
            let value = call(FlightStart {
                flight: Arc::clone(&flight),
            })
            .await;
            landing.land(value);
        });
        Ok(seat)
    }

    /// How many calls are running or waiting.
    pub fn in_flight(&self) -> usize {
        self.lanes.in_flight.load(Ordering::Relaxed)
    }
}

impl<V> Flight<V> {
    fn add(&self, claim: &Claim) {
        self.claims.send_if_modified(|claims| claims.add(claim));
    }

    fn seat(&self, joined: Joined) -> FlightHandle<V> {
        FlightHandle {
            outcome: self.outcome.subscribe(),
            joined,
        }
    }
}

impl<K: Hash + Eq, V> Lanes<K, V> {
    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[hash]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flight off its lane when its task ends, however it ends.
struct FlightGuard<K: Hash + Eq + Clone, V> {
    lanes: Arc<Lanes<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    has_left: bool,
}

impl<K: Hash + Eq + Clone, V> FlightGuard<K, V> {
    fn new(lanes: Arc<Lanes<K, V>>, key: K, flight: Arc<Flight<V>>) -> Self {
        lanes.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            lanes,
            key,
            flight,
            has_left: false,
        }
    }

    fn land(mut self, value: V) {
        self.leave(Ok(value));
    }

    /// First off the lane, then the outcome: who is woken by it finds the lane free.
    fn leave(&mut self, outcome: Outcome<V>) {
        self.has_left = true;
        self.leave_lane();
        self.lanes.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.flight.outcome.send_replace(Some(outcome));
    }

    fn leave_lane(&self) {
        let mut shard = self.lanes.shard(&self.key);
        let Shard { lanes, paces } = &mut *shard;
        if let Some((start, _)) = self.flight.start.get() {
            paces.end(&self.key, *start);
        }
        let Some(lane) = lanes.get_mut(&self.key) else {
            return;
        };
        lane.running
            .retain(|flight| !Arc::ptr_eq(flight, &self.flight));
        let waits = |waiting: &Arc<Flight<V>>| Arc::ptr_eq(waiting, &self.flight);
        if lane.waiting.as_ref().is_some_and(waits) {
            lane.waiting = None;
        }
        if lane.running.is_empty() && lane.waiting.is_none() {
            lanes.remove(&self.key);
        }
    }

    /// Waits until no running call holds this one up and it is not too soon after the last, then moves it among the
    /// running.
    async fn wait_for_turn(&self) {
        let clock = &self.lanes.clock;
        while let Some(hold) = self.try_start() {
            match hold {
                Hold::Until(at) => clock.sleep_until(at).await,
                Hold::Behind(ahead, overdue_at) => {
                    let mut ended = ahead.outcome.subscribe();
                    let ended = ended.wait_for(Option::is_some);
                    match overdue_at {
                        Some(overdue_at) => tokio::select! {
                            _ = ended => {}
                            () = clock.sleep_until(overdue_at) => {}
                        },
                        None => drop(ended.await),
                    }
                }
            }
        }
    }

    /// Starts the flight, or says what it must wait for.
    fn try_start(&self) -> Option<Hold<V>> {
        let now = self.lanes.clock.tick();
        let mut shard = self.lanes.shard(&self.key);
        let Shard { lanes, paces } = &mut *shard;
        let lane = lanes.get_mut(&self.key)?;
        let overdue_at =
            |flight: &Flight<V>| flight.started.get().copied().unwrap_or(now) + self.lanes.patience;
        if let Some(ahead) = lane.running.iter().find(|flight| overdue_at(flight) > now) {
            return Some(Hold::Behind(Arc::clone(ahead), Some(overdue_at(ahead))));
        }
        if lane.running.len() > MAX_OVERDUE {
            return Some(Hold::Behind(Arc::clone(&lane.running[0]), None));
        }
        let next = paces.next(&self.key, now);
        if next > now {
            return Some(Hold::Until(next));
        }
        lane.waiting = None;
        let _ = self.flight.started.set(now);
        paces.start(&self.key, now);
        lane.running.push(Arc::clone(&self.flight));
        None
    }
}

/// What a waiting flight must wait for.
enum Hold<V> {
    /// The end of that one, or the moment from which it no longer counts.
    Behind(Arc<Flight<V>>, Option<Tick>),
    /// That moment.
    Until(Tick),
}

impl<K: Hash + Eq + Clone, V> Drop for FlightGuard<K, V> {
    fn drop(&mut self) {
        if !self.has_left {
            self.leave(Err(FlightError::Lost));
        }
    }
}
