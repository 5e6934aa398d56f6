//! Values that were changed, moved or lost at the server.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    domain::Part,
    shared_tier::{
        AliasFill, SharedFetch, SharedLease, Wanted,
        protocol::{
            AdvanceCommand, Backend, BeatCommand, BeatReply, BudgetName, EpochId, EpochOffer,
            FetchCommand, FetchReply, InvalidateCommand, InvalidateReply, OpenEpoch, PeekReply,
            Position, ReleaseCommand, Reply, ServerInfo, StoreCommand, StoreReply, StoredValue,
            StreamEntry, Subject, TokenCommand, TokenReply,
        },
    },
};

use crate::{
    replica::{Bench, Replica, settle},
    settings::{BOTH, contact, email, need},
    standin::Connection,
};

type Change = Box<dyn FnMut(&mut FetchReply) + Send>;

/// A connection that changes the replies to fetches.
struct Tampered {
    wire: Connection,
    change: Arc<Mutex<Change>>,
}

impl Backend for Tampered {
    fn connect(&self) -> Reply<'_, ()> {
        self.wire.connect()
    }

    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch> {
        self.wire.open(offer)
    }

    fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) -> Reply<'_, bool> {
        self.wire.rewrap(epoch, old, new)
    }

    fn fetch(&self, epoch: EpochId, command: FetchCommand) -> Reply<'_, FetchReply> {
        Box::pin(async move {
            let mut reply = self.wire.fetch(epoch, command).await?;
            (self.change.lock().expect("no panic"))(&mut reply);
            Ok(reply)
        })
    }

    fn store(&self, epoch: EpochId, command: StoreCommand) -> Reply<'_, StoreReply> {
        self.wire.store(epoch, command)
    }

    fn release(&self, epoch: EpochId, command: ReleaseCommand) -> Reply<'_, ()> {
        self.wire.release(epoch, command)
    }

    fn invalidate(&self, epoch: EpochId, command: InvalidateCommand) -> Reply<'_, InvalidateReply> {
        self.wire.invalidate(epoch, command)
    }

    fn advance(&self, epoch: EpochId, command: AdvanceCommand) -> Reply<'_, ()> {
        self.wire.advance(epoch, command)
    }

    fn read_stream(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Reply<'_, Vec<StreamEntry>> {
        self.wire.read_stream(epoch, after, wait)
    }

    fn beat(&self, epoch: EpochId, command: BeatCommand) -> Reply<'_, BeatReply> {
        self.wire.beat(epoch, command)
    }

    fn lease_tokens(&self, command: TokenCommand) -> Reply<'_, TokenReply> {
        self.wire.lease_tokens(command)
    }

    fn pause(&self, budget: BudgetName, pause: Duration) -> Reply<'_, ()> {
        self.wire.pause(budget, pause)
    }

    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply> {
        self.wire.peek(epoch, subject)
    }

    fn sweep(&self, ended: EpochId) -> Reply<'_, u64> {
        self.wire.sweep(ended)
    }

    fn inspect(&self) -> Reply<'_, ServerInfo> {
        self.wire.inspect()
    }
}

/// Returns a replica that has stored contacts 1 and 2, each under an alias, and a second one whose replies to fetches
/// are changed.
async fn replicas(
    bench: &Bench,
    change: impl FnMut(&mut FetchReply) + Send + 'static,
) -> (Replica, Replica) {
    let one = bench.replica().await;
    for (id, address) in [(1, "alva@example.com"), (2, "bo@example.com")] {
        let lookup = email(address);
        let lease = one.lease(Wanted::Alias(&lookup)).await;
        let alias = AliasFill {
            requested: &lookup,
            source: engage_bff::cache::freshness::FetchSource::Overview,
            confirmed: true,
        };
        one.store(lease, contact(id), Some(alias)).await;
    }
    let backend = Tampered {
        wire: bench.server.connection(),
        change: Arc::new(Mutex::new(Box::new(change))),
    };
    let other = bench.replica_over(&[1], Arc::new(backend));
    settle().await;
    (one, other)
}

fn flip(value: &mut Option<StoredValue>, index: usize) {
    let value = value.as_mut().expect("a value");
    let mut bytes = value.sealed.to_vec();
    let index = index % bytes.len();
    bytes[index] ^= 1;
    value.sealed = bytes.into();
}

async fn leased(replica: &Replica, wanted: Wanted<'_>) -> SharedLease {
    replica.lease(wanted).await
}

fn unreadable(replica: &Replica, kind: &str) -> f64 {
    replica.metric(&format!(
        "shared_tier_values_unreadable_total{{kind=\"{kind}\"}}"
    ))
}

#[tokio::test]
async fn changed_value_is_a_miss_and_is_replaced() {
    for (index, kind) in [(0, "format"), (1, "seal"), (20, "seal"), (30, "seal")] {
        let bench = Bench::new();
        let (one, other) = replicas(&bench, move |reply| {
            if reply.parts[Part::Points].is_some() {
                flip(&mut reply.parts[Part::Points], index);
            }
        })
        .await;
        let lease = leased(&other, Wanted::Contact(contact(1))).await;
        assert!(unreadable(&other, kind) > 0.5, "{kind}");
        bench.pass(Duration::from_secs(1)).await;
        other.store(lease, contact(1), None).await;
        let found = one.fetch(Wanted::Contact(contact(1))).await;
        assert!(matches!(found, Ok(SharedFetch::Data(_))), "{found:?}");
    }
}

#[tokio::test]
async fn changed_lifetime_or_request_time_is_detected() {
    let changes: [fn(&mut StoredValue); 2] = [
        |value| value.lifetime *= 2,
        |value| value.requested_at.0 += 1000,
    ];
    for change in changes {
        let bench = Bench::new();
        let (_one, other) = replicas(&bench, move |reply| {
            if let Some(value) = &mut reply.parts[Part::Points] {
                change(value);
            }
        })
        .await;
        leased(&other, Wanted::Contact(contact(1))).await;
        assert!(unreadable(&other, "seal") > 0.5);
    }
}

#[tokio::test]
async fn unreadable_part_that_is_not_needed_is_left_out() {
    let bench = Bench::new();
    let (_one, other) = replicas(&bench, |reply| {
        flip(&mut reply.parts[Part::Points], 30);
    })
    .await;
    let mut need = need(Wanted::Contact(contact(1)));
    need.needed = Part::Audiences.into();
    match other.tier.fetch(other.start(), need).await {
        Ok(SharedFetch::Data(data)) => {
            assert!(data.parts.audiences.is_some() && data.parts.points.is_none());
        }
        found => panic!("no data: {found:?}"),
    }
    assert!(unreadable(&other, "seal") > 0.5);
}

#[tokio::test]
async fn value_of_another_contact_is_refused() {
    let bench = Bench::new();
    let mut first = None;
    let (_one, other) = replicas(&bench, move |reply| {
        // From the second fetch on, the reply contains the parts of the first.
        match &first {
            None => first = Some(reply.parts.clone()),
            Some(parts) if reply.parts[Part::Points].is_some() => reply.parts = parts.clone(),
            Some(_) => {}
        }
    })
    .await;
    let found = other.fetch(Wanted::Contact(contact(1))).await;
    assert!(matches!(found, Ok(SharedFetch::Data(_))));
    leased(&other, Wanted::Contact(contact(2))).await;
    assert!(unreadable(&other, "seal") > 0.5);
}

#[tokio::test]
async fn alias_with_another_contacts_name_is_a_mismatch() {
    let bench = Bench::new();
    let mut name = None;
    let (_one, other) = replicas(&bench, move |reply| {
        if let Some(alias) = &mut reply.alias {
            alias.contact = *name.get_or_insert(alias.contact);
        }
    })
    .await;
    let (alva, bo) = (email("alva@example.com"), email("bo@example.com"));
    let found = other.fetch(Wanted::Alias(&alva)).await;
    assert!(matches!(found, Ok(SharedFetch::Data(_))));
    leased(&other, Wanted::Alias(&bo)).await;
    assert!(unreadable(&other, "mismatch") > 0.5);
}

#[tokio::test]
async fn reply_with_missing_values_is_a_miss() {
    let bench = Bench::new();
    let (_one, other) = replicas(&bench, |reply| {
        reply.alias = None;
        reply.parts[Part::Points] = None;
    })
    .await;
    leased(&other, Wanted::Contact(contact(1))).await;
    leased(&other, Wanted::Alias(&email("alva@example.com"))).await;
    assert!(unreadable(&other, "missing") > 0.5);
}

#[tokio::test]
async fn value_older_than_the_clock_reaches_is_a_miss() {
    let bench = Bench::new();
    let (_one, other) = replicas(&bench, |reply| {
        for part in BOTH.iter() {
            if let Some(value) = &mut reply.parts[part] {
                value.age = Duration::from_secs(3 * 24 * 60 * 60);
            }
        }
    })
    .await;
    leased(&other, Wanted::Contact(contact(1))).await;
    assert!(unreadable(&other, "too_old") > 0.5);
}
