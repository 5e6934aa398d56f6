use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::{
    cache::{
        fence::Fences,
        freshness::{FetchSource, Provenance},
        parts::Entry,
        tests::numbered as id,
    },
    domain::{Audience, Audiences},
};

/// Parts whose content is mostly the same for every contact.
fn parts(number: u32) -> Parts {
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
        is_shared: false,
    };
    Parts {
        audiences: Some(Entry {
            data: Arc::new(data),
            provenance,
            incomplete: number.is_multiple_of(2),
        }),
        ..Parts::default()
    }
}

fn compress(codec: &Codec, numbers: std::ops::Range<u32>) -> Vec<(ContactId, Compressed)> {
    numbers
        .map(|number| (id(number), codec.compress(id(number), &parts(number))))
        .collect()
}

fn renew(codec: &Codec, now: Tick, records: &[(ContactId, Compressed)]) {
    let records = records.iter().map(|(id, record)| (*id, record));
    codec.renew(now, records).expect("a dictionary");
}

#[track_caller]
fn assert_reads_back(number: u32, compressed: &Compressed) {
    let read = compressed.parts(id(number)).expect("undamaged");
    let [read, expected] = [read, parts(number)].map(|parts| parts.audiences.expect("audiences"));
    assert_eq!(read.provenance, expected.provenance);
    assert_eq!(read.incomplete, expected.incomplete);
    assert_eq!(read.data, expected.data);
}

fn size(records: &[(ContactId, Compressed)]) -> usize {
    records.iter().map(|(_, record)| record.len()).sum()
}

#[test]
fn dictionary_saves_a_third_and_older_records_are_still_read() {
    let codec = Codec::default();
    let without = compress(&codec, 0..1000);
    renew(&codec, Tick::default(), &without);
    let with = compress(&codec, 0..1000);
    assert!(
        size(&with) * 3 < size(&without) * 2,
        "{} of {}",
        size(&with),
        size(&without)
    );
    let later = Tick::default() + DICTIONARY_LIFETIME;
    renew(&codec, later, &with);
    let newest = compress(&codec, 0..1000);
    for records in [&without, &with, &newest] {
        for number in (0..1000).step_by(97) {
            assert_reads_back(number, &records[number as usize].1);
        }
    }
}

#[test]
fn due_dictionary_is_replaced_or_dropped_if_few_records_are_left() {
    let codec = Codec::default();
    let records = compress(&codec, 0..1000);
    let few = &records[..MIN_SAMPLES - 1];
    let current = || codec.locked().dictionary.clone();
    renew(&codec, Tick::default(), few);
    assert!(current().is_none());
    assert!(codec.is_dictionary_due(Tick::default()));
    renew(&codec, Tick::default(), &records);
    let first = current().expect("a dictionary");
    let end = Tick::default() + DICTIONARY_LIFETIME;
    renew(&codec, end - Duration::from_nanos(1), few);
    assert!(Arc::ptr_eq(&current().expect("the same"), &first));
    renew(&codec, end, &records);
    assert!(!Arc::ptr_eq(&current().expect("another"), &first));
    renew(&codec, end + DICTIONARY_LIFETIME, few);
    assert!(current().is_none());
}

#[test]
fn dictionary_is_forgotten_even_while_it_is_made() {
    let codec = Codec::default();
    let records = compress(&codec, 0..1000);
    renew(&codec, Tick::default(), &records);
    codec.drop_dictionary();
    assert!(codec.locked().dictionary.is_none());
    let forgotten_meanwhile = records.iter().map(|(id, record)| {
        codec.drop_dictionary();
        (*id, record)
    });
    codec
        .renew(Tick::default(), forgotten_meanwhile)
        .expect("a dictionary");
    assert!(codec.locked().dictionary.is_none());
}

#[test]
fn damaged_bytes_and_another_contacts_are_refused() {
    let codec = Codec::default();
    let compressed = codec.compress(id(1), &parts(1));
    assert!(compressed.parts(id(2)).is_none());
    for byte in 0..compressed.len() {
        assert!(
            compressed.damaged(byte).parts(id(1)).is_none(),
            "byte {byte}"
        );
    }
    assert_reads_back(1, &compressed);
}

/// Ten pages of the largest response that may be configured are more than this.
#[test]
fn large_parts_are_read_back() {
    let codec = Codec::default();
    let mut large = parts(1);
    let data = Audiences {
        audiences: vec![Audience {
            id: "1".into(),
            name: Some("a".repeat(20 << 20).into()),
        }],
        warnings: Vec::new(),
    };
    let audiences = large.audiences.as_mut().expect("audiences");
    audiences.data = Arc::new(data);
    let compressed = codec.compress(id(1), &large);
    assert!(compressed.len() < 1 << 20);
    let read = compressed.parts(id(1)).expect("undamaged");
    let expected = large.audiences.expect("audiences");
    assert_eq!(read.audiences.expect("audiences").data, expected.data);
}

#[test]
fn no_parts_take_no_bytes() {
    let codec = Codec::default();
    let compressed = codec.compress(id(1), &Parts::default());
    assert_eq!(compressed.len(), 0);
    assert!(
        compressed
            .parts(id(1))
            .expect("nothing")
            .present()
            .is_empty()
    );
}
