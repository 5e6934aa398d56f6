//! Pools of connections, one generation after the other. Connections that are kept can die without a word (a NAT that
//! forgot them, a fail-over): then a whole generation is retired at once, and not each connection by a call of its own.
//!
//! Three things tell that connections died: TCP, where what was sent is not acknowledged in time; HTTP/2, where a ping
//! is not answered; and a call that took `engage.timeout` on a generation of which no kept connection answered anything
//! since the call began. Only the last can be an Engage that is slow as well. So the calls that wait are not all made
//! again: one tries the new generation, the next that begins anyhow or else one of those that wait, and the others follow
//! once it has answered.

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

/// How long a pool of connections is used. A busy connection never ends by itself, and would stay where the name led
/// when it was made.
const POOL_LIFETIME: Duration = Duration::from_secs(300);
/// How far apart generations are retired before their time.
const RETIRED_APART: Duration = Duration::from_secs(5);
/// How long a new generation waits for a call that begins anyhow, before one of those that wait on the old one tries it.
const TRIED_AFTER: Duration = Duration::from_millis(250);
/// How long calls whose time is over wait on for what the trial brings, counted from when it was wanted.
const TRIAL: Duration = Duration::from_secs(1);

/// The pool in use, and how the next is made.
pub(super) struct Pools {
    clients: Clients,
    current: Mutex<Current>,
    clock: Clock,
}

struct Current {
    generation: Arc<Generation>,
    /// When one was last retired before its time.
    retired: Option<Tick>,
    /// Whether the generation's connections are used once: for [`RETIRED_APART`].
    is_single_use: bool,
}

/// One pool of connections, and what is known of them.
pub(super) struct Generation {
    client: Client,
    made: Tick,
    seen: Mutex<Seen>,
    fate: watch::Sender<Fate>,
    /// Whether a call has begun on it.
    is_tried: Arc<AtomicBool>,
    /// The one before it, whose calls may follow once this one has answered.
    before: Mutex<Option<Arc<Generation>>>,
}

/// What becomes of a generation's calls that have no answer.
#[derive(Clone)]
enum Fate {
    /// They wait.
    Waits,
    /// They wait for a trial of the next generation, which was wanted at that moment; one of them may be it.
    Suspected {
        at: Tick,
        is_next_tried: Arc<AtomicBool>,
    },
    /// They are given up: the next generation has answered.
    GivenUp,
}

/// What happened on the connections, in order.
#[derive(Default)]
struct Seen {
    events: u64,
    /// The connections that have answered, by their addresses on our side.
    kept: HashMap<SocketAddr, Answers>,
}

/// The first and the last answer on a connection, as numbers of events, and when the last came.
struct Answers {
    first: u64,
    last: u64,
    at: Tick,
}

/// The place of a call's beginning among a generation's events.
#[derive(Clone, Copy)]
pub(super) struct Begun(u64);

impl Pools {
    pub(super) fn new(
        config: &config::Engage,
        resolver: Option<Resolver>,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let clients = Clients::new(config, resolver)?;
        let generation = Generation::new(clients.client()?, clock.tick());
        Ok(Self {
            clients,
            current: Mutex::new(Current {
                generation,
                retired: None,
                is_single_use: false,
            }),
            clock,
        })
    }

    fn current_mut(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool of connections, a new one where it is too old. Calls under way keep theirs.
    pub(super) fn current(&self) -> Arc<Generation> {
        let now = self.clock.tick();
        let mut current = self.current_mut();
        let lifetime = if current.is_single_use {
            RETIRED_APART
        } else {
            POOL_LIFETIME
        };
        if now.since(current.generation.made) >= lifetime
            && let Ok(client) = self.clients.client()
        {
            current.generation = Generation::new(client, now);
            current.is_single_use = false;
        }
        Arc::clone(&current.generation)
    }

    /// A call that began then had no answer in time. Where no kept connection of its generation answered since, they are
    /// taken for dead. Returns until when it may wait on for what becomes of that, if it has not itself found it out.
    pub(super) fn timed_out(&self, generation: &Arc<Generation>, begun: Begun) -> Option<Tick> {
        if generation.is_silent_since(begun)
            && let Some((at, next)) = self.retire(generation)
        {
            next.follows(generation);
            let is_next_tried = Arc::clone(&next.is_tried);
            generation
                .fate
                .send_replace(Fate::Suspected { at, is_next_tried });
            tracing::warn!("the kept connections to engage give no answer: new ones are made");
            return None;
        }
        match *generation.fate.borrow() {
            Fate::Suspected { at, .. } => Some(at + TRIAL),
            Fate::GivenUp => Some(self.clock.tick() + TRIAL),
            Fate::Waits => None,
        }
    }

    /// A kept connection of the generation was found dead: calls that have no answer leave it once a new one has answered.
    pub(super) fn died(&self, generation: &Arc<Generation>) {
        if let Some((_, next)) = self.retire(generation) {
            next.follows(generation);
            tracing::warn!("a kept connection to engage died: new ones are made");
        }
    }

    /// A connection of the generation ended as a call was sent over it; others that are kept may end likewise. Uses new ones from
    /// now on; where that was done just before, and so does not help, none is kept for a while: what is asked once more
    /// always goes over one that nothing was asked over.
    pub(super) fn ended(&self, generation: &Arc<Generation>) {
        if self.retire(generation).is_some() {
            return;
        }
        let mut current = self.current_mut();
        if Arc::ptr_eq(&current.generation, generation)
            && let Ok(client) = self.clients.client_for_single_calls()
        {
            current.generation = Generation::new(client, self.clock.tick());
            current.is_single_use = true;
        }
    }

    /// Uses new connections from now on, where those in use are this generation's. Where that was done just before, they
    /// are new enough.
    fn retire(&self, generation: &Arc<Generation>) -> Option<(Tick, Arc<Generation>)> {
        let now = self.clock.tick();
        let mut current = self.current_mut();
        let is_early = current
            .retired
            .is_some_and(|at| now.since(at) < RETIRED_APART);
        if is_early || !Arc::ptr_eq(&current.generation, generation) {
            return None;
        }
        let client = self.clients.client().ok()?;
        current.generation = Generation::new(client, now);
        current.retired = Some(now);
        current.is_single_use = false;
        Some((now, Arc::clone(&current.generation)))
    }
}

impl Generation {
    fn new(client: Client, made: Tick) -> Arc<Self> {
        Arc::new(Self {
            client,
            made,
            seen: Mutex::default(),
            fate: watch::Sender::new(Fate::Waits),
            is_tried: Arc::default(),
            before: Mutex::default(),
        })
    }

    /// Once this one has answered, calls of the other that have no answer are given up.
    fn follows(&self, before: &Arc<Generation>) {
        *self.before() = Some(Arc::clone(before));
    }

    fn before(&self) -> MutexGuard<'_, Option<Arc<Generation>>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Notes that a call begins.
    pub(super) fn begin(&self) -> Begun {
        self.is_tried.store(true, Ordering::Relaxed);
        Begun(self.seen().next())
    }

    /// Notes that the head of an answer came, over that connection.
    pub(super) fn answered(&self, connection: Option<SocketAddr>, now: Tick) {
        if let Some(connection) = connection {
            self.seen().answered(connection, now);
        }
        if let Some(before) = self.before().take() {
            before.fate.send_replace(Fate::GivenUp);
        }
    }

    /// Whether the connection has answered. It stays noted when it has ended: of HTTP/2 other calls end with it.
    pub(super) fn is_kept(&self, connection: SocketAddr) -> bool {
        self.seen().kept.contains_key(&connection)
    }

    /// Whether there are connections that had answered before that moment, and none of them did since.
    fn is_silent_since(&self, Begun(begun): Begun) -> bool {
        let seen = self.seen();
        let mut kept = seen.kept.values().filter(|kept| kept.first < begun);
        kept.clone().next().is_some() && kept.all(|kept| kept.last < begun)
    }

    /// Returns when a call that has no answer yet is to be made on the next generation.
    pub(super) async fn may_be_left(&self, clock: &Clock) {
        let mut fates = self.fate.subscribe();
        loop {
            let fate = fates.borrow_and_update().clone();
            match fate {
                Fate::GivenUp => return,
                Fate::Waits => {}
                Fate::Suspected { at, is_next_tried } => tokio::select! {
                    biased;
                    _ = fates.changed() => continue,
                    () = clock.sleep_until(at + TRIED_AFTER) => {
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

impl Seen {
    fn next(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn answered(&mut self, connection: SocketAddr, now: Tick) {
        let event = self.next();
        if let Some(kept) = self.kept.get_mut(&connection) {
            (kept.last, kept.at) = (event, now);
            return;
        }
        // Those that were idle for so long are kept no more.
        self.kept
            .retain(|_, kept| now.since(kept.at) < IDLE_TIMEOUT);
        let (first, last, at) = (event, event, now);
        self.kept.insert(connection, Answers { first, last, at });
    }
}
