//! A part of a contact.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Place, ReadAt, Unreadable};
use crate::{
    cache::{
        freshness::FetchSource,
        parts::{Entry, Parts},
    },
    domain::{ContactId, FieldValue, KeyedDigest, Part, Profile},
    shared_tier::{
        protocol::{ContactName, NewValue, ServerTime, StoredValue},
        seal::Sealer,
    },
};

/// A part as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPart<T> {
    /// The contact.
    pub(super) contact: [u8; 16],
    pub(super) source: FetchSource,
    pub(super) incomplete: bool,
    /// The time from [`Provenance::differed_at`](crate::cache::freshness::Provenance::differed_at) until the request, in
    /// milliseconds.
    pub(super) differed_before: Option<u64>,
    /// Identifies the key under which national ids in the data are digested, where there are any.
    pub(super) digests: Option<KeyedDigest>,
    pub(super) data: T,
}

/// A part to store; `None` where there is none, or it can't be shared.
pub(in crate::shared_tier) fn encode_part(
    sealer: &Sealer,
    name: ContactName,
    id: ContactId,
    part: Part,
    parts: &Parts,
    requested_at: ServerTime,
    lifetime: Duration,
) -> Option<NewValue> {
    let to = Place {
        role: role(part),
        name: &name.0,
        requested_at,
        lifetime,
    };
    match part {
        Part::Profile => {
            let entry = parts.profile.as_ref()?;
            let digests = if has_digests(&entry.data) {
                Some(sealer.digests()?)
            } else {
                None
            };
            seal(sealer, &to, id, entry, digests)
        }
        Part::Audiences => seal(sealer, &to, id, parts.audiences.as_ref()?, None),
        Part::Promotions => seal(sealer, &to, id, parts.promotions.as_ref()?, None),
        Part::Vouchers => seal(sealer, &to, id, parts.vouchers.as_ref()?, None),
        Part::Points => seal(sealer, &to, id, parts.points.as_ref()?, None),
    }
}

/// Reads a part and adds it to `into`. Returns the contact, which is the expected one if one is given.
pub(in crate::shared_tier) fn decode_part(
    sealer: &Sealer,
    name: ContactName,
    expected: Option<ContactId>,
    part: Part,
    stored: &StoredValue,
    read: &ReadAt,
    into: &mut Parts,
) -> Result<ContactId, Unreadable> {
    let reader = PartReader {
        sealer,
        from: Place::of(role(part), &name.0, stored),
        expected,
        stored,
        read,
    };
    match part {
        Part::Profile => reader.take(&mut into.profile),
        Part::Audiences => reader.take(&mut into.audiences),
        Part::Promotions => reader.take(&mut into.promotions),
        Part::Vouchers => reader.take(&mut into.vouchers),
        Part::Points => reader.take(&mut into.points),
    }
}

fn seal<T: Serialize>(
    sealer: &Sealer,
    to: &Place<'_>,
    id: ContactId,
    entry: &Entry<T>,
    digests: Option<KeyedDigest>,
) -> Option<NewValue> {
    let provenance = &entry.provenance;
    let differed_before = provenance
        .differed_at
        .map(|differed_at| super::millis(provenance.requested_at.since(differed_at)));
    let content = StoredPart {
        contact: *id.as_uuid().as_bytes(),
        source: provenance.source,
        incomplete: entry.incomplete,
        differed_before,
        digests,
        data: &*entry.data,
    };
    to.seal(sealer, &content)
}

struct PartReader<'a> {
    sealer: &'a Sealer,
    from: Place<'a>,
    expected: Option<ContactId>,
    stored: &'a StoredValue,
    read: &'a ReadAt,
}

impl PartReader<'_> {
    fn take<T: DeserializeOwned>(
        &self,
        slot: &mut Option<Entry<T>>,
    ) -> Result<ContactId, Unreadable> {
        let content: StoredPart<T> = self.from.open(self.sealer, &self.stored.sealed)?;
        let id = super::contact(content.contact)?;
        let is_other = self.expected.is_some_and(|expected| expected != id);
        let has_other_digests =
            content.digests.is_some() && content.digests != self.sealer.digests();
        if is_other || has_other_digests {
            return Err(Unreadable::Content);
        }
        let differed_before = content.differed_before.map(Duration::from_millis);
        *slot = Some(Entry {
            data: Arc::new(content.data),
            provenance: self
                .read
                .provenance(self.stored, content.source, differed_before),
            incomplete: content.incomplete,
        });
        Ok(id)
    }
}

/// Whether the profile contains digests under a key that other replicas may not have.
fn has_digests(profile: &Profile) -> bool {
    match &profile.identity.aliases.national_id {
        FieldValue::Absent | FieldValue::Unreadable => false,
        FieldValue::One(_) | FieldValue::Several(_) => true,
    }
}

fn role(part: Part) -> &'static str {
    match part {
        Part::Profile => "part profile",
        Part::Audiences => "part audiences",
        Part::Promotions => "part promotions",
        Part::Vouchers => "part vouchers",
        Part::Points => "part points",
    }
}
