//! What leaves of itself, what is packed, and what becomes of it when it is asked for again.

use futures_util::FutureExt;

use super::{
    super::upkeep::{DEAD_FOR, LEAST_PACKED},
    *,
};

#[test]
fn what_has_been_too_old_for_some_minutes_is_freed_and_nothing_else() {
    let (pantry, clock) = pantry();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    store_profile(&pantry, contact('1'));
    learn(&pantry, &alva, contact('1'));
    clock.advance(DEAD_FOR + MINUTE);
    store_profile(&pantry, contact('2'));
    learn(&pantry, &dora, contact('2'));
    let held = || {
        pantry.maintain();
        pantry.maintain();
        let counts = pantry.counts();
        (counts.records, counts.aliases)
    };
    assert_eq!(held(), (2, 2));
    clock.advance(MINUTE);
    assert_eq!(held(), (1, 1));
    assert!(pantry.record(contact('2')).is_some());
    assert!(pantry.alias(dora.key()).is_some());
}

#[test]
fn who_is_not_asked_for_is_packed_and_who_is_asked_for_twice_is_ready() {
    let (pantry, _) = pantry();
    for id in [contact('1'), contact('2')] {
        store_profile(&pantry, id);
        let record = pantry.record(id).expect("a record");
        keep(&pantry, &record, 1000);
    }
    let bytes = || pantry.counts().record_bytes;
    let both = bytes();
    pantry.maintain();
    assert_eq!(bytes(), both);
    assert_eq!(rendered(&pantry, contact('1')), [1000]);
    pantry.maintain();
    let one = bytes();
    assert!(one < both / 2 + 300, "{one} of {both}");
    assert_eq!(rendered(&pantry, contact('1')), [1000]);
    // An operator's look is not somebody who asks.
    assert_eq!(pantry.explain(contact('2')).rendered, 1);
    assert_eq!(bytes(), one);
    // Asked for once, it is told and stays as it is; twice, it has its answer again, while its parts stay packed.
    assert_eq!(rendered(&pantry, contact('2')), [1000]);
    assert_eq!(bytes(), one);
    assert_eq!(rendered(&pantry, contact('2')), [1000]);
    let again = bytes();
    assert!((one + 1000..both).contains(&again), "{again}");
    pantry.maintain();
    assert_eq!(bytes(), again);
    pantry.maintain();
    assert!(bytes() < one);
    assert_eq!(pantry.counts().records, 2);
}

#[test]
fn what_is_not_fresh_any_more_is_ready_at_once_for_it_is_looked_at_again() {
    let (pantry, clock) = pantry();
    let id = contact('1');
    store_profile(&pantry, id);
    keep(&pantry, &pantry.record(id).expect("a record"), 1000);
    pantry.maintain();
    pantry.maintain();
    let packed = pantry.counts().record_bytes;
    clock.advance(MINUTE);
    assert_eq!(rendered(&pantry, id), [1000]);
    assert!(pantry.counts().record_bytes >= packed + 1000);
}

#[test]
fn parts_that_were_unpacked_for_one_are_ready_for_the_next() {
    let (pantry, _) = pantry();
    let id = contact('1');
    let packed = || {
        pantry.maintain();
        pantry.maintain();
        pantry.record(id).expect("a record")
    };
    // A second look, so that what is packed is made ready but for its parts.
    let are_ready = || {
        let record = pantry.record(id).expect("a record");
        matches!(record.parts(), Some(Cow::Borrowed(_)))
    };
    store_profile(&pantry, id);
    keep(&pantry, &pantry.record(id).expect("a record"), 1);
    // Whether the answer is kept or not.
    let first = packed();
    assert!(!are_ready());
    pantry.parts_of(&first).expect("parts");
    assert!(are_ready());
    assert_eq!(rendered(&pantry, id), [1]);
    // And whatever was packed in between.
    packed();
    assert!(!are_ready());
    keep(&pantry, &first, 2);
    assert!(are_ready());
    assert_eq!(rendered(&pantry, id), [1, 2]);
}

#[test]
fn what_is_damaged_is_held_no_longer_by_whoever_finds_it_so() {
    for (frame, looks) in [(0, 1), (1, 1), (1, 2)] {
        let (pantry, _) = pantry();
        let id = contact('1');
        store_profile(&pantry, id);
        pantry.maintain();
        pantry.maintain();
        pantry.records.update(id, |held| match held {
            Some(Held::Packed(packed)) => Op::Put(Held::Packed(packed.damaged(frame))),
            _ => panic!("it is packed"),
        });
        let record = (0..looks).filter_map(|_| pantry.record(id)).last();
        assert_eq!(record.is_none(), frame == 0);
        if let Some(record) = record {
            // It is packed, or ready but for its parts.
            assert!(pantry.parts_of(&record).is_none());
        }
        assert_eq!(pantry.counts().records, 0);
    }
}

#[test]
fn what_is_packed_is_freed_when_it_is_too_old_for_anything() {
    let (pantry, clock) = pantry();
    store_profile(&pantry, contact('1'));
    let round = || {
        pantry.maintain();
        pantry.maintain();
        pantry.counts().records
    };
    assert_eq!(round(), 1);
    clock.advance(MINUTE + DEAD_FOR);
    assert_eq!(round(), 1);
    clock.advance(MINUTE);
    assert_eq!(round(), 0);
}

#[test]
fn what_a_fence_around_everything_forbids_is_not_unpacked_into_an_answer() {
    let (pantry, _) = pantry();
    store_profile(&pantry, contact('1'));
    pantry.maintain();
    pantry.maintain();
    pantry.fences.raise_everything();
    assert!(pantry.record(contact('1')).is_none());
}

#[test]
fn whoever_packs_is_told_when_much_has_come_since_it_last_did() {
    let (pantry, _) = pantry();
    let mut ids = (0_u32..).map(|number| {
        ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
    });
    let mut fill = || {
        let mut came = 0;
        while pantry.filled().now_or_never().is_none() {
            store_profile(&pantry, ids.next().expect("endless"));
            came += 1;
        }
        came
    };
    // Not before half of the room is taken.
    fill();
    let bytes = pantry.counts().record_bytes;
    assert!(
        (1 << 19..(1 << 19) + LEAST_PACKED).contains(&bytes),
        "{bytes}"
    );
    // Then each time that so much has come, however little room it takes by then.
    let slot = Store::<ContactId, Held<Rendered>>::SLOT_BYTES as u64;
    let record = bytes / pantry.counts().records - slot;
    let mut enough_came = || {
        let came = fill();
        assert!(
            came * record > LEAST_PACKED && (came - 2) * record < LEAST_PACKED,
            "{came}"
        );
    };
    enough_came();
    enough_came();
    assert!(pantry.counts().record_bytes <= 1 << 20);
}
