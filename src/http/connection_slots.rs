//! The limit of a listener's connections. At the limit the connection that has been idle longest is evicted for a new
//! one. Where none is idle, a few more are accepted in a reserve, on which only probes are answered: an orchestrator
//! must not take a replica that is full for one that is dead.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::connection_state::{ConnectionState, DRAIN, EVICT, Ticks};
use crate::metrics::{
    Counter, Counters, Gauge, Gauges, Registry, Source,
    catalogue::listeners::{
        CONNECTIONS, CONNECTIONS_CLOSED_FOR_ROOM, CONNECTIONS_MAX, CONNECTIONS_TURNED_AWAY,
    },
};

/// Connections in the reserve, on which only probes are answered.
pub const PROBE_CONNECTIONS: usize = 16;

/// The length of a tick, the resolution of idle times.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Up to this many connections are searched whenever an idle one is wanted; with more, a search that found none is not
/// repeated within the same tick.
const SEARCHED_EVERY_TIME: usize = 1024;

/// It counts against the limit.
const ADMITTED: u8 = 0;
/// It is in the reserve.
const RESERVE: u8 = 1;
/// It counted against the limit and was signalled to close.
const EVICTED: u8 = 2;
/// It is in the reserve and was signalled to close.
const EVICTED_RESERVE: u8 = 3;

/// Which requests are served on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAdmission {
    /// Every request.
    Full,
    /// This probe; then the connection ends.
    ProbeOnly,
    /// None: the request is turned away, and the connection ends.
    None,
}

/// The metrics of every listener's connections.
#[derive(Debug)]
pub struct ConnectionMetrics {
    open: Gauges,
    max: Gauges,
    closed_for_room: Counters,
    turned_away: Counters,
}

/// The metrics of one listener's connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounters {
    open: Gauge,
    max: Gauge,
    pub(super) closed_for_room: Counter,
    pub(super) turned_away: Counter,
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        Self {
            open: Gauges::new(&CONNECTIONS),
            max: Gauges::new(&CONNECTIONS_MAX),
            closed_for_room: Counters::new(&CONNECTIONS_CLOSED_FOR_ROOM),
            turned_away: Counters::new(&CONNECTIONS_TURNED_AWAY),
        }
    }
}

impl ConnectionMetrics {
    /// The metrics of the listener of that name.
    pub fn of(&self, listener: &'static str) -> ConnectionCounters {
        ConnectionCounters {
            open: self.open.of(&[listener]),
            max: self.max.of(&[listener]),
            closed_for_room: self.closed_for_room.of(&[listener]),
            turned_away: self.turned_away.of(&[listener]),
        }
    }
}

impl Source for ConnectionMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.open.clone());
        registry.add(self.max.clone());
        registry.add(self.closed_for_room.clone());
        registry.add(self.turned_away.clone());
    }
}

/// The slots of a listener's connections.
pub(super) struct ConnectionSlots {
    max: usize,
    counts: ConnectionCounters,
    ticks: Ticks,
    /// Notified when a slot may have become free.
    freed: Notify,
    table: Mutex<SlotTable>,
}

#[derive(Default)]
struct SlotTable {
    all: HashMap<u64, Arc<Slot>>,
    next: u64,
    admitted: usize,
    /// The connections that were idle at the last search and since when, the longest idle last. It stays valid: a
    /// connection that became idle later has been idle for less time.
    idle: Vec<(u32, u64)>,
    /// The tick of the last search that found none.
    none_idle_at: Option<u32>,
    /// The connections in the reserve, and some that have left it.
    reserve: Vec<u64>,
}

struct Slot {
    state: Arc<ConnectionState>,
    status: AtomicU8,
}

impl Slot {
    fn is(&self, status: u8) -> bool {
        self.status.load(Ordering::Relaxed) == status
    }

    fn is_in_reserve(&self) -> bool {
        self.is(RESERVE) || self.is(EVICTED_RESERVE)
    }

    fn set(&self, status: u8) {
        self.status.store(status, Ordering::Relaxed);
    }
}

impl ConnectionSlots {
    pub(super) fn new(max: usize, counts: ConnectionCounters) -> Self {
        counts.max.set(i64::try_from(max).unwrap_or(i64::MAX));
        Self {
            max,
            counts,
            ticks: Ticks::default(),
            freed: Notify::new(),
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advances the listener's time by a tick.
    pub(super) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// The most connections at the same time, without the reserve.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The same, with the reserve.
    fn capacity(&self) -> usize {
        self.max.saturating_add(PROBE_CONNECTIONS)
    }

    /// Returns once a slot is free, even if it is one of the reserve.
    pub(super) async fn wait_for_slot(&self) {
        loop {
            let freed = self.freed.notified();
            {
                let mut table = self.lock();
                if table.all.len() < self.capacity() {
                    return;
                }
                // The wait below is for the end of the evicted connection.
                if !table.can_admit(self) {
                    table.evict_from_reserve();
                }
            }
            freed.await;
        }
    }

    /// A slot for a new connection; `None` where the reserve is full too.
    pub(super) fn acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let mut table = self.lock();
        if table.all.len() >= self.capacity() {
            return None;
        }
        let is_admitted = table.can_admit(self);
        table.admitted += usize::from(is_admitted);
        let id = table.next;
        table.next += 1;
        let slot = Arc::new(Slot {
            state: Arc::new(ConnectionState::new(Arc::clone(&self.ticks))),
            status: AtomicU8::new(if is_admitted { ADMITTED } else { RESERVE }),
        });
        table.all.insert(id, Arc::clone(&slot));
        if !is_admitted {
            table.reserve.push(id);
            slot.state.shorten_timeouts();
        }
        self.counts.open.inc();
        Some(ConnectionPermit {
            slots: Arc::clone(self),
            id,
            slot,
        })
    }

    /// Signals to every connection that the service ends.
    pub(super) fn drain(&self) {
        for slot in self.lock().all.values() {
            slot.state.signal(DRAIN);
        }
    }
}

impl SlotTable {
    /// Whether one more connection may be admitted. At the limit the one that has been idle longest is evicted for it.
    fn can_admit(&mut self, slots: &ConnectionSlots) -> bool {
        if self.admitted < slots.max {
            return true;
        }
        let Some(slot) = self.longest_idle(slots.ticks.load(Ordering::Relaxed)) else {
            return false;
        };
        slot.set(EVICTED);
        slot.state.signal(EVICT);
        self.admitted -= 1;
        true
    }

    /// Evicts the connection of the reserve that has been idle longest, if any is idle: the next connection may be a
    /// probe's.
    fn evict_from_reserve(&mut self) {
        let Self { all, reserve, .. } = self;
        reserve.retain(|id| all.get(id).is_some_and(|slot| slot.is_in_reserve()));
        let slots = reserve.iter().filter_map(|id| all.get(id));
        let idle = slots
            .filter(|slot| slot.is(RESERVE))
            .filter_map(|slot| Some((slot.state.idle_since()?, slot)));
        if let Some((_, slot)) = idle.min_by_key(|(since, _)| *since) {
            slot.set(EVICTED_RESERVE);
            slot.state.signal(EVICT);
        }
    }

    fn longest_idle(&mut self, now: u32) -> Option<Arc<Slot>> {
        loop {
            while let Some((since, id)) = self.idle.pop() {
                let slot = self.all.get(&id);
                let is_still_idle =
                    |slot: &&Arc<Slot>| slot.is(ADMITTED) && slot.state.idle_since() == Some(since);
                if let Some(slot) = slot.filter(is_still_idle) {
                    return Some(Arc::clone(slot));
                }
            }
            if self.all.len() > SEARCHED_EVERY_TIME && self.none_idle_at == Some(now) {
                return None;
            }
            let idle = self.all.iter().filter_map(|(id, slot)| {
                let since = slot.state.idle_since()?;
                slot.is(ADMITTED).then_some((since, *id))
            });
            self.idle.extend(idle);
            if self.idle.is_empty() {
                self.none_idle_at = Some(now);
                return None;
            }
            self.idle.sort_unstable_by(|one, other| other.cmp(one));
        }
    }
}

/// A connection's permit: it holds the slot until it is dropped.
pub(super) struct ConnectionPermit {
    slots: Arc<ConnectionSlots>,
    id: u64,
    slot: Arc<Slot>,
}

impl ConnectionPermit {
    /// What the connection's streams and its task share with its listener.
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.slot.state
    }

    /// Whether the connection is in the reserve.
    pub(super) fn is_in_reserve(&self) -> bool {
        self.slot.is_in_reserve()
    }

    /// Whether requests may be served on the connection; admits a connection of the reserve if a slot is free or can be
    /// freed.
    pub(super) fn is_admitted(&self) -> bool {
        if !self.is_in_reserve() {
            return true;
        }
        let mut table = self.slots.lock();
        let is_admitted = table.can_admit(&self.slots);
        if is_admitted {
            table.admitted += 1;
            self.slot.set(ADMITTED);
            self.slot.state.restore_timeouts();
        }
        is_admitted
    }

    /// Called after the signal to evict; returns whether the connection closes. If not, because it is busy again, it
    /// stays.
    pub(super) fn finish_eviction(&self) -> bool {
        let closes = self.slot.state.is_closing_or_stays();
        if closes {
            self.slots.counts.closed_for_room.inc();
        } else {
            let mut table = self.slots.lock();
            if self.slot.is(EVICTED) {
                table.admitted += 1;
                self.slot.set(ADMITTED);
            } else if self.slot.is(EVICTED_RESERVE) {
                self.slot.set(RESERVE);
            }
            drop(table);
            // The accept loop, which waits for the end of this connection, must evict another.
            self.slots.freed.notify_one();
        }
        closes
    }

    /// Counts a request that was turned away because every connection is busy.
    pub(super) fn count_turned_away(&self) {
        self.slots.counts.turned_away.inc();
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.slots.lock();
        table.all.remove(&self.id);
        table.admitted -= usize::from(self.slot.is(ADMITTED));
        drop(table);
        self.slots.counts.open.dec();
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
