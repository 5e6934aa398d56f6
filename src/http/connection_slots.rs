//! How many connections a listener has at once, and who makes room where there are as many as there may be.
//!
//! The connection that has been idle longest is closed for a new one. Where none is idle a few more are accepted, on
//! which only probes are answered: an orchestrator must not take a replica that is full for one that is dead.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::Notify;

use super::connection_state::{ConnectionState, DRAIN, MAKE_ROOM, Ticks};

/// Connections beyond the most, on which only probes are answered.
pub const PROBE_CONNECTIONS: usize = 16;

/// How long a tick is, in which idle connections are told apart.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Up to so many connections may be looked through for an idle one as often as one is wanted.
const FEW: usize = 1024;

/// It is one of the connections that there may be.
const ADMITTED: u8 = 0;
/// It is one beyond them.
const RESERVE: u8 = 1;
/// It has been asked to make room.
const LEAVING: u8 = 2;
/// The same, of those beyond.
const LEAVING_RESERVE: u8 = 3;

/// What may be answered on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAdmission {
    /// Every request.
    Full,
    /// This probe, and then the connection ends.
    ProbeOnly,
    /// Nothing: the request is turned away, and the connection ends.
    None,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

/// The counts of connections of every listener.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    open: Family<ListenerLabel, Gauge>,
    closed_for_room: Family<ListenerLabel, Counter>,
    turned_away: Family<ListenerLabel, Counter>,
}

/// Those of one listener.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounters {
    open: Gauge,
    pub(super) closed_for_room: Counter,
    pub(super) turned_away: Counter,
}

impl ConnectionMetrics {
    /// The counts of the listener of that name.
    pub fn of(&self, listener: &'static str) -> ConnectionCounters {
        let labels = ListenerLabel { listener };
        ConnectionCounters {
            open: self.open.get_or_create(&labels).clone(),
            closed_for_room: self.closed_for_room.get_or_create(&labels).clone(),
            turned_away: self.turned_away.get_or_create(&labels).clone(),
        }
    }

    /// Makes the counts known to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Connections that are open",
            self.open.clone(),
        );
        registry.register(
            "connections_closed_for_room",
            "Idle connections closed because another was wanted and there were as many as there may be",
            self.closed_for_room.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Requests answered with 503 because there were as many connections as there may be, and none idle",
            self.turned_away.clone(),
        );
    }
}

/// A listener's connections.
pub(super) struct ConnectionSlots {
    most: usize,
    counts: ConnectionCounters,
    ticks: Ticks,
    /// Notified when a connection ends.
    freed: Notify,
    members: Mutex<SlotTable>,
}

#[derive(Default)]
struct SlotTable {
    all: HashMap<u64, Arc<Slot>>,
    next: u64,
    admitted: usize,
    /// Since when those are idle that were idle at the last look, and which they are; the longest idle at the end. Who
    /// became idle later has been idle for less time.
    idle: Vec<(u32, u64)>,
    /// The tick of the last look that found none.
    vain: Option<u32>,
    /// Those beyond the most, and some that were.
    reserve: Vec<u64>,
}

struct Slot {
    watch: ConnectionState,
    place: AtomicU8,
}

impl Slot {
    fn is(&self, place: u8) -> bool {
        self.place.load(Ordering::Relaxed) == place
    }

    fn is_in_reserve(&self) -> bool {
        self.is(RESERVE) || self.is(LEAVING_RESERVE)
    }

    fn puts(&self, place: u8) {
        self.place.store(place, Ordering::Relaxed);
    }
}

impl ConnectionSlots {
    pub(super) fn new(most: usize, counts: ConnectionCounters) -> Self {
        Self {
            most,
            counts,
            ticks: Ticks::default(),
            freed: Notify::new(),
            members: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotTable> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tick has passed.
    pub(super) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many there may be with those for probes.
    fn capacity(&self) -> usize {
        self.most.saturating_add(PROBE_CONNECTIONS)
    }

    /// Returns once there is a place for one more connection, be it one of the reserve.
    pub(super) async fn space(&self) {
        loop {
            let freed = self.freed.notified();
            {
                let mut members = self.lock();
                if members.all.len() < self.capacity() {
                    return;
                }
                // The end of one is what is waited for.
                if !members.has_room(self) {
                    members.reserve_makes_room();
                }
            }
            freed.await;
        }
    }

    /// A place for one more connection; `None` where even the reserve is full.
    pub(super) fn enter(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let mut members = self.lock();
        if members.all.len() >= self.capacity() {
            return None;
        }
        let is_admitted = members.has_room(self);
        members.admitted += usize::from(is_admitted);
        let id = members.next;
        members.next += 1;
        let member = Arc::new(Slot {
            watch: ConnectionState::new(Arc::clone(&self.ticks)),
            place: AtomicU8::new(if is_admitted { ADMITTED } else { RESERVE }),
        });
        members.all.insert(id, Arc::clone(&member));
        if !is_admitted {
            members.reserve.push(id);
            member.watch.be_brief();
        }
        self.counts.open.inc();
        Some(ConnectionPermit {
            room: Arc::clone(self),
            id,
            member,
        })
    }

    /// Tells every connection that the service ends.
    pub(super) fn drain(&self) {
        for member in self.lock().all.values() {
            member.watch.order(DRAIN);
        }
    }
}

impl SlotTable {
    /// Whether one more connection may be admitted, perhaps because the one that was idle longest makes room.
    fn has_room(&mut self, room: &ConnectionSlots) -> bool {
        if self.admitted < room.most {
            return true;
        }
        let Some(member) = self.longest_idle(room.ticks.load(Ordering::Relaxed)) else {
            return false;
        };
        member.puts(LEAVING);
        member.watch.order(MAKE_ROOM);
        self.admitted -= 1;
        true
    }

    /// Closes the connection beyond the most that has been idle longest, if any is: the next may be a probe.
    fn reserve_makes_room(&mut self) {
        let Self { all, reserve, .. } = self;
        reserve.retain(|id| all.get(id).is_some_and(|member| member.is_in_reserve()));
        let members = reserve.iter().filter_map(|id| all.get(id));
        let idle = members
            .filter(|member| member.is(RESERVE))
            .filter_map(|member| Some((member.watch.idle_since()?, member)));
        if let Some((_, member)) = idle.min_by_key(|(since, _)| *since) {
            member.puts(LEAVING_RESERVE);
            member.watch.order(MAKE_ROOM);
        }
    }

    fn longest_idle(&mut self, now: u32) -> Option<Arc<Slot>> {
        loop {
            while let Some((since, id)) = self.idle.pop() {
                let member = self.all.get(&id);
                let is_idle_still = |member: &&Arc<Slot>| {
                    member.is(ADMITTED) && member.watch.idle_since() == Some(since)
                };
                if let Some(member) = member.filter(is_idle_still) {
                    return Some(Arc::clone(member));
                }
            }
            if self.all.len() > FEW && self.vain == Some(now) {
                return None;
            }
            let idle = self.all.iter().filter_map(|(id, member)| {
                let since = member.watch.idle_since()?;
                member.is(ADMITTED).then_some((since, *id))
            });
            self.idle.extend(idle);
            if self.idle.is_empty() {
                self.vain = Some(now);
                return None;
            }
            self.idle.sort_unstable_by(|one, other| other.cmp(one));
        }
    }
}

/// A connection's place in its listener's room, which it leaves when it is dropped.
pub(super) struct ConnectionPermit {
    room: Arc<ConnectionSlots>,
    id: u64,
    member: Arc<Slot>,
}

impl AsRef<ConnectionState> for ConnectionPermit {
    fn as_ref(&self) -> &ConnectionState {
        &self.member.watch
    }
}

impl ConnectionPermit {
    /// Whether the connection is one beyond those that there may be.
    pub(super) fn is_in_reserve(&self) -> bool {
        self.member.is_in_reserve()
    }

    /// Whether requests may be answered on it, perhaps because there is room by now.
    pub(super) fn is_admitted(&self) -> bool {
        if !self.is_in_reserve() {
            return true;
        }
        let mut members = self.room.lock();
        let is_admitted = members.has_room(&self.room);
        if is_admitted {
            members.admitted += 1;
            self.member.puts(ADMITTED);
            self.member.watch.be_patient();
        }
        is_admitted
    }

    /// Says whether the connection, asked to make room, does; if not, because it is not idle any more, it stays.
    pub(super) fn makes_room(&self) -> bool {
        let makes_room = self.member.watch.is_closing_or_stays();
        if makes_room {
            self.room.counts.closed_for_room.inc();
        } else {
            let mut members = self.room.lock();
            if self.member.is(LEAVING) {
                members.admitted += 1;
                self.member.puts(ADMITTED);
            } else if self.member.is(LEAVING_RESERVE) {
                self.member.puts(RESERVE);
            }
            drop(members);
            // Whoever waits for its end must ask another.
            self.room.freed.notify_one();
        }
        makes_room
    }

    /// A request was not answered for want of room.
    pub(super) fn turned_away(&self) {
        self.room.counts.turned_away.inc();
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut members = self.room.lock();
        members.all.remove(&self.id);
        members.admitted -= usize::from(self.member.is(ADMITTED));
        drop(members);
        self.room.counts.open.dec();
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
