//! Flights: upstream calls that concurrent requests for the same thing share (single-flight). Each runs in a task of
//! its own, so a cancelled request neither cancels nor repeats it.
//!
//! A request says how new the data must be: a [`Sequence`] after which the upstream call must begin. A request for
//! fresh data, or one that comes after an invalidation, can't join a flight that has already begun; such requests share
//! one flight that waits for the running one to end. So each key has at most one running and one waiting call, however
//! many requests there are. A call that has run for longer than any request waits is overdue and no longer delays the
//! next one, but a call starts next to at most [`MAX_OVERDUE`] overdue ones of its key.
//!
//! How often requests can make the same call again is bounded by [`Pace`]: a few calls in a row, then one per interval.
//! Requests in between share the next call, which begins after each of them arrived.

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
    domain::{Claim, Demand, FlightTrace, Requesters},
    threads::{AtomicUsize, Mutex, MutexGuard, Ordering, spawn},
};

/// Next to how many overdue calls, which have run for longer than any request waits, another call for the same key may
/// start.
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
    /// How long a call delays the next one for its key.
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
    /// When the upstream request began, and its place in the order of events; empty until it did.
    start: OnceLock<(Sequence, Tick)>,
    /// When the flight stopped waiting for its turn.
    started: OnceLock<Tick>,
    /// The claims of the requests that joined it.
    claims: watch::Sender<Requesters>,
    /// What they want from it.
    demand: watch::Sender<Demand>,
    /// Its span, a child of the span of the request that started it.
    trace: Option<Arc<FlightTrace>>,
    outcome: watch::Sender<Option<Outcome<V>>>,
}

type Outcome<V> = Result<V, FlightError>;

/// How a request came to its flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It started the call.
    Started,
    /// It joined a call that another request had started.
    Collapsed,
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightError {
    /// Too many calls are in flight.
    Full,
    /// The call's task panicked.
    Lost,
}

/// Given to a flight's call: marks the start of the upstream request, and has the claims of the requests that wait.
pub struct FlightStart<V> {
    flight: Arc<Flight<V>>,
}

impl<V> FlightStart<V> {
    /// Marks the start of the upstream request. Only the first counts: a later page or retry of the same flight returns
    /// data that is at least as new.
    pub fn begin(&self, sequence: Sequence, at: Tick) {
        let _ = self.flight.start.set((sequence, at));
    }

    /// The claims of the requests that have joined the flight, kept up to date.
    pub fn claims(&self) -> watch::Receiver<Requesters> {
        self.flight.claims.subscribe()
    }

    /// What the requests that have joined the flight want from it, kept up to date.
    pub fn demand(&self) -> watch::Receiver<Demand> {
        self.flight.demand.subscribe()
    }

    /// The span of the flight.
    pub fn trace(&self) -> Option<&Arc<FlightTrace>> {
        self.flight.trace.as_ref()
    }
}

/// A request's place in a flight. Dropping it changes nothing for the flight or for other requests.
pub struct FlightHandle<V> {
    outcome: watch::Receiver<Option<Outcome<V>>>,
    /// How the request came to it.
    pub joined: Joined,
    /// The span of the flight.
    pub trace: Option<Arc<FlightTrace>>,
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
    /// No flights yet. A call older than `patience` no longer delays the next one for its key.
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

    /// Joins a flight for `key` whose upstream request begins after `not_before`: the running one if it began late
    /// enough or not yet, else the waiting one, else a new one that makes `call`. The claim is added to that flight's
    /// claims.
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
            return Ok(flight.handle(Joined::Collapsed));
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
            claims: watch::Sender::new(claim.requester.into()),
            demand: watch::Sender::new(claim.demand),
            trace: claim.trace,
            outcome: watch::Sender::new(None),
        });
        let handle = flight.handle(Joined::Started);
        let now = self.lanes.clock.tick();
        let is_on_pace = !paces.was_called_before(&key, not_before) || paces.next(&key, now) <= now;
        let starts_now = lane.running.is_empty() && is_on_pace;
        if starts_now {
            let _ = flight.started.set(now);
            paces.start(&key, now);
            lane.running.push(Arc::clone(&flight));
        } else {
            lane.waiting = Some(Arc::clone(&flight));
        }
        drop(shard);
        self.spawn(key, flight, starts_now, call);
        Ok(handle)
    }

    /// Makes the flight's call in a task of its own: now, or when it is the flight's turn.
    fn spawn<F, C>(&self, key: K, flight: Arc<Flight<V>>, starts_now: bool, call: C)
    where
        C: FnOnce(FlightStart<V>) -> F + Send + 'static,
        F: Future<Output = V> + Send + 'static,
    {
        self.lanes.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut guard = FlightGuard {
            lanes: Arc::clone(&self.lanes),
            key,
            flight: Arc::clone(&flight),
            outcome: Err(FlightError::Lost),
        };
        spawn(async move {
            if !starts_now {
                guard.wait_for_turn().await;
            }
            guard.outcome = Ok(call(FlightStart { flight }).await);
            drop(guard);
        });
    }

    /// How many calls are running or waiting.
    pub fn in_flight(&self) -> usize {
        self.lanes.in_flight.load(Ordering::Relaxed)
    }
}

impl<V> Flight<V> {
    fn add(&self, claim: &Claim) {
        self.claims
            .send_if_modified(|claims| claims.add(&claim.requester));
        self.demand
            .send_if_modified(|demand| demand.add(claim.demand));
        if let (Some(trace), Some(other)) = (&self.trace, &claim.trace) {
            trace.joined_by(other);
        }
    }

    fn handle(&self, joined: Joined) -> FlightHandle<V> {
        FlightHandle {
            outcome: self.outcome.subscribe(),
            joined,
            trace: self.trace.clone(),
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

/// Removes the flight from its lane when its task ends, however it ends.
struct FlightGuard<K: Hash + Eq + Clone, V> {
    lanes: Arc<Lanes<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    /// [`FlightError::Lost`] until its call has ended.
    outcome: Outcome<V>,
}

impl<K: Hash + Eq + Clone, V> FlightGuard<K, V> {
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

    /// Waits until no running call delays this one and its pace allows it, then starts it.
    async fn wait_for_turn(&self) {
        let clock = &self.lanes.clock;
        while let Some(delay) = self.try_start() {
            match delay {
                Delay::Until(at) => clock.sleep_until(at).await,
                Delay::Behind(ahead, overdue_at) => {
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
    fn try_start(&self) -> Option<Delay<V>> {
        let now = self.lanes.clock.tick();
        let mut shard = self.lanes.shard(&self.key);
        let Shard { lanes, paces } = &mut *shard;
        let lane = lanes.get_mut(&self.key)?;
        let overdue_at =
            |flight: &Flight<V>| flight.started.get().copied().unwrap_or(now) + self.lanes.patience;
        if let Some(ahead) = lane.running.iter().find(|flight| overdue_at(flight) > now) {
            return Some(Delay::Behind(Arc::clone(ahead), Some(overdue_at(ahead))));
        }
        if lane.running.len() > MAX_OVERDUE {
            return Some(Delay::Behind(Arc::clone(&lane.running[0]), None));
        }
        let next = paces.next(&self.key, now);
        if next > now {
            return Some(Delay::Until(next));
        }
        lane.waiting = None;
        let _ = self.flight.started.set(now);
        paces.start(&self.key, now);
        lane.running.push(Arc::clone(&self.flight));
        None
    }
}

/// What a waiting flight must wait for.
enum Delay<V> {
    /// The end of that flight, or the moment from which it no longer delays this one.
    Behind(Arc<Flight<V>>, Option<Tick>),
    /// That moment.
    Until(Tick),
}

impl<K: Hash + Eq + Clone, V> Drop for FlightGuard<K, V> {
    /// Frees the lane first, then sends the outcome: a request that the outcome wakes finds the lane free.
    fn drop(&mut self) {
        self.leave_lane();
        self.lanes.in_flight.fetch_sub(1, Ordering::Relaxed);
        let outcome = std::mem::replace(&mut self.outcome, Err(FlightError::Lost));
        self.flight.outcome.send_replace(Some(outcome));
    }
}
