mod contacts;
mod formats;
mod random;
mod seals;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

use self::{
    contacts::{complete, digester, entry, id},
    random::parts,
};
use super::*;
use crate::{
    cache::{
        fence::Fences,
        parts::{Origins, Parts},
    },
    clock::Now,
    domain::{Audience, Audiences, Digester, Matches, Part, PartSet},
    shared_tier::{
        NegativeReason,
        protocol::{AliasName, ContactName},
        seal::EpochSecret,
    },
};

const NAME: ContactName = ContactName(*b"a contact's name");
const ALIAS: AliasName = AliasName(*b"an alias's name.");
const AT: ServerTime = ServerTime(1_795_435_200_123);
const LIFETIME: Duration = Duration::from_secs(300);

fn sealer() -> Sealer {
    Sealer::new(&EpochSecret::fixed([7; 32])).with_digester(&digester())
}

fn stored(value: &NewValue) -> StoredValue {
    StoredValue {
        age: Duration::from_millis(1500),
        requested_at: AT,
        lifetime: value.lifetime,
        sealed: value.sealed.clone(),
    }
}

fn read_at() -> ReadAt {
    let fences = Fences::new(Duration::ZERO, Duration::ZERO, 1);
    fences.sequence();
    ReadAt {
        start: FetchStart {
            sequence: fences.sequence(),
            now: Now {
                tick: Tick::from_nanos(9_000_000_000_000),
                wall: Timestamp::new(1_795_435_300, 7).expect("a time"),
            },
        },
        longest: Duration::from_secs(3600),
    }
}

fn encode(part: Part, parts: &Parts) -> Option<NewValue> {
    encode_part(&sealer(), NAME, id(1), part, parts, AT, LIFETIME)
}

/// Reads a part under the name, the contact and the key with which it was stored.
fn decode(part: Part, stored: &StoredValue, into: &mut Parts) -> Result<ContactId, Unreadable> {
    decode_part(&sealer(), NAME, Some(id(1)), part, stored, &read_at(), into)
}

#[track_caller]
fn assert_same_data(read: &Parts, expected: &Parts) {
    fn same<T: PartialEq>(
        read: Option<&crate::cache::parts::Entry<T>>,
        expected: Option<&crate::cache::parts::Entry<T>>,
    ) -> bool {
        match (read, expected) {
            (None, None) => true,
            (Some(read), Some(expected)) => read.data == expected.data,
            _ => false,
        }
    }
    assert!(same(read.profile.as_ref(), expected.profile.as_ref()));
    assert!(same(read.audiences.as_ref(), expected.audiences.as_ref()));
    assert!(same(read.promotions.as_ref(), expected.promotions.as_ref()));
    assert!(same(read.vouchers.as_ref(), expected.vouchers.as_ref()));
    assert!(same(read.points.as_ref(), expected.points.as_ref()));
    assert_eq!(read.incomplete(), expected.incomplete());
}

proptest! {
    #[test]
    fn parts_read_back_with_the_provenance_of_shared_data(
        parts in parts(),
        number in any::<u32>(),
        name in any::<[u8; 16]>(),
        at in any::<u64>(),
        [age, lifetime, longest] in [0_u64..8_000_000_000, 0..8_000_000_000, 0..8_000_000_000],
    ) {
        let (name, at) = (ContactName(name), ServerTime(at));
        let [age, lifetime, longest] = [age, lifetime, longest].map(Duration::from_micros);
        let read = ReadAt { longest, ..read_at() };
        let mut found = Parts::default();
        for part in Part::ALL {
            let value = encode_part(&sealer(), name, id(number), part, &parts, at, lifetime);
            prop_assert_eq!(value.is_some(), parts.present().contains(part));
            let Some(NewValue { lifetime, sealed }) = value else { continue };
            let stored = StoredValue { age, requested_at: at, lifetime, sealed };
            for expected in [None, Some(id(number))] {
                let found = decode_part(&sealer(), name, expected, part, &stored, &read, &mut found);
                prop_assert_eq!(found, Ok(id(number)));
            }
        }
        assert_same_data(&found, &parts);
        for part in parts.present().iter() {
            let before = parts.provenance(part).expect("present");
            let after = found.provenance(part).expect("present");
            let requested_at = read.start.now.tick - age;
            let differed_before = before.differed_at.map(|at| before.requested_at.since(at));
            prop_assert_eq!(after.sequence, read.start.sequence);
            prop_assert_eq!(after.requested_at, requested_at);
            prop_assert_eq!(read.start.now.wall.duration_since(after.as_of), SignedDuration::try_from(age).expect("short"));
            prop_assert_eq!(after.lifetime, whole(lifetime).min(longest));
            prop_assert_eq!(after.source, before.source);
            prop_assert_eq!(after.differed_at, differed_before.map(|before| requested_at - before));
            prop_assert!(after.is_shared);
        }
    }

    #[test]
    fn payloads_read_back(epoch in any::<u64>(), payload in any::<Vec<u8>>()) {
        let sealed = seal_payload(&sealer(), EpochId(epoch), &payload);
        prop_assert_eq!(open_payload(&sealer(), EpochId(epoch), &sealed), Ok(payload));
    }
}

fn reasons() -> [NegativeReason; 3] {
    [
        NegativeReason::NotFound,
        NegativeReason::MultipleMatches,
        NegativeReason::Rejected("InvalidEmailAddress".into()),
    ]
}

#[test]
fn aliases_read_back() {
    let read = read_at();
    for source in [FetchSource::Overview, FetchSource::Entity] {
        for confirmed in [false, true] {
            let value = encode_alias(&sealer(), ALIAS, id(1), source, confirmed, AT, LIFETIME);
            let (found, alias) =
                decode_alias(&sealer(), ALIAS, &stored(&value), &read).expect("an alias");
            assert_eq!(found, id(1));
            assert_eq!(alias.confirmed, confirmed);
            let requested_at = read.start.now.tick - Duration::from_millis(1500);
            let expected = Provenance {
                sequence: read.start.sequence,
                requested_at,
                as_of: read.start.now.wall - Duration::from_millis(1500),
                lifetime: LIFETIME,
                source,
                differed_at: (source == FetchSource::Entity).then_some(requested_at),
                is_shared: true,
            };
            assert_eq!(alias.provenance, expected);
        }
    }
}

#[test]
fn negatives_read_back() {
    let read = read_at();
    for source in [FetchSource::Overview, FetchSource::Entity] {
        for why in reasons() {
            let value = encode_negative(&sealer(), ALIAS, source, &why, AT, LIFETIME);
            let value = stored(&value.expect("short"));
            let negative = decode_negative(&sealer(), ALIAS, &value, &read).expect("a negative");
            assert_eq!(negative.source, source);
            assert_eq!(negative.why, why);
            let requested_at = read.start.now.tick - Duration::from_millis(1500);
            assert_eq!(negative.requested_at, requested_at);
        }
    }
}

/// The reasons that an earlier version of the service knows.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum EarlierReason {
    NotFound,
    MultipleMatches,
    Rejected(Box<str>),
}

#[test]
fn listed_matches_read_back_and_are_a_miss_to_earlier_versions() {
    let matches = Matches::of([Some(id(1)), Some(id(2))]);
    let why = NegativeReason::TheseMatch(matches);
    let source = FetchSource::Entity;
    let value = encode_negative(&sealer(), ALIAS, source, &why, AT, LIFETIME).expect("short");
    let negative = decode_negative(&sealer(), ALIAS, &stored(&value), &read_at());
    assert_eq!(negative.expect("a negative").why, why);

    let bytes = postcard::to_allocvec(&why).expect("a reason can be written");
    // The form of this variant stays as it is, or the format is raised.
    let (form, ids) = ([&bytes[..2], &bytes[34..]].concat(), &bytes[2..34]);
    assert_eq!(form, [3, 2, 1]);
    let ids = [ids[..16].to_vec(), ids[16..].to_vec()];
    assert_eq!(
        ids,
        [id(1), id(2)].map(|id| id.as_uuid().as_bytes().to_vec())
    );
    assert!(postcard::from_bytes::<EarlierReason>(&bytes).is_err());
    // Conversely, this version reads the reasons that an earlier one stored.
    let earlier = [
        (EarlierReason::NotFound, NegativeReason::NotFound),
        (
            EarlierReason::MultipleMatches,
            NegativeReason::MultipleMatches,
        ),
        (
            EarlierReason::Rejected("X".into()),
            NegativeReason::Rejected("X".into()),
        ),
    ];
    for (earlier, now) in earlier {
        let bytes = postcard::to_allocvec(&earlier).expect("a reason can be written");
        assert_eq!(postcard::from_bytes::<NegativeReason>(&bytes), Ok(now));
    }
}

#[test]
fn lifetimes_are_whole_milliseconds() {
    let lifetime = Duration::from_micros(1999);
    let value = encode_part(
        &sealer(),
        NAME,
        id(1),
        Part::Points,
        &complete(),
        AT,
        lifetime,
    );
    let value = value.expect("points");
    assert_eq!(value.lifetime, Duration::from_millis(1));
    let mut found = Parts::default();
    assert_eq!(decode(Part::Points, &stored(&value), &mut found), Ok(id(1)));
}

#[test]
fn greatest_age_is_read_without_an_error() {
    let value = encode(Part::Points, &complete()).expect("points");
    let value = StoredValue {
        age: Duration::MAX,
        ..stored(&value)
    };
    let mut found = Parts::default();
    assert_eq!(decode(Part::Points, &value, &mut found), Ok(id(1)));
    let provenance = found.provenance(Part::Points).expect("points");
    assert_eq!(provenance.requested_at, Tick::default());
    assert_eq!(provenance.as_of, Timestamp::MIN);
}

#[test]
fn parts_that_are_too_large_are_not_stored() {
    let with_name = |length: usize| {
        let audience = Audience {
            id: "1".into(),
            name: Some("x".repeat(length).into()),
        };
        let data = Audiences {
            audiences: vec![audience],
            warnings: Vec::new(),
        };
        Parts {
            audiences: Some(entry(data, FetchSource::Overview, None)),
            ..Parts::default()
        }
    };
    let fits = with_name((4 << 20) - 100);
    let value = stored(&encode(Part::Audiences, &fits).expect("small enough"));
    let mut found = Parts::default();
    assert_eq!(decode(Part::Audiences, &value, &mut found), Ok(id(1)));
    assert!(encode(Part::Audiences, &with_name(4 << 20)).is_none());
}

#[test]
fn profiles_are_read_under_the_same_digest_key_only() {
    let complete_parts = complete();
    let value = stored(&encode(Part::Profile, &complete_parts).expect("a profile"));
    let secret = EpochSecret::fixed([7; 32]);
    let others = [
        Sealer::new(&secret),
        Sealer::new(&secret).with_digester(&Digester::with_key(b"another key")),
    ];
    let mut without_national_id = complete();
    let mut entry = without_national_id.profile.take().expect("a profile");
    let profile = std::sync::Arc::get_mut(&mut entry.data).expect("not shared");
    profile.identity.aliases.national_id = crate::domain::FieldValue::Absent;
    without_national_id.profile = Some(entry);
    for other in others {
        let mut found = Parts::default();
        let name = Part::Profile;
        let read = decode_part(&other, NAME, None, name, &value, &read_at(), &mut found);
        assert_eq!(read, Err(Unreadable::Content));
        assert!(found.present().is_empty());
        let stores = |parts| encode_part(&other, NAME, id(1), name, parts, AT, LIFETIME);
        let is_stored = stores(&complete_parts).is_some();
        assert_eq!(is_stored, other.digests().is_some());
        let value = stored(&stores(&without_national_id).expect("no digest in it"));
        assert_eq!(decode(Part::Profile, &value, &mut found), Ok(id(1)));
        assert_eq!(found.present(), PartSet::from(Part::Profile));
    }
}
