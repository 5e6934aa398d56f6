//! Resolves Engage's host name. Known addresses are used at once and refreshed in the background, so that a failing or
//! hanging name server does not affect calls.
//!
//! Uses the system's resolver (`/etc/hosts`, nsswitch, resolv.conf). It cannot be cancelled, so there is one look-up at
//! a time, in its own thread: a hanging look-up blocks that thread only.

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

/// How long a call without known addresses waits for a look-up. The look-up itself continues.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Age at which known addresses are refreshed in the background.
const REFRESH_AFTER: Duration = Duration::from_secs(10);
/// Minimum interval between look-ups caused by failed connections.
const FAILURE_INTERVAL: Duration = Duration::from_secs(1);

/// A running look-up.
type PendingLookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// A look-up function.
type LookupFn = fn(&str) -> PendingLookup;

/// No address is known, and the look-up failed or takes too long.
#[derive(Debug, thiserror::Error)]
#[error("name resolution failed")]
pub(super) struct Unresolved;

/// Resolver of one name. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    name: Box<str>,
    look_up: Box<dyn Fn(&str) -> PendingLookup + Send + Sync>,
    clock: Clock,
    state: Mutex<State>,
    /// Notified when a look-up ends or takes too long.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Last known addresses; the first one is tried first.
    known: Vec<SocketAddr>,
    is_running: bool,
    /// Whether the running look-up has taken longer than [`TIMEOUT`].
    is_overdue: bool,
    /// Number of finished look-ups, and the time of the last.
    finished: u64,
    finished_at: Option<Tick>,
    is_failing: bool,
}

impl Resolver {
    /// A resolver that uses the system's.
    pub(super) fn new(name: &str, clock: Clock) -> Self {
        let by_system: LookupFn = by_system;
        Self::over(name, clock, by_system)
    }

    fn over(
        name: &str,
        clock: Clock,
        look_up: impl Fn(&str) -> PendingLookup + Send + Sync + 'static,
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

    /// Starts the first look-up early, so that the first call need not wait for it.
    pub(super) fn start(&self) {
        self.look_up(&mut self.state());
    }

    /// Returns the known addresses at once. Without any, waits for the look-up.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Unresolved> {
        let mut changed = self.0.changed.subscribe();
        let mut waits_for = None;
        loop {
            {
                let mut state = self.state();
                if !state.known.is_empty() {
                    if state.is_older_than(REFRESH_AFTER, self.0.clock.tick()) {
                        self.look_up(&mut state);
                    }
                    return Ok(state.known.clone());
                }
                if waits_for.is_some_and(|round| round != state.finished) {
                    return Err(Unresolved);
                }
                waits_for = Some(state.finished);
                self.look_up(&mut state);
                if state.is_overdue {
                    return Err(Unresolved);
                }
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    /// Called after connecting to `used` failed. Returns whether there are other addresses to try. If the connection
    /// timed out and there are several addresses, the first becomes the last. Otherwise waits for another look-up,
    /// unless one has just finished or the running one is overdue.
    pub(super) async fn has_other_addresses(&self, used: &[SocketAddr], timed_out: bool) -> bool {
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
                if waits_for.is_some_and(|round| round != state.finished) {
                    return false;
                }
                waits_for = Some(state.finished);
                if state.is_older_than(FAILURE_INTERVAL, self.0.clock.tick()) {
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
        let overdue_at = self.0.clock.tick() + TIMEOUT;
        let resolver = self.clone();
        tokio::spawn(async move {
            let mut lookup = (resolver.0.look_up)(&resolver.0.name);
            let result = tokio::select! {
                biased;
                result = &mut lookup => result,
                () = resolver.0.clock.sleep_until(overdue_at) => {
                    resolver.mark_overdue();
                    lookup.await
                }
            };
            resolver.finish(result);
        });
    }

    fn mark_overdue(&self) {
        {
            let mut state = self.state();
            state.is_overdue = true;
            state.record_failure("no response from a name server in time");
        }
        self.0.changed.send_replace(());
    }

    fn finish(&self, result: io::Result<Vec<SocketAddr>>) {
        {
            let mut state = self.state();
            state.is_running = false;
            state.is_overdue = false;
            state.finished += 1;
            state.finished_at = Some(self.0.clock.tick());
            match result {
                Ok(addresses) if !addresses.is_empty() => state.record_success(addresses),
                Ok(_) => state.record_failure("no address"),
                Err(_) => state.record_failure("look-up failed"),
            }
        }
        self.0.changed.send_replace(());
    }
}

impl State {
    /// Whether the last look-up finished at least `age` ago, or never.
    fn is_older_than(&self, age: Duration, now: Tick) -> bool {
        self.finished_at
            .is_none_or(|finished_at| now.since(finished_at) >= age)
    }

    fn record_success(&mut self, addresses: Vec<SocketAddr>) {
        self.known = addresses;
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("upstream name resolution recovered");
        }
    }

    /// Logs the first of consecutive failures.
    fn record_failure(&mut self, cause: &'static str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let known = self.known.len();
            tracing::warn!(cause, known, "upstream name resolution failed");
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

/// Runs in a thread of its own, not on the runtime's blocking threads, because the runtime waits for those at shutdown.
fn by_system(name: &str) -> PendingLookup {
    let (sender, receiver) = oneshot::channel();
    let name = name.to_owned();
    let thread = thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let addresses = (&*name, 0).to_socket_addrs();
            // The receiver is gone at shutdown.
            let _ = sender.send(addresses.map(Iterator::collect));
        });
    Box::pin(async move {
        thread?;
        receiver.await.map_err(io::Error::other)?
    })
}

impl Resolve for Resolver {
    /// `name` is always the configured one: there are no redirects and no proxy.
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
