//! Buffers for the bodies of deliveries while they arrive. Their senders are not authenticated yet, so memory is
//! bounded, in total and for each peer. A delivery without a received byte takes none.
//!
//! When a bound is reached, the body whose first byte is oldest is evicted: Engage sends a body at once, and a slow
//! peer must not block it, even behind the same load balancer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::http::peer::Peer;

/// The bound of all bodies together, unless that is too little for `PEER_SHARE` bodies of the largest size.
const MAX_BYTES: usize = 64 << 20;
/// The same bound as a number of bodies of the largest size; the lower one counts.
const MAX_BODIES: usize = 256;
/// One peer may take the bound divided by this.
const PEER_SHARE: usize = 4;
/// The capacity of the smallest buffer.
const MIN_CAPACITY: usize = 1024;

/// Why a body was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyDropped {
    /// It is larger than `max_body`.
    TooLarge,
    /// Other bodies needed the memory.
    Evicted,
}

/// The buffers of all arriving bodies.
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
    /// The peer of each body, in the order of their first bytes.
    order: BTreeMap<u64, Peer>,
    /// The capacity of each peer's bodies; `bytes` is that of all.
    peers: HashMap<Peer, usize>,
    bytes: usize,
    next: u64,
}

#[derive(Debug, Default)]
struct BufferedBody {
    bytes: Vec<u8>,
    capacity: usize,
}

/// An arriving body. Dropping this frees its buffer.
#[derive(Debug)]
pub(super) struct IncomingBody<'a> {
    bodies: &'a BodyBuffers,
    peer: Peer,
    number: Option<u64>,
    dropped: Option<BodyDropped>,
}

impl BodyBuffers {
    /// Buffers for bodies of at most `max_body` bytes.
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

    /// A body without a received byte.
    pub(super) fn receive(&self, peer: Peer) -> IncomingBody<'_> {
        IncomingBody {
            bodies: self,
            peer,
            number: None,
            dropped: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, BuffersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IncomingBody<'_> {
    /// Appends the next bytes, unless the body was dropped.
    pub(super) fn append(&mut self, chunk: &[u8]) {
        if self.dropped.is_some() || chunk.is_empty() {
            return;
        }
        let mut state = self.bodies.state();
        let number = *self.number.get_or_insert_with(|| state.begin(self.peer));
        let appended = state.append((self.peer, number), chunk, self.bodies.limits);
        self.dropped = appended.err();
    }

    /// The whole body, unless it was dropped.
    pub(super) fn finish(self) -> Result<Vec<u8>, BodyDropped> {
        match (self.dropped, self.number) {
            (Some(dropped), _) => Err(dropped),
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
        let rounded = length
            .next_power_of_two()
            .max(MIN_CAPACITY)
            .min(limits.body);
        let capacity = rounded.max(body.capacity);
        let more = capacity - body.capacity;
        self.evict_for(key.0, more, limits);
        let body = self.bodies.get_mut(&key).ok_or(BodyDropped::Evicted)?;
        body.bytes.reserve_exact(capacity - body.bytes.len());
        body.bytes.extend_from_slice(chunk);
        body.capacity = capacity;
        self.bytes += more;
        *self.peers.entry(key.0).or_default() += more;
        Ok(())
    }

    /// Evicts the oldest bodies, the peer's own first, until `more` bytes fit.
    fn evict_for(&mut self, peer: Peer, more: usize, limits: BufferLimits) {
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

    /// A body with `length` received bytes.
    fn received(bodies: &BodyBuffers, from: u8, length: usize) -> IncomingBody<'_> {
        let mut body = bodies.receive(peer(from));
        body.append(&vec![from; length]);
        body
    }

    #[test]
    fn body_is_assembled_from_its_chunks() {
        let bodies = BodyBuffers::new(KIB);
        let mut body = bodies.receive(peer(1));
        for chunk in [&b"{\"a\""[..], b"", b":1}"] {
            body.append(chunk);
        }
        assert_eq!(body.finish(), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(bodies.receive(peer(1)).finish(), Ok(Vec::new()));
        assert_eq!(
            received(&bodies, 1, KIB).finish().map(|all| all.len()),
            Ok(KIB)
        );
        let mut one_too_many = received(&bodies, 1, KIB);
        one_too_many.append(b"x");
        one_too_many.append(b"x");
        assert_eq!(one_too_many.finish(), Err(BodyDropped::TooLarge));
        let state = bodies.state();
        assert!(state.bodies.is_empty() && state.order.is_empty() && state.peers.is_empty());
        assert_eq!(state.bytes, 0);
    }

    #[test]
    fn delivery_without_a_byte_takes_no_memory() {
        let bodies = BodyBuffers::new(KIB);
        let silent: Vec<_> = (0..10_000).map(|_| bodies.receive(peer(1))).collect();
        assert_eq!(bodies.state().bytes, 0);
        assert!(received(&bodies, 1, KIB).finish().is_ok());
        drop(silent);
    }

    #[test]
    fn peer_beyond_its_share_loses_its_oldest_body() {
        let bodies = BodyBuffers::new(KIB);
        let other = received(&bodies, 2, KIB);
        let many: Vec<_> = (0..65).map(|_| received(&bodies, 1, 1)).collect();
        let dropped: Vec<bool> = many
            .into_iter()
            .map(|body| body.finish().is_err())
            .collect();
        assert_eq!(dropped.iter().filter(|dropped| **dropped).count(), 1);
        assert!(dropped[0]);
        assert!(other.finish().is_ok());
    }

    #[test]
    fn total_is_bounded_and_the_newest_body_kept() {
        let bodies = BodyBuffers::new(KIB);
        let many: Vec<_> = (0..600)
            .map(|number| received(&bodies, u8::try_from(number % 100).expect("small"), KIB))
            .collect();
        assert!(bodies.state().bytes <= 256 * KIB);
        let newest = received(&bodies, 200, KIB);
        let kept = many.into_iter().filter(|body| body.dropped.is_none());
        assert_eq!(kept.filter_map(|body| body.finish().ok()).count(), 255);
        assert!(newest.finish().is_ok());
    }

    #[test]
    fn dropped_body_frees_its_memory() {
        let bodies = BodyBuffers::new(100 << 20);
        let large = received(&bodies, 1, 30 << 20);
        assert!(bodies.state().bytes >= 30 << 20);
        drop(large);
        assert_eq!(bodies.state().bytes, 0);
        assert!(received(&bodies, 1, 100 << 20).finish().is_ok());
    }
}
