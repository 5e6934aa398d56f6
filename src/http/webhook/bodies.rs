//! The bodies of deliveries while they arrive. Their senders are not known yet, so what they take is bounded in bytes,
//! altogether and for each peer. A delivery of which no byte has come takes nothing.
//!
//! Where there is no room, the body that began to arrive longest ago is dropped: Engage sends a delivery at once, and a peer
//! that takes its time must not keep it out, even if both come through one load balancer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::http::peer::Peer;

/// What all bodies may take.
const MAX_BYTES: usize = 64 << 20;
/// How many of the largest bodies fit, if that is less.
const MAX_BODIES: usize = 256;
/// The share of it that one peer may take.
const PEER_SHARE: usize = 4;
/// The least that a body takes.
const MIN_CAPACITY: usize = 1024;

/// Why a body was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyDropped {
    /// It is larger than any may be.
    TooLarge,
    /// Others needed the room.
    Evicted,
}

/// All bodies that are arriving.
#[derive(Debug)]
pub(super) struct BodyBuffers {
    limits: BufferLimits,
    state: Mutex<BuffersState>,
}

#[derive(Clone, Copy, Debug)]
struct BufferLimits {
    body: usize,
    peer: usize,
    all: usize,
}

#[derive(Debug, Default)]
struct BuffersState {
    bodies: BTreeMap<(Peer, u64), BufferedBody>,
    /// Whose they are, in the order in which their first bytes came.
    order: BTreeMap<u64, Peer>,
    /// What each peer's bodies take, and all of them.
    peers: HashMap<Peer, usize>,
    bytes: usize,
    next: u64,
}

#[derive(Debug, Default)]
struct BufferedBody {
    bytes: Vec<u8>,
    capacity: usize,
}

/// One body that is arriving; what is kept of it is dropped with this.
#[derive(Debug)]
pub(super) struct IncomingBody<'a> {
    bodies: &'a BodyBuffers,
    peer: Peer,
    number: Option<u64>,
    lost: Option<BodyDropped>,
}

impl BodyBuffers {
    /// Room for bodies that are no larger than that.
    pub(super) fn new(max_body: usize) -> Self {
        let several = max_body.saturating_mul(PEER_SHARE);
        let all = MAX_BYTES
            .min(max_body.saturating_mul(MAX_BODIES))
            .max(several);
        Self {
            limits: BufferLimits {
                body: max_body,
                peer: all / PEER_SHARE,
                all,
            },
            state: Mutex::default(),
        }
    }

    /// A body of which nothing has come yet.
    pub(super) fn receive(&self, peer: Peer) -> IncomingBody<'_> {
        IncomingBody {
            bodies: self,
            peer,
            number: None,
            lost: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, BuffersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IncomingBody<'_> {
    /// Keeps what came next, unless the body is lost.
    pub(super) fn append(&mut self, chunk: &[u8]) {
        if self.lost.is_some() || chunk.is_empty() {
            return;
        }
        let mut state = self.bodies.state();
        let number = *self.number.get_or_insert_with(|| state.begin(self.peer));
        let kept = state.append((self.peer, number), chunk, self.bodies.limits);
        self.lost = kept.err();
    }

    /// The whole body, if it is still there.
    pub(super) fn finish(self) -> Result<Vec<u8>, BodyDropped> {
        match (self.lost, self.number) {
            (Some(lost), _) => Err(lost),
            (None, None) => Ok(Vec::new()),
            (None, Some(number)) => {
                let body = self.bodies.state().remove((self.peer, number));
                body.ok_or(BodyDropped::Evicted)
            }
        }
    }
}

impl Drop for IncomingBody<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.bodies.state().remove((self.peer, number));
        }
    }
}

impl BuffersState {
    fn begin(&mut self, peer: Peer) -> u64 {
        let number = self.next;
        self.next += 1;
        self.order.insert(number, peer);
        self.bodies.insert((peer, number), BufferedBody::default());
        number
    }

    fn append(
        &mut self,
        key: (Peer, u64),
        chunk: &[u8],
        limits: BufferLimits,
    ) -> Result<(), BodyDropped> {
        let body = self.bodies.get(&key).ok_or(BodyDropped::Evicted)?;
        let length = body.bytes.len() + chunk.len();
        if length > limits.body {
            self.remove(key);
            return Err(BodyDropped::TooLarge);
        }
        let roomy = length
            .next_power_of_two()
            .max(MIN_CAPACITY)
            .min(limits.body);
        let capacity = roomy.max(body.capacity);
        let more = capacity - body.capacity;
        self.make_room(key.0, more, limits);
        let body = self.bodies.get_mut(&key).ok_or(BodyDropped::Evicted)?;
        body.bytes.reserve_exact(capacity - body.bytes.len());
        body.bytes.extend_from_slice(chunk);
        body.capacity = capacity;
        self.bytes += more;
        *self.peers.entry(key.0).or_default() += more;
        Ok(())
    }

    /// Drops the oldest bodies, the peer's own first, until there is room for so many bytes more.
    fn make_room(&mut self, peer: Peer, more: usize, limits: BufferLimits) {
        while self
            .peers
            .get(&peer)
            .is_some_and(|bytes| bytes + more > limits.peer)
        {
            let mut own = self.bodies.range((peer, 0)..=(peer, u64::MAX));
            let Some((oldest, _)) = own.next() else { break };
            let oldest = *oldest;
            self.remove(oldest);
        }
        while self.bytes + more > limits.all {
            let Some((number, peer)) = self.order.first_key_value() else {
                break;
            };
            let oldest = (*peer, *number);
            self.remove(oldest);
        }
    }

    fn remove(&mut self, key: (Peer, u64)) -> Option<Vec<u8>> {
        let body = self.bodies.remove(&key)?;
        self.order.remove(&key.1);
        self.bytes -= body.capacity;
        if let Some(bytes) = self.peers.get_mut(&key.0) {
            *bytes -= body.capacity;
            if *bytes == 0 {
                self.peers.remove(&key.0);
            }
        }
        Some(body.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const KIB: usize = 1024;

    fn peer(number: u8) -> Peer {
        IpAddr::from([192, 0, 2, number]).into()
    }

    /// A body of which so much has come.
    fn begun(bodies: &BodyBuffers, from: u8, length: usize) -> IncomingBody<'_> {
        let mut unfinished = bodies.receive(peer(from));
        unfinished.append(&vec![from; length]);
        unfinished
    }

    #[test]
    fn a_body_is_what_came_of_it() {
        let bodies = BodyBuffers::new(KIB);
        let mut unfinished = bodies.receive(peer(1));
        for chunk in [&b"{\"a\""[..], b"", b":1}"] {
            unfinished.append(chunk);
        }
        assert_eq!(unfinished.finish(), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(bodies.receive(peer(1)).finish(), Ok(Vec::new()));
        assert_eq!(
            begun(&bodies, 1, KIB).finish().map(|all| all.len()),
            Ok(KIB)
        );
        let mut one_too_many = begun(&bodies, 1, KIB);
        one_too_many.append(b"x");
        one_too_many.append(b"x");
        assert_eq!(one_too_many.finish(), Err(BodyDropped::TooLarge));
        let state = bodies.state();
        assert!(state.bodies.is_empty() && state.order.is_empty() && state.peers.is_empty());
        assert_eq!(state.bytes, 0);
    }

    #[test]
    fn deliveries_without_a_byte_take_nothing() {
        let bodies = BodyBuffers::new(KIB);
        let silent: Vec<_> = (0..10_000).map(|_| bodies.receive(peer(1))).collect();
        assert_eq!(bodies.state().bytes, 0);
        assert!(begun(&bodies, 1, KIB).finish().is_ok());
        drop(silent);
    }

    #[test]
    fn a_peer_with_too_much_loses_its_own_oldest() {
        let bodies = BodyBuffers::new(KIB);
        let other = begun(&bodies, 2, KIB);
        let many: Vec<_> = (0..65).map(|_| begun(&bodies, 1, 1)).collect();
        let lost: Vec<bool> = many
            .into_iter()
            .map(|body| body.finish().is_err())
            .collect();
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
        assert!(lost[0]);
        assert!(other.finish().is_ok());
    }

    #[test]
    fn all_together_are_bounded_and_the_newest_is_kept() {
        let bodies = BodyBuffers::new(KIB);
        let many: Vec<_> = (0..600)
            .map(|number| begun(&bodies, u8::try_from(number % 100).expect("small"), KIB))
            .collect();
        assert!(bodies.state().bytes <= 256 * KIB);
        let newest = begun(&bodies, 200, KIB);
        let kept = many.into_iter().filter(|body| body.lost.is_none());
        assert_eq!(kept.filter_map(|body| body.finish().ok()).count(), 255);
        assert!(newest.finish().is_ok());
    }

    #[test]
    fn what_is_dropped_half_way_leaves_nothing() {
        let bodies = BodyBuffers::new(100 << 20);
        let large = begun(&bodies, 1, 30 << 20);
        assert!(bodies.state().bytes >= 30 << 20);
        drop(large);
        assert_eq!(bodies.state().bytes, 0);
        assert!(begun(&bodies, 1, 100 << 20).finish().is_ok());
    }
}
