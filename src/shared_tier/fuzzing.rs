//! Entry point of the fuzz target in `fuzz/` for what the server returns, with the invariants that it checks. Compiled
//! by `scripts/fuzz` only.

use std::{sync::LazyLock, time::Duration};

use jiff::Timestamp;

use super::{
    protocol::{AliasName, ContactName, EpochId, ServerTime, StoredValue},
    seal::{EpochSecret, Sealer},
    value::{
        ReadAt, decode_alias, decode_negative, decode_part, encode_alias, encode_negative,
        encode_part, open_payload, sealed_as,
    },
};
use crate::{
    cache::{
        FetchStart,
        fence::Sequence,
        parts::{Entry, Origins as _, Parts},
    },
    clock::{Now, Tick},
    domain::{Digester, Part},
};

static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
    // The key of the corpus.
    let digester = Digester::with_key(b"the key of every replica");
    Sealer::new(&EpochSecret::fixed([9; 32])).with_digester(&digester)
});

const CONTACT: ContactName = ContactName([1; 16]);
const ALIAS: AliasName = AliasName([2; 16]);
const AT: ServerTime = ServerTime(1_795_435_200_000);
const LIFETIME: Duration = Duration::from_secs(300);

/// Reads the bytes as a value: first as they are, then sealed as the kind that the first byte selects.
pub fn value(bytes: &[u8]) {
    is_not_forged(bytes);
    let Some((first, packed)) = bytes.split_first() else {
        return;
    };
    match Part::ALL.get(usize::from(first % 7)) {
        Some(part) => read_part(*part, packed),
        None if first % 7 == 5 => read_alias(packed),
        None => read_negative(packed),
    }
}

fn read_at() -> ReadAt {
    ReadAt {
        start: FetchStart {
            sequence: Sequence::default(),
            now: Now {
                tick: Tick::from_nanos(1_000_000_000),
                wall: Timestamp::UNIX_EPOCH,
            },
        },
        longest: LIFETIME,
    }
}

fn stored(sealed: bytes::Bytes) -> StoredValue {
    StoredValue {
        age: Duration::from_secs(1),
        requested_at: AT,
        lifetime: LIFETIME,
        sealed,
    }
}

/// Bytes that were not sealed can't be opened.
fn is_not_forged(bytes: &[u8]) {
    let value = stored(bytes.to_vec().into());
    let (sealer, read) = (&*SEALER, read_at());
    let mut parts = Parts::default();
    for part in Part::ALL {
        assert!(decode_part(sealer, CONTACT, None, part, &value, &read, &mut parts).is_err());
    }
    assert!(parts.present().is_empty());
    assert!(decode_alias(sealer, ALIAS, &value, &read).is_err());
    assert!(decode_negative(sealer, ALIAS, &value, &read).is_err());
    assert!(open_payload(sealer, EpochId(1), bytes).is_err());
    assert!(EpochSecret::unwrap(&[[7; 32], [8; 32]], bytes).is_none());
}

/// A part that is read, stored and read again is the same.
fn read_part(part: Part, packed: &[u8]) {
    let role = format!("part {}", part.as_str());
    let value = stored(sealed_as(&SEALER, &role, &CONTACT.0, AT, LIFETIME, packed));
    let decode = |value: &StoredValue| {
        let mut parts = Parts::default();
        let id = decode_part(&SEALER, CONTACT, None, part, value, &read_at(), &mut parts);
        assert_eq!(parts.present().contains(part), id.is_ok());
        id.ok().map(|id| (id, parts))
    };
    let Some((id, parts)) = decode(&value) else {
        return;
    };
    let again = encode_part(&SEALER, CONTACT, id, part, &parts, AT, LIFETIME);
    // Content that is just within the size limit may exceed it by a few bytes when it is encoded again.
    let Some(again) = again else { return };
    let (same_id, same) = decode(&stored(again.sealed)).expect("a part");
    assert_eq!(same_id, id);
    assert!(is_same(parts.profile.as_ref(), same.profile.as_ref()));
    assert!(is_same(parts.audiences.as_ref(), same.audiences.as_ref()));
    assert!(is_same(parts.promotions.as_ref(), same.promotions.as_ref()));
    assert!(is_same(parts.vouchers.as_ref(), same.vouchers.as_ref()));
    assert!(is_same(parts.points.as_ref(), same.points.as_ref()));
}

fn is_same<T: PartialEq>(one: Option<&Entry<T>>, other: Option<&Entry<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.data == other.data
                && one.incomplete == other.incomplete
                && one.provenance.source == other.provenance.source
        }
        _ => false,
    }
}

fn read_alias(packed: &[u8]) {
    let value = stored(sealed_as(&SEALER, "alias", &ALIAS.0, AT, LIFETIME, packed));
    let Ok((id, alias)) = decode_alias(&SEALER, ALIAS, &value, &read_at()) else {
        return;
    };
    let source = alias.provenance.source;
    let again = encode_alias(&SEALER, ALIAS, id, source, alias.confirmed, AT, LIFETIME);
    let (same_id, same) =
        decode_alias(&SEALER, ALIAS, &stored(again.sealed), &read_at()).expect("an alias");
    assert_eq!(same_id, id);
    assert_eq!(same.confirmed, alias.confirmed);
    assert_eq!(same.provenance, alias.provenance);
}

fn read_negative(packed: &[u8]) {
    let value = stored(sealed_as(
        &SEALER, "negative", &ALIAS.0, AT, LIFETIME, packed,
    ));
    let Ok(negative) = decode_negative(&SEALER, ALIAS, &value, &read_at()) else {
        return;
    };
    let again = encode_negative(&SEALER, ALIAS, negative.source, &negative.why, AT, LIFETIME);
    let Some(again) = again else { return };
    let same = decode_negative(&SEALER, ALIAS, &stored(again.sealed), &read_at());
    assert_eq!(same, Ok(negative));
}
