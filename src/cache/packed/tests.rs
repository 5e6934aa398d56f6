//! What is packed is read again as it was, or not at all.

use std::time::Duration;

use jiff::Timestamp;

use super::{packer::MADE_ANEW, *};
use crate::{
    cache::{
        fence::Fences,
        freshness::{FetchSource, Provenance},
        parts::{Entry, Origins},
    },
    domain::{Audience, Audiences},
};

fn id(number: u32) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
}

/// Somebody whose audiences are mostly everybody's.
fn record(number: u32) -> Record<String> {
    let audience = |number: u32| Audience {
        id: format!("{number}").into(),
        name: Some(format!("Those who like what is new in campaign {}", number % 7).into()),
    };
    let data = Audiences {
        audiences: (number..number + 5).map(audience).collect(),
        warnings: Vec::new(),
    };
    let provenance = Provenance {
        sequence: Fences::new(Duration::ZERO, Duration::ZERO, 1).sequence(),
        requested_at: Tick::from_nanos(1_000_000_007),
        as_of: Timestamp::new(1_700_000_000, 123_456_789).expect("a time"),
        lifetime: Duration::from_millis(1234),
        source: FetchSource::Overview,
        differed_at: Some(Tick::from_nanos(900_000_000)),
    };
    let parts = Parts {
        audiences: Some(Entry {
            data: Arc::new(data),
            provenance,
            bytes: 7,
            incomplete: number.is_multiple_of(2),
        }),
        ..Parts::default()
    };
    let answer = format!("{number}, who is of those who like what is new");
    Record::new(id(number), parts.clone()).with_rendered(&parts, Arc::new(answer), |_| false)
}

fn samples_of(numbers: std::ops::Range<u32>, most: usize) -> Samples {
    let mut all = Samples::default();
    let numbers = numbers.take(most);
    all.extend(numbers.map(|number| samples(&record(number)).expect("it can be packed")));
    all
}

/// Packs these, of which a dictionary is made first, if one is due.
fn pack_all(with: &Packer, now: Tick, numbers: std::ops::Range<u32>) -> Vec<Packed> {
    with.renew(now, |most| samples_of(numbers.clone(), most))
        .expect("a dictionary");
    let mut all = Vec::new();
    with.pack_with(|packing| {
        all.extend(numbers.map(|number| {
            packing
                .pack(&record(number), Tick::END)
                .expect("it can be packed")
        }));
    })
    .expect("a compressor");
    all
}

#[track_caller]
fn assert_unpacks(number: u32, packed: &Packed) {
    let unpacked = packed.record::<String>(id(number)).expect("whole");
    let whole = record(number);
    assert!(unpacked.same(&whole) && unpacked.held() == whole.held());
    assert_eq!(unpacked.incomplete(), whole.incomplete());
    assert!(unpacked.rendered().eq(whole.rendered()));
    assert!(unpacked.packed().is_some_and(|again| again.is(packed)));
    let [expected, unpacked] = [&whole, &unpacked].map(|record| record.parts().expect("whole"));
    let [expected, unpacked] =
        [&*expected, &*unpacked].map(|parts| parts.audiences.as_ref().expect("audiences"));
    assert_eq!(unpacked.provenance, expected.provenance);
    assert_eq!(unpacked.bytes, expected.bytes);
    let words = |entry: &Entry<Audiences>| {
        let word = |audience: &Audience| (audience.id.clone(), audience.name.clone());
        entry.data.audiences.iter().map(word).collect::<Vec<_>>()
    };
    assert_eq!(words(unpacked), words(expected));
}

#[test]
fn a_dictionary_is_made_of_many_records_and_what_was_packed_before_is_read_all_the_same() {
    let packer = Packer::new();
    let size = |packed: &[Packed]| packed.iter().map(Packed::bytes).sum::<usize>();
    let few = pack_all(&packer, Tick::default(), 0..400);
    let many = pack_all(&packer, Tick::default(), 0..2000);
    assert!(size(&many[..400]) * 3 < size(&few) * 2);
    let later = pack_all(&packer, Tick::default() + MADE_ANEW, 3000..5000);
    assert!(!Arc::ptr_eq(&many[0].dictionary, &later[0].dictionary));
    for (from, packed) in [(0, &few), (0, &many), (3000, &later)] {
        for (number, packed) in (from..).zip(packed).step_by(97) {
            assert_unpacks(number, packed);
        }
    }
}

#[test]
fn a_dictionary_leaves_after_its_hour_however_few_are_held() {
    let packer = Packer::new();
    let [without, again] = [(); 2].map(|()| pack_all(&packer, Tick::default(), 0..1));
    assert!(Arc::ptr_eq(&without[0].dictionary, &again[0].dictionary));
    pack_all(&packer, Tick::default(), 0..2000);
    let later = Tick::default() + MADE_ANEW;
    for (now, is_gone) in [(later - Duration::from_nanos(1), false), (later, true)] {
        let few = pack_all(&packer, now, 0..1);
        assert_unpacks(0, &few[0]);
        assert_eq!(few[0].frames == without[0].frames, is_gone);
    }
}

#[test]
fn a_dictionary_is_forgotten_with_the_records_even_while_it_is_made() {
    let packer = Packer::new();
    let without = pack_all(&packer, Tick::default(), 0..1);
    pack_all(&packer, Tick::default(), 0..2000);
    packer.forget();
    let again = pack_all(&packer, Tick::default(), 0..1);
    assert_eq!(again[0].frames, without[0].frames);
    let while_forgotten = |most| {
        packer.forget();
        samples_of(0..2000, most)
    };
    packer
        .renew(Tick::default(), while_forgotten)
        .expect("a dictionary");
    let again = pack_all(&packer, Tick::default(), 0..1);
    assert_eq!(again[0].frames, without[0].frames);
    assert_unpacks(0, &again[0]);
}

#[test]
fn what_is_damaged_or_somebody_elses_is_not_unpacked() {
    let packer = Packer::new();
    let whole = pack_all(&packer, Tick::default(), 1..2).remove(0);
    assert!(whole.record::<String>(id(2)).is_none() && whole.parts(id(2)).is_none());
    assert!(whole.brief(id(2)).is_none());
    let first = whole.frames().expect("two frames").0.len();
    for place in 0..whole.frames.len() {
        let mut frames = whole.frames.to_vec();
        frames[place] ^= 1;
        let damaged = Packed {
            frames: frames.into(),
            ..whole.clone()
        };
        let (told, parts) = (damaged.record::<String>(id(1)), damaged.parts(id(1)));
        // Who reads one does not look at the other.
        assert!(told.is_none() || parts.is_none(), "byte {place}");
        assert_eq!(
            told.is_none(),
            place < first || parts.is_some(),
            "byte {place}"
        );
    }
    assert_unpacks(1, &whole);
}
