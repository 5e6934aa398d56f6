//! Tests of the stand-in itself: the protocol's promises, and each fault.

use std::time::Duration;

use bytes::Bytes;
use engage_bff::{
    clock::{Clock, ManualClock},
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        AdvanceCommand, AliasName, Backend, BackendError, BeatCommand, BudgetName, ContactName,
        Covered, EntryContent, EpochId, EpochOffer, FetchCommand, FetchOutcome, FetchReply, Grant,
        InvalidateCommand, InvalidateReply, LeaseOffer, MessageName, NewValue, Position,
        ReleaseCommand, ReplicaId, ServerTime, StoreCommand, StoreReply, StreamLimits, Subject,
        Token, TokenCommand, TokenReply,
    },
};
use jiff::Timestamp;

use super::{Connection, Evicted, Fault, Operation, Standin};

const HOUR: Duration = Duration::from_secs(3600);
const LIMITS: StreamLimits = StreamLimits { keep: HOUR };
const CONTACT: ContactName = ContactName([1; 16]);
const ALIAS: AliasName = AliasName([2; 16]);
const REPLICA: ReplicaId = ReplicaId(1);
const PROFILE: PartSet = PartSet::of(&[Part::Profile]);

struct Bench {
    clock: ManualClock,
    standin: Standin,
    one: Connection,
    two: Connection,
    epoch: EpochId,
}

async fn bench() -> Bench {
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().expect("a time"));
    let standin = Standin::new(Clock::from(clock.clone()));
    let (one, two) = (standin.connection(), standin.connection());
    for connection in [&one, &two] {
        assert_eq!(
            connection.open(offer(1)).await,
            Err(BackendError::Unreachable)
        );
        connection.connect().await.expect("it connects");
    }
    let epoch = one.open(offer(1)).await.expect("an epoch").id;
    assert_eq!(two.open(offer(2)).await.expect("the same").id, epoch);
    Bench {
        clock,
        standin,
        one,
        two,
        epoch,
    }
}

fn offer(id: u64) -> EpochOffer {
    EpochOffer {
        id: EpochId(id),
        wrapped_secret: Bytes::from_static(b"secret"),
        stream: LIMITS,
    }
}

/// A token of the replica with this number.
fn of_replica(number: u64) -> Token {
    Token(number << 32)
}

fn fetch(subject: Subject, token: u64) -> FetchCommand {
    FetchCommand {
        subject,
        needed: PROFILE,
        fetched: PROFILE,
        max_age: PartMap::splat(HOUR),
        max_alias_age: HOUR,
        waits: true,
        lease: LeaseOffer {
            token: of_replica(token),
            busy: Duration::from_secs(10),
        },
    }
}

fn value(text: &'static [u8]) -> NewValue {
    NewValue {
        lifetime: HOUR,
        sealed: Bytes::from_static(text),
    }
}

fn store(subject: Subject, token: u64, reply: &FetchReply, text: &'static [u8]) -> StoreCommand {
    let mut parts = PartMap::default();
    parts[Part::Profile] = Some(value(text));
    StoreCommand {
        subject,
        token: of_replica(token),
        leased: PROFILE,
        grant: grant(reply),
        requested_at: reply.now,
        contact: Some(CONTACT),
        generation: Token(token),
        alias: matches!(subject, Subject::Alias(_)).then(|| value(b"alias")),
        parts,
        from_overview: PROFILE,
        entity_only: PartMap::default(),
    }
}

fn grant(reply: &FetchReply) -> Grant {
    match reply.outcome {
        FetchOutcome::Leased(grant) => grant,
        other => panic!("no lease: {other:?}"),
    }
}

fn invalidation(is_purge: bool) -> InvalidateCommand {
    InvalidateCommand {
        contacts: vec![Covered {
            contact: CONTACT,
            parts: PROFILE,
            is_purge,
        }],
        negatives: false,
        aliases: Vec::new(),
        entity_only: Duration::from_secs(5),
        message: None,
        replica: REPLICA,
        payload: Bytes::from_static(b"payload"),
        stream: LIMITS,
    }
}

const SUBJECT: Subject = Subject::Contact(CONTACT);

impl Bench {
    async fn fetch(&self, subject: Subject, token: u64) -> FetchReply {
        let command = fetch(subject, token);
        self.two.fetch(self.epoch, command).await.expect("a reply")
    }

    async fn store(&self, command: StoreCommand) -> StoreReply {
        self.two.store(self.epoch, command).await.expect("a reply")
    }

    async fn invalidate(&self, is_purge: bool) -> InvalidateReply {
        let command = invalidation(is_purge);
        let reply = self.one.invalidate(self.epoch, command).await;
        reply.expect("it is written")
    }

    /// Connects again, if the connection broke, and opens the epoch.
    async fn epoch_after(&self) -> EpochId {
        self.one.connect().await.expect("it connects");
        self.one.open(offer(7)).await.expect("an epoch").id
    }
}

#[tokio::test]
async fn one_lease_is_granted_and_what_it_stores_serves_all() {
    let bench = bench().await;
    let leased = bench.fetch(SUBJECT, 1).await;
    let busy = bench.fetch(SUBJECT, 2).await.outcome;
    assert_eq!(busy, FetchOutcome::Busy(Duration::from_secs(10)));
    let reply = bench.store(store(SUBJECT, 1, &leased, b"one")).await;
    assert_eq!(reply.stored, PROFILE);
    bench.clock.advance(Duration::from_secs(3));
    let served = bench.fetch(SUBJECT, 2).await;
    assert_eq!(served.outcome, FetchOutcome::Served);
    let profile = served.parts[Part::Profile].clone().expect("a value");
    assert_eq!(profile.age, Duration::from_secs(3));
    assert_eq!(&*profile.sealed, b"one");
    let peeked = bench.one.peek(bench.epoch, SUBJECT).await.expect("a reply");
    assert_eq!(peeked.parts[Part::Profile], Some(profile));
    // Older data does not replace it.
    let reply = bench.store(store(SUBJECT, 1, &leased, b"old")).await;
    assert_eq!(reply, StoreReply::default());
    bench
        .standin
        .set_offset(HOUR.as_millis().try_into().expect("it fits"));
    let outcome = bench.fetch(SUBJECT, 3).await.outcome;
    assert!(
        matches!(outcome, FetchOutcome::Leased(_)),
        "it is not fresh any more"
    );
    let release = ReleaseCommand {
        subject: SUBJECT,
        token: of_replica(3),
    };
    bench
        .two
        .release(bench.epoch, release)
        .await
        .expect("a reply");
    grant(&bench.fetch(SUBJECT, 4).await);
}

#[tokio::test]
async fn ended_value_has_no_effect_before_its_key_is_dropped() {
    let bench = bench().await;
    bench.standin.drop_every(24 * HOUR);
    let leased = bench.fetch(SUBJECT, 1).await;
    bench.store(store(SUBJECT, 1, &leased, b"one")).await;
    bench.clock.advance(HOUR);
    grant(&bench.fetch(SUBJECT, 2).await);
}

#[tokio::test]
async fn replica_does_not_wait_for_its_own_lease() {
    let bench = bench().await;
    let of = |number| {
        let mut command = fetch(SUBJECT, 1);
        command.lease.token = Token(of_replica(1).0 + number);
        command
    };
    for number in 0..2 {
        let reply = bench.two.fetch(bench.epoch, of(number)).await;
        grant(&reply.expect("a reply"));
    }
    let busy = bench.fetch(SUBJECT, 2).await.outcome;
    assert_eq!(busy, FetchOutcome::Busy(Duration::from_secs(10)));
}

#[tokio::test]
async fn invalidation_overtakes_what_was_leased_before() {
    let bench = bench().await;
    let leased = bench.fetch(SUBJECT, 1).await;
    bench.invalidate(false).await;
    let reply = bench.store(store(SUBJECT, 1, &leased, b"one")).await;
    assert_eq!((reply.overtaken, reply.stored), (PROFILE, PartSet::EMPTY));
    let leased = bench.fetch(SUBJECT, 2).await;
    assert_eq!(leased.entity_only[Part::Profile], Duration::from_secs(5));
    let from_overview = store(SUBJECT, 2, &leased, b"two");
    let from_entity = StoreCommand {
        from_overview: PartSet::EMPTY,
        ..from_overview.clone()
    };
    assert_eq!(bench.store(from_overview).await, StoreReply::default());
    assert_eq!(bench.store(from_entity).await.stored, PROFILE);
}

#[tokio::test]
async fn broken_chain_is_refused() {
    for fault in 0..3 {
        let bench = bench().await;
        let leased = bench.fetch(SUBJECT, 1).await;
        match fault {
            0 => assert!(bench.standin.evict(Evicted::Stream)),
            1 => {
                bench.invalidate(false).await;
                bench.invalidate(false).await;
                bench.standin.trim_stream(1);
                assert_eq!(bench.standin.entries().len(), 1);
            }
            _ => {
                for _ in 0..=1000 {
                    bench.invalidate(false).await;
                }
            }
        }
        let reply = bench.store(store(SUBJECT, 1, &leased, b"one")).await;
        assert_eq!((reply.overtaken, reply.stored), (PROFILE, PartSet::EMPTY));
    }
}

#[tokio::test]
async fn alias_leads_to_its_contact_until_that_is_purged() {
    let bench = bench().await;
    let subject = Subject::Alias(ALIAS);
    let leased = bench.fetch(subject, 1).await;
    let reply = bench.store(store(subject, 1, &leased, b"one")).await;
    assert!(reply.alias_stored);
    let served = bench.fetch(subject, 2).await;
    assert_eq!(served.outcome, FetchOutcome::Served);
    assert_eq!(served.alias.and_then(|alias| alias.contact), Some(CONTACT));
    bench.invalidate(true).await;
    let leased = bench.fetch(subject, 2).await;
    assert_eq!(leased.alias, None);
    bench.invalidate(true).await;
    assert!(
        bench
            .store(store(subject, 2, &leased, b"two"))
            .await
            .alias_overtaken
    );
    assert!(bench.standin.evict(Evicted::Alias(5)));
    assert!(bench.standin.evict(Evicted::Contact(0)));
}

#[tokio::test]
async fn negative_value_ends_with_the_next_invalidation_of_negatives() {
    let bench = bench().await;
    let subject = Subject::Alias(ALIAS);
    let leased = bench.fetch(subject, 1).await;
    let negative = StoreCommand {
        contact: None,
        parts: PartMap::default(),
        ..store(subject, 1, &leased, b"none")
    };
    assert!(bench.store(negative).await.alias_stored);
    assert_eq!(bench.fetch(subject, 2).await.outcome, FetchOutcome::Served);
    let command = InvalidateCommand {
        contacts: Vec::new(),
        negatives: true,
        ..invalidation(false)
    };
    bench
        .one
        .invalidate(bench.epoch, command)
        .await
        .expect("it is written");
    assert_eq!(grant(&bench.fetch(subject, 2).await).negatives, 1);
}

#[tokio::test]
async fn message_is_applied_once() {
    let bench = bench().await;
    let command = InvalidateCommand {
        message: Some((MessageName([3; 16]), HOUR)),
        ..invalidation(false)
    };
    for is_first in [true, false] {
        let reply = bench.one.invalidate(bench.epoch, command.clone()).await;
        let reply = reply.expect("a reply");
        assert_eq!(matches!(reply, InvalidateReply::Written(_)), is_first);
    }
    assert!(bench.standin.evict(Evicted::Message(0)));
    let reply = bench.one.invalidate(bench.epoch, command).await;
    assert!(matches!(reply, Ok(InvalidateReply::Written(_))));
}

#[tokio::test]
async fn ended_keys_are_dropped_only_at_the_set_interval() {
    let bench = bench().await;
    bench.standin.drop_every(HOUR);
    let command = InvalidateCommand {
        message: Some((MessageName([3; 16]), Duration::from_secs(1))),
        ..invalidation(false)
    };
    let reply = bench.one.invalidate(bench.epoch, command).await;
    assert!(matches!(reply, Ok(InvalidateReply::Written(_))));
    for (step, messages) in [(Duration::from_secs(2), 1), (HOUR, 0)] {
        bench.clock.advance(step);
        let peeked = bench.one.peek(bench.epoch, SUBJECT).await;
        peeked.expect("a reply");
        assert_eq!(bench.standin.counts()[2], messages, "after {step:?}");
    }
}

#[tokio::test]
async fn flush_restart_and_failover_end_the_epoch() {
    for fault in 0..4 {
        let bench = bench().await;
        bench.standin.take_snapshot();
        match fault {
            0 => bench.standin.flush(),
            1 => bench.standin.restart(true),
            2 => bench.standin.restart(false),
            _ => bench.standin.fail_over(),
        }
        let breaks = if fault == 0 {
            BackendError::Epoch
        } else {
            BackendError::Unreachable
        };
        let reply = bench.two.fetch(bench.epoch, fetch(SUBJECT, 1)).await;
        assert_eq!(reply, Err(breaks));
        assert_eq!(bench.epoch_after().await, EpochId(7));
        bench.two.connect().await.expect("it connects");
        let reply = bench.two.fetch(bench.epoch, fetch(SUBJECT, 1)).await;
        assert_eq!(reply, Err(BackendError::Epoch));
        assert!(bench.standin.evict(Evicted::Epoch));
    }
}

#[tokio::test]
async fn last_entry_of_an_epoch_leads_to_the_next() {
    let bench = bench().await;
    let leased = bench.fetch(SUBJECT, 1).await;
    bench.store(store(SUBJECT, 1, &leased, b"one")).await;
    let command = AdvanceCommand {
        next: offer(9),
        replica: REPLICA,
        payload: Bytes::from_static(b"all"),
    };
    bench
        .one
        .advance(bench.epoch, command)
        .await
        .expect("it is written");
    let read = bench
        .two
        .read_stream(bench.epoch, grant(&leased).position, HOUR)
        .await;
    let read = read.expect("entries");
    assert!(matches!(
        read[0].content,
        EntryContent::Advance {
            next: EpochId(9),
            ..
        }
    ));
    assert_eq!(bench.standin.counts(), [1, 0, 0]);
    assert_eq!(bench.one.sweep(bench.epoch).await, Ok(1));
    let (old, new) = (Bytes::from_static(b"secret"), Bytes::from_static(b"new"));
    assert_eq!(
        bench.one.rewrap(EpochId(9), new.clone(), old.clone()).await,
        Ok(false)
    );
    assert_eq!(bench.one.rewrap(EpochId(9), old, new).await, Ok(true));
}

#[tokio::test]
async fn read_of_the_stream_waits_for_an_entry_or_the_clock() {
    let bench = bench().await;
    let last = bench.standin.entries()[0].position;
    let second = Duration::from_secs(1);
    let read = || {
        let (two, epoch) = (bench.two.clone(), bench.epoch);
        tokio::spawn(async move { two.read_stream(epoch, last, second).await })
    };
    let waiting = read();
    tokio::task::yield_now().await;
    bench.clock.advance(second);
    assert_eq!(waiting.await.expect("it ends"), Ok(Vec::new()));
    let waiting = read();
    tokio::task::yield_now().await;
    bench.two.deafen(true);
    bench.invalidate(false).await;
    bench.two.deafen(false);
    let entries = waiting.await.expect("it ends").expect("entries");
    assert_eq!((entries.len(), entries[0].previous), (1, last));
    bench.standin.evict(Evicted::Any(usize::MAX));
    bench.standin.flush();
    let waiting = read();
    tokio::task::yield_now().await;
    bench.two.cut(true);
    assert_eq!(
        waiting.await.expect("it ends"),
        Err(BackendError::Unreachable)
    );
    assert_eq!(bench.two.connect().await, Err(BackendError::Unreachable));
}

#[tokio::test]
async fn each_fault_fails_or_delays_operations_as_documented() {
    let bench = bench().await;
    let start = bench.standin.entries().len();
    let invalidate = || bench.one.invalidate(bench.epoch, invalidation(false));
    bench
        .standin
        .fault_next(Operation::Invalidate, Fault::LostReply);
    assert_eq!(invalidate().await, Err(BackendError::Unreachable));
    assert_eq!(bench.standin.entries().len(), start + 1);
    assert_eq!(invalidate().await, Err(BackendError::Unreachable));
    bench.one.connect().await.expect("it connects");
    for (fault, entries) in [
        (Fault::SlowReply, start + 2),
        (Fault::SlowRequest, start + 2),
    ] {
        bench.one.set_fault(Some(fault.clone()));
        let (one, epoch) = (bench.one.clone(), bench.epoch);
        let slow = tokio::spawn(async move { one.invalidate(epoch, invalidation(false)).await });
        tokio::task::yield_now().await;
        assert_eq!(bench.standin.entries().len(), entries, "{fault:?}");
        if fault == Fault::SlowRequest {
            // The operation still takes effect.
            slow.abort();
        }
        bench.standin.release();
        assert_eq!(slow.await.is_ok(), fault == Fault::SlowReply);
    }
    assert_eq!(bench.standin.entries().len(), start + 3);
    bench
        .one
        .set_fault(Some(Fault::Error(BackendError::Forbidden)));
    assert_eq!(invalidate().await, Err(BackendError::Forbidden));
    bench.one.set_fault(None);
    bench.standin.refuse_writes(Some(BackendError::Full));
    assert_eq!(invalidate().await, Err(BackendError::Full));
    bench.standin.set_fault(Some(Fault::Unreachable));
    assert_eq!(invalidate().await, Err(BackendError::Unreachable));
    bench.standin.clear_faults();
    assert!(!bench.standin.is_disturbed());
    let calls = bench.standin.calls();
    let number = bench.one.number();
    let invalidations = calls
        .iter()
        .filter(|call| **call == (number, Operation::Invalidate));
    assert_eq!(invalidations.count(), 5);
}

#[tokio::test]
async fn beats_count_the_replicas_alive() {
    let bench = bench().await;
    let beat = |replica, leaves| BeatCommand {
        replica: ReplicaId(replica),
        leaves,
        interval: Duration::from_secs(1),
        stream: LIMITS,
    };
    for (replica, leaves, alive) in [(1, false, 1), (2, false, 2), (1, true, 1), (1, false, 2)] {
        let reply = bench.one.beat(bench.epoch, beat(replica, leaves)).await;
        assert_eq!(reply.expect("a reply").alive, alive);
    }
    bench.clock.advance(Duration::from_secs(4));
    let reply = bench
        .one
        .beat(bench.epoch, beat(1, false))
        .await
        .expect("a reply");
    assert_eq!(reply.alive, 1);
    assert!(reply.last > Position::START);
    assert_eq!(
        reply.now,
        ServerTime(bench.standin.entries()[1].position.millis)
    );
    assert_eq!(bench.one.inspect().await.expect("a reply").server, "redis");
}

#[tokio::test]
async fn budget_grows_with_time_and_pauses() {
    let bench = bench().await;
    let budget = BudgetName([4; 16]);
    let beat = BeatCommand {
        replica: REPLICA,
        leaves: false,
        interval: HOUR,
        stream: LIMITS,
    };
    let beaten = bench.one.beat(bench.epoch, beat).await;
    let lent_until = beaten.expect("a reply").now.0 + 5000;
    let mut number = 0;
    let mut lease = |wanted| {
        number += 1;
        let command = TokenCommand {
            budget,
            replica: REPLICA,
            number,
            rate: 10.0,
            burst: 5,
            wanted,
            held: 0,
            returned: 0,
            known_replicas: 1,
            lent_until: ServerTime(lent_until),
        };
        bench.one.lease_tokens(command)
    };
    let granted = |reply: Result<TokenReply, BackendError>| reply.expect("a reply").granted;
    assert_eq!(granted(lease(3).await), 0);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(granted(lease(3).await), 3);
    assert_eq!(granted(lease(3).await), 2);
    bench.one.pause(budget, HOUR).await.expect("a reply");
    bench.clock.advance(Duration::from_secs(1));
    let pause = lease(3).await.expect("a reply").pause;
    assert_eq!(pause, Some(Duration::from_secs(3599)));
}
