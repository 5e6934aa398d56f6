//! Connection pools in generations. Reused connections can die silently (a NAT entry expires, a fail-over). The whole
//! generation is then retired at once, so that not every connection costs a failed call.
//!
//! Connections are considered dead if TCP acknowledgements or HTTP/2 ping responses are missing, or if a call takes
//! `engage.timeout` and no reused connection of its generation has responded since the call started. The last case may
//! also be a slow Engage, so the pending calls are not all repeated: one of them, or the next new call, tries the new
//! generation, and the others follow once it has a response.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Client;
use tokio::sync::watch;

use super::client::{Clients, IDLE_TIMEOUT};
use crate::{
    clock::{Clock, Tick},
    config,
    engage::resolver::Resolver,
};

/// Lifetime of a pool. A busy connection never closes by itself and would stay with the address that it was opened to.
const POOL_LIFETIME: Duration = Duration::from_secs(300);
/// Minimum interval between early retirements.
const RETIRE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a new generation waits for a new call before a pending call of the old one tries it.
const TRIAL_DELAY: Duration = Duration::from_millis(250);
/// How long timed-out calls wait for the result of a trial, from the suspicion on.
pub(super) const TRIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The current pool, and the factory of the next.
pub(super) struct Pools {
    current: Mutex<Current>,
    clock: Clock,
}

struct Current {
    clients: Clients,
    generation: Arc<Generation>,
    /// Time of the last early retirement.
    retired_at: Option<Tick>,
    /// Whether each connection is used once, for [`RETIRE_INTERVAL`].
    is_single_use: bool,
}

/// One connection pool and the state of its connections.
pub(super) struct Generation {
    client: Client,
    created_at: Tick,
    history: Mutex<ConnectionHistory>,
    fate: watch::Sender<Fate>,
    /// Whether a call has started on it.
    is_tried: Arc<AtomicBool>,
    /// The previous generation, whose pending calls are abandoned once this one has a response.
    predecessor: Mutex<Option<Arc<Generation>>>,
}

/// What happens to a generation's pending calls.
#[derive(Clone)]
enum Fate {
    /// They wait.
    Wait,
    /// The generation has been suspected dead since `at`, and its calls wait for a trial of the next generation; one of
    /// them may be the trial.
    Suspected {
        at: Tick,
        is_next_tried: Arc<AtomicBool>,
    },
    /// They are abandoned: the next generation has a response.
    Abandoned,
}

/// Responses by connection, in order.
#[derive(Default)]
struct ConnectionHistory {
    events: u64,
    /// Connections with a response, by local address.
    reused: HashMap<SocketAddr, Responses>,
}

/// First and last response on a connection, as event numbers, and the time of the last.
struct Responses {
    first: u64,
    last: u64,
    at: Tick,
}

/// Event number of a call's start.
#[derive(Clone, Copy)]
pub(super) struct CallStart(u64);

impl Pools {
    pub(super) fn new(
        config: &config::EngageConfig,
        resolver: Option<Resolver>,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let clients = Clients::new(config, resolver)?;
        let generation = Generation::new(clients.client()?, clock.tick());
        Ok(Self {
            current: Mutex::new(Current {
                clients,
                generation,
                retired_at: None,
                is_single_use: false,
            }),
            clock,
        })
    }

    fn current_mut(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens connections with these clients from now on; `client` is the first. Calls in flight finish on their
    /// connections.
    pub(super) fn replace(&self, clients: Clients, client: Client) {
        let generation = Generation::new(client, self.clock.tick());
        let mut current = self.current_mut();
        current.clients = clients;
        current.generation = generation;
        current.is_single_use = false;
    }

    /// The current pool, replaced if it is too old. Calls in flight keep theirs.
    pub(super) fn current(&self) -> Arc<Generation> {
        let now = self.clock.tick();
        let mut current = self.current_mut();
        let lifetime = if current.is_single_use {
            RETIRE_INTERVAL
        } else {
            POOL_LIFETIME
        };
        if now.since(current.generation.created_at) >= lifetime
            && let Ok(client) = current.clients.client()
        {
            current.generation = Generation::new(client, now);
            current.is_single_use = false;
        }
        Arc::clone(&current.generation)
    }

    /// Handles a time-out of a call. If no reused connection of its generation has responded since the call started,
    /// the generation is retired, unless it is not the current one or another was retired just before. Returns until
    /// when the call may wait for the trial; `None` if it caused the retirement or there is no trial.
    pub(super) fn timed_out(
        &self,
        generation: &Arc<Generation>,
        started_at: CallStart,
    ) -> Option<Tick> {
        if generation.is_silent_since(started_at)
            && let Some((at, next)) = self.retire(generation)
        {
            next.succeeds(generation);
            let is_next_tried = Arc::clone(&next.is_tried);
            generation
                .fate
                .send_replace(Fate::Suspected { at, is_next_tried });
            tracing::warn!("upstream connections silent; pool replaced");
            return None;
        }
        match *generation.fate.borrow() {
            Fate::Suspected { at, .. } => Some(at + TRIAL_TIMEOUT),
            Fate::Abandoned => Some(self.clock.tick() + TRIAL_TIMEOUT),
            Fate::Wait => None,
        }
    }

    /// Handles a dead connection: pending calls of its generation are abandoned once the next one has a response.
    pub(super) fn died(&self, generation: &Arc<Generation>) {
        if let Some((_, next)) = self.retire(generation) {
            next.succeeds(generation);
            tracing::warn!("upstream connection died; pool replaced");
        }
    }

    /// Handles a connection that closed while a request was sent: others may close too. Replaces the pool. If the pool
    /// was replaced just before, connections are not reused for a while, so that a repeated request always uses a new
    /// one.
    pub(super) fn closed(&self, generation: &Arc<Generation>) {
        if self.retire(generation).is_some() {
            return;
        }
        let mut current = self.current_mut();
        if Arc::ptr_eq(&current.generation, generation)
            && let Ok(client) = current.clients.client_for_single_calls()
        {
            current.generation = Generation::new(client, self.clock.tick());
            current.is_single_use = true;
        }
    }

    /// Replaces the pool if this generation is the current one and the last retirement is not too recent.
    fn retire(&self, generation: &Arc<Generation>) -> Option<(Tick, Arc<Generation>)> {
        let now = self.clock.tick();
        let mut current = self.current_mut();
        let is_early = current
            .retired_at
            .is_some_and(|at| now.since(at) < RETIRE_INTERVAL);
        if is_early || !Arc::ptr_eq(&current.generation, generation) {
            return None;
        }
        let client = current.clients.client().ok()?;
        current.generation = Generation::new(client, now);
        current.retired_at = Some(now);
        current.is_single_use = false;
        Some((now, Arc::clone(&current.generation)))
    }
}

impl Generation {
    fn new(client: Client, created_at: Tick) -> Arc<Self> {
        Arc::new(Self {
            client,
            created_at,
            history: Mutex::default(),
            fate: watch::Sender::new(Fate::Wait),
            is_tried: Arc::default(),
            predecessor: Mutex::default(),
        })
    }

    /// Lets the pending calls of `predecessor` be abandoned once this generation has a response.
    fn succeeds(&self, predecessor: &Arc<Generation>) {
        *self.predecessor() = Some(Arc::clone(predecessor));
    }

    fn predecessor(&self) -> MutexGuard<'_, Option<Arc<Generation>>> {
        self.predecessor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, ConnectionHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Records the start of a call.
    pub(super) fn start_call(&self) -> CallStart {
        self.is_tried.store(true, Ordering::Relaxed);
        CallStart(self.history().next())
    }

    /// Records the head of a response.
    pub(super) fn responded(&self, connection: Option<SocketAddr>, now: Tick) {
        if let Some(connection) = connection {
            self.history().responded(connection, now);
        }
        if let Some(predecessor) = self.predecessor().take() {
            predecessor.fate.send_replace(Fate::Abandoned);
        }
    }

    /// Whether the connection has responded before. Closed connections are remembered, because on HTTP/2 several calls
    /// fail when one connection closes.
    pub(super) fn is_reused(&self, connection: SocketAddr) -> bool {
        self.history().reused.contains_key(&connection)
    }

    /// Whether connections had responded before that event, and none of these has responded since.
    fn is_silent_since(&self, CallStart(started_at): CallStart) -> bool {
        let history = self.history();
        let mut reused = history
            .reused
            .values()
            .filter(|reused| reused.first < started_at);
        reused.clone().next().is_some() && reused.all(|reused| reused.last < started_at)
    }

    /// Waits until a pending call is to be repeated on the next generation.
    pub(super) async fn abandoned(&self, clock: &Clock) {
        let mut fates = self.fate.subscribe();
        loop {
            let fate = fates.borrow_and_update().clone();
            match fate {
                Fate::Abandoned => return,
                Fate::Wait => {}
                Fate::Suspected { at, is_next_tried } => tokio::select! {
                    biased;
                    _ = fates.changed() => continue,
                    () = clock.sleep_until(at + TRIAL_DELAY) => {
                        if !is_next_tried.swap(true, Ordering::Relaxed) {
                            return;
                        }
                    }
                },
            }
            // The sender lives in `self`.
            let _ = fates.changed().await;
        }
    }
}

impl ConnectionHistory {
    fn next(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn responded(&mut self, connection: SocketAddr, now: Tick) {
        let event = self.next();
        if let Some(entry) = self.reused.get_mut(&connection) {
            (entry.last, entry.at) = (event, now);
            return;
        }
        // Connections that have been idle for longer are closed.
        self.reused
            .retain(|_, entry| now.since(entry.at) < IDLE_TIMEOUT);
        let (first, last, at) = (event, event, now);
        self.reused
            .insert(connection, Responses { first, last, at });
    }
}
