//! Runs each operation of the shared tier once, and measures how long operations take.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    clock::Clock,
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        AdvanceCommand, AliasName, Backend, BackendError, BeatCommand, BudgetName, ContactName,
        Covered, EpochId, EpochOffer, FetchCommand, FetchOutcome, InvalidateCommand, LeaseOffer,
        MessageName, NewValue, Position, ReleaseCommand, ReplicaId, ServerInfo, ServerTime,
        StoreCommand, StreamLimits, Subject, Token, TokenCommand,
    },
};

/// How many operations are measured.
const MEASURED: usize = 20;

/// How long the entries of the stream are kept.
const LIMITS: StreamLimits = StreamLimits {
    keep: Duration::from_secs(10),
};
const LIFETIME: Duration = Duration::from_secs(10);

/// The result of running the operations.
#[derive(Debug, Default)]
pub(super) struct Exercise {
    /// The operations that failed, with their errors.
    pub(super) failed: Vec<(&'static str, BackendError)>,
    /// The operations that succeeded without the effect that they should have.
    pub(super) ineffective: Vec<&'static str>,
    /// The latencies of [`MEASURED`] operations, in ascending order.
    pub(super) latencies: Vec<Duration>,
}

impl Exercise {
    /// The median latency.
    pub(super) fn median(&self) -> Duration {
        let middle = self.latencies.get(self.latencies.len() / 2);
        middle.copied().unwrap_or_default()
    }

    /// The longest latency.
    pub(super) fn worst(&self) -> Duration {
        self.latencies.last().copied().unwrap_or_default()
    }

    fn check<T>(&mut self, operation: &'static str, result: Result<T, BackendError>) -> Option<T> {
        result
            .map_err(|error| self.failed.push((operation, error)))
            .ok()
    }

    fn expect(&mut self, operation: &'static str, is_effective: bool) {
        if !is_effective {
            self.ineffective.push(operation);
        }
    }
}

/// Connects and runs every operation. The error says why it could not begin.
pub(super) async fn exercise(
    backend: &dyn Backend,
    clock: &Clock,
) -> Result<(ServerInfo, Exercise), String> {
    let describe = |operation| move |error: BackendError| format!("{operation}: {error}");
    backend.connect().await.map_err(describe("connect"))?;
    let info = backend.inspect().await.map_err(describe("inspect"))?;
    let mut exercise = Exercise::default();
    let first = EpochId(fastrand::u64(..));
    if let Some(open) = exercise.check("open", backend.open(offer(first)).await) {
        flights(backend, open.id, &mut exercise).await;
        released(backend, open.id, &mut exercise).await;
        replicas(backend, open.id, &mut exercise).await;
        measure(backend, open.id, clock, &mut exercise).await;
        ends(backend, open.id, &mut exercise).await;
    }
    Ok((info, exercise))
}

fn offer(id: EpochId) -> EpochOffer {
    EpochOffer {
        id,
        wrapped_secret: Bytes::from_static(b"check"),
        stream: LIMITS,
    }
}

const CONTACT: ContactName = ContactName([1; 16]);
/// A contact whose lease is released.
const RELEASED: ContactName = ContactName([2; 16]);
const REPLICA: ReplicaId = ReplicaId(1);

fn fetch(contact: ContactName) -> FetchCommand {
    FetchCommand {
        subject: Subject::Contact(contact),
        needed: PartSet::from_iter([Part::Points]),
        fetched: PartSet::from_iter([Part::Points]),
        max_age: PartMap::from_fn(|_| LIFETIME),
        max_alias_age: LIFETIME,
        waits: true,
        lease: LeaseOffer {
            token: Token(fastrand::u64(..)),
            busy: Duration::from_secs(1),
        },
    }
}

/// Leases and stores a part, and fetches it from the tier.
async fn flights(backend: &dyn Backend, epoch: EpochId, exercise: &mut Exercise) {
    let command = fetch(CONTACT);
    let token = command.lease.token;
    let Some(reply) = exercise.check("fetch", backend.fetch(epoch, command).await) else {
        return;
    };
    let FetchOutcome::Leased(grant) = reply.outcome else {
        return exercise.expect("fetch", false);
    };
    let value = || NewValue {
        lifetime: LIFETIME,
        sealed: Bytes::from_static(b"check"),
    };
    let store = StoreCommand {
        subject: Subject::Contact(CONTACT),
        token,
        leased: PartSet::from_iter([Part::Points]),
        grant,
        requested_at: reply.now,
        contact: Some(CONTACT),
        generation: Token(fastrand::u64(..)),
        alias: None,
        parts: PartMap::from_fn(|part| (part == Part::Points).then(value)),
        from_overview: PartSet::default(),
        entity_only: PartMap::from_fn(|_| Duration::ZERO),
    };
    if let Some(reply) = exercise.check("store", backend.store(epoch, store).await) {
        exercise.expect("store", reply.stored.contains(Part::Points));
    }
    if let Some(reply) = exercise.check("fetch", backend.fetch(epoch, fetch(CONTACT)).await) {
        exercise.expect("fetch", reply.outcome == FetchOutcome::Served);
    }
}

/// Leases a part, and releases the lease while it is held; checks that it has ended.
async fn released(backend: &dyn Backend, epoch: EpochId, exercise: &mut Exercise) {
    let command = fetch(RELEASED);
    let (subject, token) = (command.subject, command.lease.token);
    let Some(reply) = exercise.check("fetch", backend.fetch(epoch, command).await) else {
        return;
    };
    if !matches!(reply.outcome, FetchOutcome::Leased(_)) {
        return exercise.expect("fetch", false);
    }
    let release = ReleaseCommand { subject, token };
    let result = backend.release(epoch, release).await;
    if exercise.check("release", result).is_none() {
        return;
    }
    if let Some(left) = exercise.check("peek", backend.peek(epoch, subject).await) {
        exercise.expect("release", left.busy.is_zero());
    }
}

/// Runs the operations between replicas: an invalidation, the stream, the heartbeat and the call budget.
async fn replicas(backend: &dyn Backend, epoch: EpochId, exercise: &mut Exercise) {
    let invalidate = InvalidateCommand {
        contacts: vec![Covered {
            contact: CONTACT,
            parts: PartSet::from_iter([Part::Points]),
            is_purge: true,
        }],
        negatives: true,
        aliases: vec![AliasName([1; 16])],
        entity_only: Duration::from_secs(1),
        message: Some((MessageName([1; 16]), LIFETIME)),
        replica: REPLICA,
        payload: Bytes::from_static(b"check"),
        stream: LIMITS,
    };
    exercise.check("invalidate", backend.invalidate(epoch, invalidate).await);
    let entries = backend.read_stream(epoch, Position::START, Duration::from_millis(1));
    if let Some(entries) = exercise.check("read the stream", entries.await) {
        exercise.expect("read the stream", entries.len() >= 2);
    }
    let beat = BeatCommand {
        replica: REPLICA,
        leaves: false,
        interval: Duration::from_secs(1),
        stream: LIMITS,
    };
    exercise.check("beat", backend.beat(epoch, beat).await);
    let budget = BudgetName([1; 16]);
    let tokens = TokenCommand {
        budget,
        replica: REPLICA,
        number: 1,
        rate: 1.0,
        burst: 1,
        wanted: 1,
        held: 0,
        returned: 0,
        known_replicas: 1,
        lent_until: ServerTime(0),
    };
    exercise.check("lease tokens", backend.lease_tokens(tokens).await);
    let pause = backend.pause(budget, Duration::from_millis(1));
    exercise.check("pause", pause.await);
}

async fn measure(backend: &dyn Backend, epoch: EpochId, clock: &Clock, exercise: &mut Exercise) {
    // The first operation is not counted: the server may have to load the script.
    for measured in 0..=MEASURED {
        let began = clock.tick();
        let peeked = backend.peek(epoch, Subject::Contact(CONTACT)).await;
        if exercise.check("peek", peeked).is_none() {
            return;
        }
        if measured > 0 {
            exercise.latencies.push(clock.tick().since(began));
        }
    }
    exercise.latencies.sort_unstable();
}

/// Rewraps the epoch's secret, ends the epoch and sweeps it; checks that it can no longer be read.
async fn ends(backend: &dyn Backend, epoch: EpochId, exercise: &mut Exercise) {
    let (old, new) = (Bytes::from_static(b"check"), Bytes::from_static(b"again"));
    if let Some(is_done) = exercise.check("rewrap", backend.rewrap(epoch, old, new).await) {
        exercise.expect("rewrap", is_done);
    }
    let advance = AdvanceCommand {
        next: offer(EpochId(fastrand::u64(..))),
        replica: REPLICA,
        payload: Bytes::from_static(b"check"),
    };
    exercise.check("advance", backend.advance(epoch, advance).await);
    exercise.check("sweep", backend.sweep(epoch).await);
    let ended = backend.peek(epoch, Subject::Contact(CONTACT)).await;
    exercise.expect("advance", ended.err() == Some(BackendError::Epoch));
}

#[cfg(test)]
mod tests;
