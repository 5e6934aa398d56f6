//! Values that were changed or moved, or that another version stored, are not read.

use super::*;
use crate::domain::PartMap;

/// A function that reads a value of one kind, which was stored under a name.
type Decode = fn(&Sealer, &StoredValue, [u8; 16]) -> Result<(), Unreadable>;

fn decode_as(
    sealer: &Sealer,
    part: Part,
    value: &StoredValue,
    name: [u8; 16],
) -> Result<(), Unreadable> {
    let mut parts = Parts::default();
    let name = ContactName(name);
    let read = decode_part(
        sealer,
        name,
        Some(id(1)),
        part,
        value,
        &read_at(),
        &mut parts,
    );
    assert_eq!(parts.present().is_empty(), read.is_err());
    read.map(drop)
}

/// A value of each kind, the name under which it was stored, and the function that reads it.
fn values() -> Vec<(&'static str, StoredValue, [u8; 16], Decode)> {
    let readers: PartMap<Decode> = PartMap::from_fn(|part| -> Decode {
        match part {
            Part::Profile => |sealer, value, name| decode_as(sealer, Part::Profile, value, name),
            Part::Audiences => {
                |sealer, value, name| decode_as(sealer, Part::Audiences, value, name)
            }
            Part::Promotions => {
                |sealer, value, name| decode_as(sealer, Part::Promotions, value, name)
            }
            Part::Vouchers => |sealer, value, name| decode_as(sealer, Part::Vouchers, value, name),
            Part::Points => |sealer, value, name| decode_as(sealer, Part::Points, value, name),
        }
    });
    let mut values: Vec<(_, _, _, Decode)> = Part::ALL
        .into_iter()
        .map(|part| {
            let value = stored(&encode(part, &complete()).expect("complete"));
            (part.as_str(), value, NAME.0, readers[part])
        })
        .collect();
    let alias = encode_alias(
        &sealer(),
        ALIAS,
        id(1),
        FetchSource::Entity,
        true,
        AT,
        LIFETIME,
    );
    values.push(("alias", stored(&alias), ALIAS.0, |sealer, value, name| {
        decode_alias(sealer, AliasName(name), value, &read_at()).map(drop)
    }));
    let why = &NegativeReason::Rejected("InvalidEmailAddress".into());
    let negative = encode_negative(&sealer(), ALIAS, FetchSource::Entity, why, AT, LIFETIME);
    let negative = stored(&negative.expect("short"));
    values.push(("negative", negative, ALIAS.0, |sealer, value, name| {
        decode_negative(sealer, AliasName(name), value, &read_at()).map(drop)
    }));
    values
}

#[test]
fn each_flipped_bit_is_noticed() {
    for (kind, value, name, decode) in values() {
        assert_eq!(decode(&sealer(), &value, name), Ok(()), "{kind}");
        for bit in 0..8 * value.sealed.len() {
            let mut bytes = value.sealed.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = StoredValue {
                sealed: bytes.into(),
                ..value.clone()
            };
            let expected = if bit < 8 {
                Unreadable::Format
            } else {
                Unreadable::Seal
            };
            assert_eq!(
                decode(&sealer(), &changed, name),
                Err(expected),
                "{kind} {bit}"
            );
        }
    }
}

#[test]
fn cut_and_extended_values_are_noticed() {
    for (kind, value, name, decode) in values() {
        for length in 0..value.sealed.len() {
            let cut = StoredValue {
                sealed: value.sealed.slice(..length),
                ..value.clone()
            };
            let expected = if length == 0 {
                Unreadable::Format
            } else {
                Unreadable::Seal
            };
            assert_eq!(
                decode(&sealer(), &cut, name),
                Err(expected),
                "{kind} {length}"
            );
        }
        let extended = StoredValue {
            sealed: [&value.sealed[..], b"\0"].concat().into(),
            ..value.clone()
        };
        assert_eq!(
            decode(&sealer(), &extended, name),
            Err(Unreadable::Seal),
            "{kind}"
        );
    }
}

#[test]
fn values_are_read_nowhere_else() {
    for (kind, value, name, decode) in values() {
        let mut other_name = name;
        other_name[15] ^= 1;
        assert_eq!(
            decode(&sealer(), &value, other_name),
            Err(Unreadable::Seal),
            "{kind}"
        );
        for (other_kind, _, _, decode) in values() {
            let read = decode(&sealer(), &value, name);
            let is_same = kind == other_kind;
            assert_eq!(
                read,
                if is_same {
                    Ok(())
                } else {
                    Err(Unreadable::Seal)
                },
                "{kind} as {other_kind}"
            );
        }
        let other_epoch = Sealer::new(&EpochSecret::fixed([8; 32])).with_digester(&digester());
        assert_eq!(
            decode(&other_epoch, &value, name),
            Err(Unreadable::Seal),
            "{kind}"
        );
    }
}

#[test]
fn values_are_read_with_their_own_times_only() {
    let millisecond = Duration::from_millis(1);
    for (kind, value, name, decode) in values() {
        let changed = [
            StoredValue {
                requested_at: ServerTime(AT.0 + 1),
                ..value.clone()
            },
            StoredValue {
                requested_at: ServerTime(AT.0 - 1),
                ..value.clone()
            },
            StoredValue {
                lifetime: LIFETIME + millisecond,
                ..value.clone()
            },
            StoredValue {
                lifetime: LIFETIME.saturating_sub(millisecond),
                ..value.clone()
            },
            StoredValue {
                lifetime: Duration::MAX,
                ..value.clone()
            },
        ];
        for changed in changed {
            assert_eq!(
                decode(&sealer(), &changed, name),
                Err(Unreadable::Seal),
                "{kind} {changed:?}"
            );
        }
    }
}

#[test]
fn values_of_other_formats_are_misses() {
    for (kind, value, name, decode) in values() {
        for format in 0..=u8::MAX {
            let mut bytes = value.sealed.to_vec();
            bytes[0] = format;
            let changed = StoredValue {
                sealed: bytes.into(),
                ..value.clone()
            };
            let expected = if format == FORMAT {
                Ok(())
            } else {
                Err(Unreadable::Format)
            };
            assert_eq!(
                decode(&sealer(), &changed, name),
                expected,
                "{kind} {format}"
            );
        }
    }
}

#[test]
fn parts_of_another_contact_are_refused() {
    let value = stored(&encode(Part::Points, &complete()).expect("points"));
    let mut found = Parts::default();
    let expected = Some(id(2));
    let read = decode_part(
        &sealer(),
        NAME,
        expected,
        Part::Points,
        &value,
        &read_at(),
        &mut found,
    );
    assert_eq!(read, Err(Unreadable::Content));
    assert!(found.present().is_empty());
}

/// Seals bytes as if they were a packed value.
fn sealed(place: &Place<'_>, packed: &[u8]) -> StoredValue {
    let sealed = place.in_context(|context| sealer().seal(context, packed));
    stored(&NewValue {
        lifetime: LIFETIME,
        sealed: with_format(FORMAT, &sealed),
    })
}

fn place() -> Place<'static> {
    Place {
        role: "part points",
        name: &NAME.0,
        requested_at: AT,
        lifetime: LIFETIME,
    }
}

fn without_size(plain: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    compressor.include_contentsize(false).expect("an option");
    compressor.compress(plain).expect("a frame")
}

#[test]
fn opened_values_with_invalid_content_are_misses() {
    let frame = |plain: &[u8]| {
        let mut frame = vec![1];
        frame.extend(zstd::bulk::compress(plain, 1).expect("a frame"));
        frame
    };
    let value = encode(Part::Points, &complete()).expect("points");
    let whole = place()
        .in_context(|context| sealer().open(context, &value.sealed[1..]))
        .expect("sealed");
    let plain = compress::unpack(&whole).expect("packed");
    let packed = [
        vec![],
        vec![0],
        vec![1],
        vec![2, 1, 2, 3],
        [&[0], &plain[..plain.len() - 1]].concat(),
        [&[0], &plain[..], b"\0"].concat(),
        frame(&plain)[..20].to_vec(),
        frame(&[0xff; 64]),
        // A compression bomb: 64 MiB of zeros.
        frame(&vec![0; 64 << 20]),
        frame(&vec![0; (4 << 20) + 1]),
        // A frame that does not say how large it is.
        [vec![1], without_size(&plain)].concat(),
    ];
    for (case, packed) in packed.iter().enumerate() {
        let mut found = Parts::default();
        let value = sealed(&place(), packed);
        assert_eq!(
            decode(Part::Points, &value, &mut found),
            Err(Unreadable::Content),
            "{case}"
        );
        assert!(found.present().is_empty());
    }
}

#[test]
fn payloads_changed_or_of_another_epoch_are_not_read() {
    let payload = b"what other replicas apply";
    let (epoch, other) = (EpochId(1), EpochId(2));
    let sealed = seal_payload(&sealer(), epoch, payload);
    assert_eq!(
        open_payload(&sealer(), other, &sealed),
        Err(Unreadable::Seal)
    );
    let other_secret = Sealer::new(&EpochSecret::fixed([8; 32]));
    assert_eq!(
        open_payload(&other_secret, epoch, &sealed),
        Err(Unreadable::Seal)
    );
    assert_eq!(open_payload(&sealer(), epoch, b""), Err(Unreadable::Format));
    for bit in 0..8 * sealed.len() {
        let mut bytes = sealed.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            Unreadable::Format
        } else {
            Unreadable::Seal
        };
        assert_eq!(
            open_payload(&sealer(), epoch, &bytes),
            Err(expected),
            "{bit}"
        );
    }
}

/// Texts and bytes that must not occur in what is stored.
fn secrets() -> Vec<Vec<u8>> {
    let texts = [
        "Alva",
        "Testsson",
        "alva.testsson",
        "701740605",
        "Exempelstad",
        "1985-07-09",
        "100001",
        "memberTerms",
        "favouriteSports",
        "Svenska medlemmar",
        "SO-90001",
        "jacket",
        "2511000000017",
        "Invalid",
        "6f1d2c3a",
    ];
    let names = [NAME.0, ALIAS.0, *id(1).as_uuid().as_bytes()].map(|name| name.to_vec());
    texts
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .chain(names)
        .collect()
}

#[test]
fn nothing_readable_is_stored() {
    let contains =
        |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for (kind, value, _, _) in values() {
        for secret in secrets() {
            assert!(!contains(&value.sealed, &secret), "{kind}: {secret:?}");
        }
    }
    let all: Vec<u8> = secrets().concat();
    let sealed = seal_payload(&sealer(), EpochId(1), &all);
    for secret in secrets() {
        assert!(!contains(&sealed, &secret), "{secret:?}");
    }
}

#[test]
fn equal_data_is_stored_as_different_bytes() {
    let [one, other] = [(); 2].map(|()| encode(Part::Points, &complete()).expect("points"));
    assert_ne!(one.sealed[1..13], other.sealed[1..13]);
    assert_ne!(one.sealed[13..], other.sealed[13..]);
}

#[test]
fn reasons_have_names_for_metrics() {
    let reasons = [Unreadable::Format, Unreadable::Seal, Unreadable::Content];
    assert_eq!(
        reasons.map(Unreadable::as_str),
        ["format", "seal", "content"]
    );
}
