//! What is stored of a contact: its parts, the aliases that lead to it, identifiers that lead to none, and what the
//! stream carries, as sealed bytes.
//!
//! A value is the format, one byte, and the sealed rest: the data as this replica's memory keeps it too (postcard),
//! compressed. The seal covers the format, what the value is, the name under which it is stored, and what the server
//! must read of it: when its request began and its lifetime. So a value that was moved, changed or given a longer life
//! can't be opened.
//!
//! No sequence number and no tick is stored, because they mean nothing to another replica; instead the server's time of
//! the request is, and durations relative to it.

mod alias;
mod compress;
mod part;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub(super) use self::{
    alias::{decode_alias, decode_negative, encode_alias, encode_negative},
    part::{decode_part, encode_part},
};
use super::{
    protocol::{EpochId, NewValue, ServerTime, StoredValue},
    seal::Sealer,
};
use crate::{
    cache::{
        FetchStart,
        freshness::{FetchSource, Provenance},
    },
    clock::Tick,
    domain::ContactId,
};

/// The format of values. **To be raised** whenever the stored form changes: a type of `domain` that is part of it, its
/// serialization, the compression, the context of the seal. Replicas with different formats share no values: to each,
/// the values of the other are misses.
const FORMAT: u8 = 2;
/// The format of what the stream carries.
const PAYLOAD_FORMAT: u8 = 1;

/// Why a value can't be read. Each is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// It has another format: another version of this service stored it.
    #[error("another format")]
    Format,
    /// It can't be opened: it was changed, moved, or sealed in another epoch.
    #[error("the seal is broken")]
    Seal,
    /// It was opened, but its content is about another contact, is not data of this kind, or is a profile with digests
    /// of national ids under another key.
    #[error("unexpected content")]
    Content,
}

impl Unreadable {
    /// The name in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Unreadable::Format => "format",
            Unreadable::Seal => "seal",
            Unreadable::Content => "content",
        }
    }
}

/// How values are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAt {
    /// Taken before they were fetched from the tier.
    pub(super) start: FetchStart,
    /// This replica's own lifetime of them: they are fresh for at most this long.
    pub(super) longest: Duration,
}

impl ReadAt {
    /// When the request for the value began.
    fn requested_at(&self, stored: &StoredValue) -> Tick {
        self.start.now.tick - stored.age
    }

    fn provenance(
        &self,
        stored: &StoredValue,
        source: FetchSource,
        differed_before: Option<Duration>,
    ) -> Provenance {
        let requested_at = self.requested_at(stored);
        let wall = self.start.now.wall;
        Provenance {
            sequence: self.start.sequence,
            requested_at,
            as_of: wall.saturating_sub(stored.age).unwrap_or(Timestamp::MIN),
            lifetime: whole(stored.lifetime).min(self.longest),
            source,
            differed_at: differed_before.map(|before| requested_at - before),
            is_shared: true,
        }
    }
}

/// What a value is and where it belongs.
struct Place<'a> {
    /// `part profile`, `alias` and the like.
    role: &'a str,
    name: &'a [u8; 16],
    requested_at: ServerTime,
    /// In whole milliseconds, as the server stores it.
    lifetime: Duration,
}

impl<'a> Place<'a> {
    fn of(role: &'a str, name: &'a [u8; 16], stored: &StoredValue) -> Self {
        Self {
            role,
            name,
            requested_at: stored.requested_at,
            lifetime: stored.lifetime,
        }
    }

    /// Seals the content; `None` if it is too large.
    fn seal(&self, sealer: &Sealer, content: &impl Serialize) -> Option<NewValue> {
        let plain = postcard::to_allocvec(content).ok()?;
        let packed = compress::pack(&plain)?;
        let rest = self.in_context(|context| sealer.seal(context, &packed));
        Some(NewValue {
            lifetime: whole(self.lifetime),
            sealed: with_format(FORMAT, &rest),
        })
    }

    /// Opens the content.
    fn open<T: DeserializeOwned>(&self, sealer: &Sealer, value: &[u8]) -> Result<T, Unreadable> {
        let rest = without_format(FORMAT, value)?;
        let packed = self
            .in_context(|context| sealer.open(context, rest))
            .ok_or(Unreadable::Seal)?;
        let plain = compress::unpack(&packed).ok_or(Unreadable::Content)?;
        match postcard::take_from_bytes(&plain) {
            Ok((content, [])) => Ok(content),
            _ => Err(Unreadable::Content),
        }
    }

    fn in_context<T>(&self, act: impl FnOnce(&[&[u8]]) -> T) -> T {
        act(&[
            self.role.as_bytes(),
            &[FORMAT],
            self.name,
            &self.requested_at.0.to_le_bytes(),
            &millis(self.lifetime).to_le_bytes(),
        ])
    }
}

/// Seals what claims to be packed content.
#[cfg(fuzzing)]
pub(super) fn sealed_as(
    sealer: &Sealer,
    role: &str,
    name: &[u8; 16],
    requested_at: ServerTime,
    lifetime: Duration,
    packed: &[u8],
) -> Bytes {
    let place = Place {
        role,
        name,
        requested_at,
        lifetime,
    };
    with_format(
        FORMAT,
        &place.in_context(|context| sealer.seal(context, packed)),
    )
}

/// Seals what the stream carries to other replicas.
pub(super) fn seal_payload(sealer: &Sealer, epoch: EpochId, payload: &[u8]) -> Bytes {
    let rest = sealer.seal(&payload_context(&epoch.0.to_le_bytes()), payload);
    with_format(PAYLOAD_FORMAT, &rest)
}

/// Opens what the stream carries.
pub(super) fn open_payload(
    sealer: &Sealer,
    epoch: EpochId,
    bytes: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    let rest = without_format(PAYLOAD_FORMAT, bytes)?;
    sealer
        .open(&payload_context(&epoch.0.to_le_bytes()), rest)
        .ok_or(Unreadable::Seal)
}

fn payload_context(epoch: &[u8; 8]) -> [&[u8]; 3] {
    [b"payload", &[PAYLOAD_FORMAT], epoch]
}

fn with_format(format: u8, sealed: &[u8]) -> Bytes {
    let mut value = Vec::with_capacity(1 + sealed.len());
    value.push(format);
    value.extend_from_slice(sealed);
    value.into()
}

fn without_format(format: u8, value: &[u8]) -> Result<&[u8], Unreadable> {
    match value.split_first() {
        Some((found, sealed)) if *found == format => Ok(sealed),
        _ => Err(Unreadable::Format),
    }
}

/// The contact with these bytes as its id.
fn contact(id: [u8; 16]) -> Result<ContactId, Unreadable> {
    let text = Uuid::from_bytes(id).hyphenated().to_string();
    ContactId::parse(&text).ok_or(Unreadable::Content)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The duration in whole milliseconds, rounded down.
fn whole(duration: Duration) -> Duration {
    Duration::from_millis(millis(duration))
}

#[cfg(test)]
mod tests;
