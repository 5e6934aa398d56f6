//! Where Engage's name leads. Resolving is kept apart from connecting: what was resolved before is used at once, and a
//! look-up beside it renews it, so a name server that fails or hangs takes nothing away that is known.
//!
//! The system's resolver is asked (`/etc/hosts`, nsswitch and resolv.conf count). It can't be cancelled, so there is one
//! look-up at a time, in a thread of its own: one that hangs holds that thread and nothing else.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{oneshot, watch};

use crate::clock::{Clock, Tick};

/// The longest time that a call waits for a look-up where no addresses are known. The look-up itself goes on.
const TIMEOUT: Duration = Duration::from_secs(2);
/// After how long what is known is looked up again, beside the call that uses it.
const RENEW_AFTER: Duration = Duration::from_secs(10);
/// How far apart look-ups are kept that connections which can't be made ask for.
const SPACING: Duration = Duration::from_secs(1);

/// A look-up under way.
type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// How a name is looked up.
type LookUp = fn(&str) -> LookingUp;

/// No address of the name is known, and the look-up failed or takes too long.
#[derive(Debug, thiserror::Error)]
#[error("the name can't be resolved")]
pub(super) struct Unresolved;

/// Resolves one name. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    name: Box<str>,
    look_up: Box<dyn Fn(&str) -> LookingUp + Send + Sync>,
    clock: Clock,
    state: Mutex<State>,
    /// Tells those who wait that a look-up ended, or takes too long.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The addresses that the name led to last, the next to be tried first.
    known: Vec<SocketAddr>,
    is_running: bool,
    /// Whether the look-up under way has taken longer than [`TIMEOUT`].
    is_overdue: bool,
    /// How many have ended, and when the last did.
    rounds: u64,
    ended: Option<Tick>,
    is_failing: bool,
}

impl Resolver {
    /// A resolver of that name that asks the system.
    pub(super) fn new(name: &str, clock: Clock) -> Self {
        let by_system: LookUp = by_system;
        Self::over(name, clock, by_system)
    }

    fn over(
        name: &str,
        clock: Clock,
        look_up: impl Fn(&str) -> LookingUp + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            look_up: Box::new(look_up),
            clock,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a look-up, where none is under way: so that the first caller need not wait for it.
    pub(super) fn begin(&self) {
        self.look_up(&mut self.state());
    }

    /// The addresses that are known, at once; where there are none, those of the look-up, for which it waits.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Unresolved> {
        let mut changed = self.0.changed.subscribe();
        let mut waits_for = None;
        loop {
            {
                let mut state = self.state();
                if !state.known.is_empty() {
                    if state.is_older_than(RENEW_AFTER, self.0.clock.tick()) {
                        self.look_up(&mut state);
                    }
                    return Ok(state.known.clone());
                }
                if waits_for.is_some_and(|round| round != state.rounds) {
                    return Err(Unresolved);
                }
                waits_for = Some(state.rounds);
                self.look_up(&mut state);
                if state.is_overdue {
                    return Err(Unresolved);
                }
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    /// Connections to the addresses `used` could not be made: whether there are others to try. Where the first of several
    /// gave no answer (`timed_out`), it is tried last from now on; else the name is looked up again, and that is waited
    /// for as for a first look-up.
    pub(super) async fn leads_elsewhere(&self, used: &[SocketAddr], timed_out: bool) -> bool {
        let mut changed = self.0.changed.subscribe();
        let mut waits_for = None;
        loop {
            {
                let mut state = self.state();
                if !is_permutation(&state.known, used) {
                    return true;
                }
                if timed_out && used.len() > 1 {
                    if state.known.first() == used.first() {
                        state.known.rotate_left(1);
                    }
                    return true;
                }
                if waits_for.is_some_and(|round| round != state.rounds) {
                    return false;
                }
                waits_for = Some(state.rounds);
                if state.is_older_than(SPACING, self.0.clock.tick()) {
                    self.look_up(&mut state);
                }
                if state.is_overdue || !state.is_running {
                    return false;
                }
            }
            let _ = changed.changed().await;
        }
    }

    fn look_up(&self, state: &mut State) {
        if state.is_running {
            return;
        }
        state.is_running = true;
        let overdue = self.0.clock.tick() + TIMEOUT;
        let resolver = self.clone();
        tokio::spawn(async move {
            let mut looking_up = (resolver.0.look_up)(&resolver.0.name);
            let looked_up = tokio::select! {
                biased;
                looked_up = &mut looking_up => looked_up,
                () = resolver.0.clock.sleep_until(overdue) => {
                    resolver.is_overdue();
                    looking_up.await
                }
            };
            resolver.settle(looked_up);
        });
    }

    fn is_overdue(&self) {
        {
            let mut state = self.state();
            state.is_overdue = true;
            state.fails("no name server answers in time");
        }
        self.0.changed.send_replace(());
    }

    fn settle(&self, looked_up: io::Result<Vec<SocketAddr>>) {
        {
            let mut state = self.state();
            state.is_running = false;
            state.is_overdue = false;
            state.rounds += 1;
            state.ended = Some(self.0.clock.tick());
            match looked_up {
                Ok(addresses) if !addresses.is_empty() => state.succeeds(addresses),
                Ok(_) => state.fails("it has no address"),
                Err(_) => state.fails("the look-up failed"),
            }
        }
        self.0.changed.send_replace(());
    }
}

impl State {
    /// Whether the last look-up ended so long ago; one that never was did.
    fn is_older_than(&self, age: Duration, now: Tick) -> bool {
        self.ended.is_none_or(|ended| now.since(ended) >= age)
    }

    fn succeeds(&mut self, addresses: Vec<SocketAddr>) {
        self.known = addresses;
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("engage's name can be resolved again");
        }
    }

    /// Said once, however often it is tried.
    fn fails(&mut self, cause: &'static str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let known = self.known.len();
            tracing::warn!(cause, known, "engage's name can't be resolved");
        }
    }
}

fn is_permutation(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    let sorted = |addresses: &[SocketAddr]| {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses
    };
    sorted(one) == sorted(other)
}

/// Not on the runtime's threads for blocking work: the runtime waits for those when it ends.
fn by_system(name: &str) -> LookingUp {
    let (told, answer) = oneshot::channel();
    let name = name.to_owned();
    let thread = thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let addresses = (&*name, 0).to_socket_addrs();
            // Nobody waits any more where the process ends.
            let _ = told.send(addresses.map(Iterator::collect));
        });
    Box::pin(async move {
        thread?;
        answer.await.map_err(io::Error::other)?
    })
}

impl Resolve for Resolver {
    /// Redirects are not followed and there is no proxy: it is always the one name.
    fn resolve(&self, name: Name) -> Resolving {
        debug_assert_eq!(name.as_str(), &*self.0.name);
        let resolver = self.clone();
        Box::pin(async move {
            let addresses: Addrs = Box::new(resolver.addresses().await?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
