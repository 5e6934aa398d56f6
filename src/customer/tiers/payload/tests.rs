//! The serial form of what replicas announce: bytes of earlier versions stay readable, and unknown contents are an
//! error rather than ignored.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::{IdentifierKind, IdentifierRules, Part};

const ALVA: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";

fn alva() -> ContactId {
    ContactId::parse(ALVA).expect("an id")
}

fn digester() -> Digester {
    Digester::with_key(b"this replica's key")
}

fn lookup(kind: IdentifierKind, text: &str, contact_type: Option<&str>) -> Lookup {
    let rules = IdentifierRules {
        phone_region: "SE".parse().expect("a country"),
        check_digits: false,
        national_id_country: None,
    };
    let identifier = Identifier::parse(kind, text, &rules, date(2026, 11, 23));
    let contact_type = contact_type.map(|text| ContactType::parse(text).expect("a type"));
    Lookup::new(identifier.expect(text), contact_type, &digester())
}

/// Every kind of invalidation, and every kind of identifier: as its own kind and, except for the contact id, as `any`.
fn all_invalidations() -> Vec<Invalidation> {
    use IdentifierKind::{Any, ContactId, CustomKey, Email, MobilePhone, SocialSecurityNumber};
    let lookups = [
        lookup(ContactId, ALVA, None),
        lookup(ContactId, ALVA, Some("Member")),
        lookup(Email, "alva.testsson@example.com", Some("Member")),
        lookup(Any, "alva.testsson@example.com", Some("member")),
        lookup(MobilePhone, "0701740605", None),
        lookup(Any, "0701740605", None),
        lookup(SocialSecurityNumber, "19850709-9805", Some("Contact")),
        lookup(Any, "19850709-9805", None),
        lookup(SocialSecurityNumber, "131052-308T", None),
        lookup(CustomKey, " SHOP-å ", Some("B2B.se")),
        lookup(Any, "SHOP-55501", None),
    ];
    let changed = PartSet::of(&[Part::Vouchers, Part::Points]);
    let alias = |lookup: &Lookup| Invalidation::Alias(lookup.clone(), changed);
    let aliases: Vec<_> = lookups[1..3].iter().map(alias).collect();
    let identifiers = lookups.into_iter().map(Invalidation::Identifier);
    [
        Invalidation::Parts(alva(), PartSet::of(&[Part::Profile, Part::Points])),
        Invalidation::Contact(alva()),
        Invalidation::Negatives,
        Invalidation::AnyContact,
        Invalidation::Everything,
    ]
    .into_iter()
    .chain(identifiers)
    .chain(aliases)
    .collect()
}

/// What an invalidation covers, in full, with the key by which this replica would look it up.
fn described(invalidation: &Invalidation) -> String {
    match invalidation {
        Invalidation::Parts(id, parts) => format!("{id} {parts:?}"),
        Invalidation::Contact(id) => format!("{id}"),
        Invalidation::Identifier(lookup) => described_lookup(lookup),
        Invalidation::Alias(lookup, parts) => format!("{} {parts:?}", described_lookup(lookup)),
        other => format!("{other:?}"),
    }
}

fn described_lookup(lookup: &Lookup) -> String {
    format!(
        "{:?} {} {:?} {}",
        lookup.identifier.kind(),
        lookup.identifier.expose(),
        lookup.contact_type.as_ref().map(ContactType::as_str),
        lookup.key().subject(),
    )
}

/// Replicas of two versions read each other's bytes: these bytes may be added to, never changed.
#[test]
fn bytes_stay_as_they_are() {
    let id = *alva().as_uuid().as_bytes();
    let email = b"alva.testsson@example.com";
    let pieces: [&[&[u8]]; 18] = [
        &[&[0], &id, &[0b10001]],
        &[&[1], &id],
        &[&[3]],
        &[&[4]],
        &[&[5]],
        &[&[2, 0], &id, &[0, 0]],
        &[&[2, 0], &id, &[0, 1, 6], b"Member"],
        &[&[2, 1, 25], email, &[0, 1, 6], b"Member"],
        &[&[2, 1, 25], email, &[1, 1, 6], b"member"],
        &[&[2, 2, 12], b"+46701740605", &[0, 0]],
        &[&[2, 2, 12], b"+46701740605", &[1, 0]],
        &[&[2, 3, 12], b"198507099805", &[0, 1, 7], b"Contact"],
        &[&[2, 3, 12], b"198507099805", &[1, 0]],
        &[&[2, 3, 11], b"131052-308T", &[0, 0]],
        &[&[2, 4, 9], " SHOP-å ".as_bytes(), &[0, 1, 6], b"B2B.se"],
        &[&[2, 4, 10], b"SHOP-55501", &[1, 0]],
        &[&[6, 0], &id, &[0, 1, 6], b"Member", &[0b11000]],
        &[&[6, 1, 25], email, &[0, 1, 6], b"Member", &[0b11000]],
    ];
    let announced = all_invalidations();
    assert_eq!(announced.len(), pieces.len());
    for (invalidation, pieces) in announced.iter().zip(pieces) {
        let bytes = Payload::write(std::slice::from_ref(invalidation), None);
        assert_eq!(bytes, [&[1, 1], &pieces.concat()[..], &[0]].concat());
    }
    let all = pieces.concat().concat();
    let bytes = Payload::write(&announced, Some(Delivery::Received));
    assert_eq!(bytes, [&[1, 18], &all[..], &[1, 0]].concat());
    let bytes = Payload::write(&[], Some(Delivery::Missed("sealed")));
    assert_eq!(bytes, [&[1, 0, 1, 1, 6], &b"sealed"[..]].concat());
}

#[test]
fn unknown_version_kind_or_part_is_unreadable() {
    let id = [7; 16];
    let good = [&[1, 1, 0], &id[..], &[0b10001, 0]].concat();
    assert!(Payload::read(&good, &digester()).is_ok());
    for bad in [
        vec![],
        vec![1],
        // Another version.
        [&[2], &good[1..]].concat(),
        [&[0], &good[1..]].concat(),
        // An eighth kind of invalidation.
        vec![1, 1, 7, 0],
        // A sixth part.
        [&[1, 1, 0], &id[..], &[0b10_0000, 0]].concat(),
        [&[1, 1, 6, 0], &id[..], &[0, 0, 0b10_0000, 0]].concat(),
        // A third kind of delivery.
        vec![1, 0, 1, 2],
        // A sixth kind of identifier.
        [&[1, 1, 2, 5], &id[..], &[0, 0, 0]].concat(),
        // A contact id as `any`.
        [&[1, 1, 2, 0], &id[..], &[1, 0, 0]].concat(),
        // A contact type with a blank.
        [&[1, 1, 2, 0], &id[..], &[0, 1, 1, b' ', 0]].concat(),
        // An invalid national id, and one that is not canonical.
        vec![1, 1, 2, 3, 1, b'1', 0, 0, 0],
        [&[1, 1, 2, 3, 10], &b"8507099805"[..], &[0, 0, 0]].concat(),
        // An invalid custom key.
        vec![1, 1, 2, 4, 1, b' ', 0, 0, 0],
        // A byte after the end.
        [&good[..], &[0]].concat(),
    ] {
        let read = Payload::read(&bad, &digester()).map(|payload| payload.invalidations.len());
        assert_eq!(read, Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn missed_delivery_of_an_unknown_reason_is_still_missed() {
    let bytes = [&[1, 0, 1, 1, 5], &b"novel"[..]].concat();
    let read = Payload::read(&bytes, &digester()).expect("it is readable");
    assert_eq!(read.delivery, Some(Delivery::Missed(OTHER_REASON)));
}

#[test]
fn only_what_visits_everything_is_heavy() {
    let heavy = |invalidation| {
        let payload = Payload {
            invalidations: vec![Invalidation::Negatives, invalidation],
            delivery: None,
        };
        payload.is_heavy()
    };
    let is_heavy: Vec<_> = all_invalidations().into_iter().map(heavy).collect();
    assert_eq!(is_heavy[..3], [false, false, false]);
    let (wide, aliases) = is_heavy[3..].split_at(is_heavy.len() - 5);
    assert!(wide.iter().all(|is_heavy| *is_heavy));
    assert_eq!(*aliases, [false, false]);
}

proptest! {
    #[test]
    fn every_prefix_and_any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = Payload::write(&all_invalidations(), Some(Delivery::Missed("sealed")));
        let cut = cut.index(whole.len());
        prop_assert!(Payload::read(&whole[..cut], &digester()).is_err());
        for bytes in [bytes.clone(), [&[VERSION], &bytes[..]].concat()] {
            if let Ok(read) = Payload::read(&bytes, &digester()) {
                // A payload that is accepted is understood completely.
                let again = Payload::write(&read.invalidations, read.delivery);
                let twice = Payload::read(&again, &digester()).expect("it is readable");
                let both = [read, twice].map(|read| {
                    read.invalidations.iter().map(described).collect::<Vec<_>>()
                });
                prop_assert_eq!(&both[0], &both[1]);
            }
        }
    }

    #[test]
    fn identifiers_of_any_text_survive(
        kind in proptest::sample::select(IdentifierKind::ALL.to_vec()),
        text in "[0-9A-Za-zåäö@.+ -]{1,24}|\\+46[0-9]{7,10}|[a-z]{1,5}@[a-z]{1,5}\\.[a-z]{2}|(19|20)[0-9]{6}-[0-9]{4}|[0-9]{6}[-+A][0-9]{3}[0-9A-Y]",
    ) {
        let rules = IdentifierRules {
            phone_region: "SE".parse().expect("a country"),
            check_digits: false,
            national_id_country: None,
        };
        let Ok(identifier) = Identifier::parse(kind, &text, &rules, date(2026, 11, 23)) else {
            return Ok(());
        };
        let sent = Invalidation::Identifier(Lookup::new(identifier, None, &digester()));
        let bytes = Payload::write(std::slice::from_ref(&sent), None);
        let read = Payload::read(&bytes, &digester()).expect("it is readable");
        prop_assert_eq!(described(&read.invalidations[0]), described(&sent));
    }
}
