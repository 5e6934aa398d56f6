//! What an identifier leads to: a contact, or none.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Place, ReadAt, Unreadable};
use crate::{
    cache::freshness::FetchSource,
    domain::ContactId,
    shared_tier::{
        NegativeReason, SharedAlias, SharedNegative,
        protocol::{AliasName, NewValue, ServerTime, StoredValue},
        seal::Sealer,
    },
};

const ALIAS: &str = "alias";
const NEGATIVE: &str = "negative";

/// An alias as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAliasContent {
    /// The contact.
    pub(super) contact: [u8; 16],
    pub(super) source: FetchSource,
    pub(super) confirmed: bool,
}

/// A negative entry as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredNegative<R> {
    pub(super) source: FetchSource,
    pub(super) why: R,
}

/// An alias to store.
pub(in crate::shared_tier) fn encode_alias(
    sealer: &Sealer,
    name: AliasName,
    id: ContactId,
    source: FetchSource,
    confirmed: bool,
    requested_at: ServerTime,
    lifetime: Duration,
) -> NewValue {
    let content = StoredAliasContent {
        contact: *id.as_uuid().as_bytes(),
        source,
        confirmed,
    };
    let to = Place {
        role: ALIAS,
        name: &name.0,
        requested_at,
        lifetime,
    };
    to.seal(sealer, &content)
        .expect("an alias has a few bytes only")
}

/// Reads an alias. The server stores the contact's name next to the alias, unsealed: the caller compares it with the
/// contact.
pub(in crate::shared_tier) fn decode_alias(
    sealer: &Sealer,
    name: AliasName,
    stored: &StoredValue,
    read: &ReadAt,
) -> Result<(ContactId, SharedAlias), Unreadable> {
    let content: StoredAliasContent =
        Place::of(ALIAS, &name.0, stored).open(sealer, &stored.sealed)?;
    let id = super::contact(content.contact)?;
    // An alias from an entity endpoint counts as changed at its request, as in this replica's own memory.
    let differed_before = (content.source == FetchSource::Entity).then_some(Duration::ZERO);
    let alias = SharedAlias {
        provenance: read.provenance(stored, content.source, differed_before),
        confirmed: content.confirmed,
    };
    Ok((id, alias))
}

/// A negative entry to store; `None` if the reason is too long.
pub(in crate::shared_tier) fn encode_negative(
    sealer: &Sealer,
    name: AliasName,
    source: FetchSource,
    why: &NegativeReason,
    requested_at: ServerTime,
    lifetime: Duration,
) -> Option<NewValue> {
    let to = Place {
        role: NEGATIVE,
        name: &name.0,
        requested_at,
        lifetime,
    };
    to.seal(sealer, &StoredNegative { source, why })
}

/// Reads a negative entry.
pub(in crate::shared_tier) fn decode_negative(
    sealer: &Sealer,
    name: AliasName,
    stored: &StoredValue,
    read: &ReadAt,
) -> Result<SharedNegative, Unreadable> {
    let content: StoredNegative<NegativeReason> =
        Place::of(NEGATIVE, &name.0, stored).open(sealer, &stored.sealed)?;
    Ok(SharedNegative {
        source: content.source,
        why: content.why,
        requested_at: read.requested_at(stored),
    })
}
