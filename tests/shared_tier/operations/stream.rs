//! The stream: the order in which entries are read, and how readers notice missing ones.

use std::time::Duration;

use engage_bff::{
    clock::Clock,
    domain::Part,
    shared_tier::protocol::{
        Backend as _, EntryContent, InvalidateReply, Position, ReplicaId, StreamEntry, StreamLimits,
    },
};

use crate::harness::{ANNA, HOUR, REPLICA, SECOND, Tier, advance, beat, nothing, parts_of, wait};

/// Whether each entry refers to the previous one.
fn is_chained(entries: &[StreamEntry]) -> bool {
    entries
        .windows(2)
        .all(|pair| pair[1].previous == pair[0].position && pair[1].position > pair[0].position)
}

#[tokio::test]
async fn an_epoch_begins_with_a_heartbeat() {
    let mut tier = Tier::start().await;
    let entries = tier.entries(Position::START).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].previous, Position::START);
    assert_eq!(entries[0].content, EntryContent::Heartbeat);
    assert_eq!(tier.reopen().await.last, entries[0].position);
}

#[tokio::test]
async fn entries_are_read_in_order_and_chained() {
    let tier = Tier::start().await;
    let InvalidateReply::Written(position) = tier.invalidate(parts_of(ANNA, &[Part::Points])).await
    else {
        panic!("nothing is remembered");
    };
    for _ in 0..20 {
        tier.invalidate(nothing()).await;
    }
    let entries = tier.entries(Position::START).await;
    assert_eq!(entries.len(), 22);
    assert!(is_chained(&entries));
    assert_eq!(entries[1].position, position);
    let expected = EntryContent::Invalidation {
        replica: REPLICA,
        payload: "payload".into(),
    };
    assert_eq!(entries[1].content, expected);
    assert_eq!(tier.entries(position).await, entries[2..]);
    assert!(tier.entries(entries[21].position).await.is_empty());
}

#[tokio::test]
async fn many_entries_are_read_in_several_steps() {
    let tier = Tier::start().await;
    for _ in 0..1200 {
        tier.invalidate(nothing()).await;
    }
    let mut all = Vec::new();
    let mut after = Position::START;
    loop {
        let entries = tier.entries(after).await;
        let Some(last) = entries.last() else { break };
        after = last.position;
        all.extend(entries);
    }
    assert_eq!(all.len(), 1201);
    assert!(is_chained(&all));
}

#[tokio::test]
async fn a_reader_waits_for_the_next_entry() {
    let tier = Tier::start().await;
    let last = tier.entries(Position::START).await[0].position;
    let read = tier.backend.read_stream(tier.epoch, last, 20 * SECOND);
    let write = async {
        wait(Duration::from_millis(20)).await;
        tier.invalidate(nothing()).await
    };
    let (read, written) = tokio::join!(read, write);
    let entries = read.expect("a working server");
    assert_eq!(InvalidateReply::Written(entries[0].position), written);
}

#[tokio::test]
async fn a_reader_waits_no_longer_than_it_wants() {
    let tier = Tier::start().await;
    let last = tier.entries(Position::START).await[0].position;
    let wanted = Duration::from_millis(100);
    let read = tier.backend.read_stream(tier.epoch, last, wanted);
    let clock = Clock::system();
    let began = clock.tick();
    let read = tokio::time::timeout(20 * SECOND, read).await;
    let entries = read.expect("it ends").expect("a working server");
    assert!(entries.is_empty());
    let passed = clock.tick().since(began);
    // The server's clock may differ by some milliseconds.
    assert!(passed > wanted / 2, "{passed:?}");
}

#[tokio::test]
async fn the_last_entry_leads_to_the_next_epoch() {
    let tier = Tier::start().await;
    let begin = tier.entries(Position::START).await[0].position;
    let command = advance();
    let next = command.next.clone();
    tier.backend
        .advance(tier.epoch, command)
        .await
        .expect("it ends");
    let entries = tier.entries(begin).await;
    let expected = EntryContent::Advance {
        replica: REPLICA,
        payload: "all".into(),
        next: next.id,
        wrapped_secret: next.wrapped_secret,
    };
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].previous, &entries[0].content),
        (begin, &expected)
    );
    let read = tier
        .backend
        .read_stream(next.id, Position::START, Duration::ZERO);
    let first = &read.await.expect("a working server")[0];
    assert_eq!(
        (first.previous, &first.content),
        (Position::START, &EntryContent::Heartbeat)
    );
}

#[tokio::test]
async fn entries_of_another_version_are_unknown() {
    let tier = Tier::start().await;
    let last = tier.entries(Position::START).await[0].position;
    let stream = tier.stream();
    let previous = format!("{}-{}", last.millis, last.number);
    let kinds: [&[&str]; 6] = [
        &["k", "z", "x", "y"],
        &["other", "fields"],
        &["k", "i", "r", "not a number", "v", "payload"],
        &["k", "i", "v", "payload"],
        &["k", "a", "r", "00000000000000aa", "v", "payload"],
        &["k", ""],
    ];
    for fields in kinds {
        let entry = [&["XADD", &stream, "*", "p", &previous], fields].concat();
        tier.server.command(&entry);
    }
    let more = ["XADD", &stream, "*", "k", "h", "new", "field"];
    tier.server.command(&more);
    let entries = tier.entries(last).await;
    assert_eq!(entries.len(), 7);
    for entry in &entries[..6] {
        assert_eq!(
            (entry.previous, &entry.content),
            (last, &EntryContent::Unknown)
        );
    }
    let known = &entries[6];
    assert_eq!(
        (known.previous, &known.content),
        (Position::START, &EntryContent::Heartbeat)
    );
}

#[tokio::test]
async fn heartbeats_of_all_replicas_are_one_entry_each_interval() {
    let tier = Tier::start().await;
    let mut command = beat(ReplicaId(1));
    command.interval = Duration::from_millis(400);
    for replica in 1..=5 {
        let reply = tier.beat(BeatOf(command).of(replica)).await;
        assert_eq!(u64::from(reply.alive), replica);
    }
    wait(Duration::from_millis(420)).await;
    let first = tier.beat(BeatOf(command).of(1)).await;
    assert!(first.now.0.abs_diff(first.last.millis) < 50);
    let entries = tier.entries(Position::START).await;
    assert_eq!(entries.last().expect("an entry").position, first.last);
    assert!(entries.len() > 1);
    // A slow machine may send the first five beats in more than one interval.
    for pair in entries.windows(2) {
        let between = pair[1].position.millis - pair[0].position.millis;
        assert!(between >= 400, "{entries:?}");
    }
}

/// The same command, sent by another replica.
struct BeatOf(engage_bff::shared_tier::protocol::BeatCommand);

impl BeatOf {
    fn of(&self, replica: u64) -> engage_bff::shared_tier::protocol::BeatCommand {
        let mut command = self.0;
        command.replica = ReplicaId(replica);
        command
    }
}

#[tokio::test]
async fn a_replica_that_leaves_or_falls_silent_is_not_counted() {
    let tier = Tier::start().await;
    let mut command = beat(ReplicaId(1));
    command.interval = Duration::from_millis(200);
    tier.beat(command).await;
    let beats = BeatOf(command);
    assert_eq!(tier.beat(beats.of(2)).await.alive, 2);
    let mut leaves = beats.of(2);
    leaves.leaves = true;
    assert_eq!(tier.beat(leaves).await.alive, 1);
    assert_eq!(tier.beat(beats.of(3)).await.alive, 2);
    wait(Duration::from_millis(850)).await;
    assert_eq!(tier.beat(command).await.alive, 1);
}

#[tokio::test]
async fn old_entries_are_dropped_about_after_their_time() {
    let tier = Tier::start().await;
    let mut command = nothing();
    command.stream = StreamLimits {
        keep: Duration::from_millis(300),
    };
    for _ in 0..450 {
        tier.invalidate(command.clone()).await;
    }
    wait(Duration::from_millis(320)).await;
    tier.invalidate(command.clone()).await;
    // The server drops whole nodes of a hundred entries.
    let left = tier.entries(Position::START).await;
    assert!(left.len() <= 110, "{}", left.len());
    assert_ne!(left[0].previous, Position::START);
    assert!(is_chained(&left));
    wait(Duration::from_millis(650)).await;
    assert!(tier.entries(Position::START).await.is_empty());
    command.stream = StreamLimits { keep: HOUR };
    tier.invalidate(command).await;
    let anew = tier.entries(Position::START).await;
    assert_eq!(anew[0].previous, Position::START, "readers find a gap");
}
