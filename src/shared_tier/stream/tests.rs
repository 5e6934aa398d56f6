use super::*;
use crate::shared_tier::{epoch::Keys, protocol::StreamLimits, value::seal_payload};

const OWN: ReplicaId = ReplicaId(1);
const OTHER: ReplicaId = ReplicaId(2);

fn epoch() -> (Arc<Epoch>, Bytes) {
    let limits = StreamLimits {
        keep: std::time::Duration::from_secs(60),
    };
    let (offer, epoch) = Keys::of(&[1]).offer(limits).expect("a key");
    (epoch, offer.wrapped_secret)
}

fn position(millis: u64) -> Position {
    Position { millis, number: 0 }
}

fn entry(at: u64, previous: u64, content: EntryContent) -> StreamEntry {
    StreamEntry {
        position: position(at),
        previous: position(previous),
        content,
    }
}

fn invalidation(epoch: &Epoch, replica: ReplicaId) -> EntryContent {
    EntryContent::Invalidation {
        replica,
        payload: seal_payload(&epoch.sealer, epoch.id, b"payload"),
    }
}

fn advance(epoch: &Epoch, replica: ReplicaId, next: &Epoch, secret: &Bytes) -> EntryContent {
    EntryContent::Advance {
        replica,
        payload: seal_payload(&epoch.sealer, epoch.id, b"payload"),
        next: next.id,
        wrapped_secret: secret.clone(),
    }
}

fn read(reader: &Reader, entry: StreamEntry) -> Reading {
    reader.read(entry, OWN, |id, wrapped| {
        Some(Keys::of(&[1]).unwrap(id, wrapped)?.epoch)
    })
}

/// A reader after an entry at 1.
fn reader(epoch: &Arc<Epoch>) -> Reader {
    match read(
        &Reader::replay(epoch, Position::START),
        entry(1, 0, EntryContent::Heartbeat),
    )
    .next
    {
        Next::Here(reader) => reader,
        other => panic!("elsewhere: {other:?}"),
    }
}

#[track_caller]
fn assert_here(next: &Next, at: u64) {
    match next {
        Next::Here(reader) => assert_eq!(reader.position, position(at)),
        other => panic!("elsewhere: {other:?}"),
    }
}

#[test]
fn entry_that_follows_is_applied() {
    let (epoch, _) = epoch();
    let reading = read(&reader(&epoch), entry(2, 1, invalidation(&epoch, OTHER)));
    assert_eq!(reading.gap, None);
    assert_eq!(reading.apply.as_deref(), Some(&b"payload"[..]));
    assert_here(&reading.next, 2);
}

#[test]
fn entries_until_memory_was_dropped_are_past() {
    let (epoch, _) = epoch();
    let mut reader = Reader::replay(&epoch, position(2));
    for (at, is_past) in [(1, true), (2, true), (3, false)] {
        let reading = read(&reader, entry(at, at - 1, invalidation(&epoch, OTHER)));
        assert_eq!((reading.gap, reading.is_past), (None, is_past), "{at}");
        let Next::Here(next) = reading.next else {
            panic!("elsewhere: {:?}", reading.next);
        };
        reader = next;
    }
}

#[test]
fn own_entry_is_skipped() {
    let (epoch, _) = epoch();
    let reading = read(&reader(&epoch), entry(2, 1, invalidation(&epoch, OWN)));
    assert_eq!((reading.gap, reading.apply), (None, None));
    assert_here(&reading.next, 2);
}

#[test]
fn broken_chain_is_a_gap_and_the_entry_still_counts() {
    let (epoch, _) = epoch();
    for content in [EntryContent::Heartbeat, invalidation(&epoch, OWN)] {
        let reading = read(&reader(&epoch), entry(5, 4, content));
        assert_eq!(reading.gap, Some(GapReason::Chain));
        assert_here(&reading.next, 5);
    }
    let reading = read(&reader(&epoch), entry(5, 4, invalidation(&epoch, OTHER)));
    assert_eq!(reading.gap, Some(GapReason::Chain));
    assert!(reading.apply.is_some());
}

#[test]
fn first_entry_of_a_replay_need_not_be_the_first() {
    let (epoch, _) = epoch();
    let replay = Reader::replay(&epoch, Position::START);
    let reading = read(&replay, entry(9, 8, invalidation(&epoch, OTHER)));
    assert_eq!(reading.gap, None);
    let Next::Here(reader) = reading.next else {
        panic!("elsewhere");
    };
    let reading = read(&reader, entry(11, 10, EntryContent::Heartbeat));
    assert_eq!(reading.gap, Some(GapReason::Chain));
}

#[test]
fn unknown_entry_is_a_gap() {
    let (epoch, _) = epoch();
    let reading = read(&reader(&epoch), entry(2, 1, EntryContent::Unknown));
    assert_eq!(reading.gap, Some(GapReason::Unknown));
    assert_here(&reading.next, 2);
}

#[test]
fn payload_that_does_not_open_is_a_gap() {
    let (epoch, _) = epoch();
    let (other, _) = self::epoch();
    let cut = EntryContent::Invalidation {
        replica: OTHER,
        payload: Bytes::new(),
    };
    for content in [cut, invalidation(&other, OTHER)] {
        let reading = read(&reader(&epoch), entry(2, 1, content));
        assert_eq!(reading.gap, Some(GapReason::Unreadable));
        assert_eq!(reading.apply, None);
        assert_here(&reading.next, 2);
    }
}

#[test]
fn advance_leads_to_the_first_entry_of_the_next_epoch() {
    let (epoch, _) = epoch();
    let (next, secret) = self::epoch();
    for (replica, is_applied) in [(OTHER, true), (OWN, false)] {
        let content = advance(&epoch, replica, &next, &secret);
        let reading = read(&reader(&epoch), entry(2, 1, content));
        assert_eq!(reading.gap, None);
        assert_eq!(reading.apply.is_some(), is_applied);
        let Next::Epoch(reader) = reading.next else {
            panic!("in the old epoch");
        };
        assert_eq!(
            (reader.epoch.id, reader.position),
            (next.id, Position::START)
        );
        let first = read(&reader, entry(3, 0, EntryContent::Heartbeat));
        assert_eq!(first.gap, None);
        // Its first entry was trimmed: more may be missing.
        let later = read(&reader, entry(4, 3, EntryContent::Heartbeat));
        assert_eq!(later.gap, Some(GapReason::Chain));
    }
}

#[test]
fn advance_under_an_unknown_key_leads_nowhere() {
    let (epoch, _) = epoch();
    let (next, secret) = self::epoch();
    let content = advance(&epoch, OTHER, &next, &secret);
    let reading = reader(&epoch).read(entry(2, 1, content), OWN, |_, _| None);
    assert!(reading.apply.is_some());
    assert!(matches!(reading.next, Next::Unknown));
}
