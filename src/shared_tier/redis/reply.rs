//! Reads replies.

use std::time::Duration;

use ::redis::Value;
use bytes::Bytes;

use super::super::protocol::{BackendError, Position, ServerTime, StoredValue};
use crate::domain::{PartMap, PartSet};

/// The items of a reply, in order.
pub(super) struct Items(std::vec::IntoIter<Value>);

impl Items {
    /// The items of an array; a map is its keys and values.
    pub(super) fn of(reply: Value) -> Result<Self, BackendError> {
        match reply {
            Value::Array(items) => Ok(Self(items.into_iter())),
            Value::Map(pairs) => {
                let items: Vec<_> = pairs
                    .into_iter()
                    .flat_map(|(key, value)| [key, value])
                    .collect();
                Ok(Self(items.into_iter()))
            }
            _ => Err(BackendError::Unexpected),
        }
    }

    /// The next item, if there is one.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    /// Whatever is next.
    pub(super) fn value(&mut self) -> Result<Value, BackendError> {
        self.0.next().ok_or(BackendError::Unexpected)
    }

    pub(super) fn number(&mut self) -> Result<u64, BackendError> {
        number(&self.value()?)
    }

    pub(super) fn small(&mut self) -> Result<u32, BackendError> {
        self.number()?
            .try_into()
            .map_err(|_| BackendError::Unexpected)
    }

    pub(super) fn duration(&mut self) -> Result<Duration, BackendError> {
        self.number().map(Duration::from_millis)
    }

    pub(super) fn time(&mut self) -> Result<ServerTime, BackendError> {
        self.number().map(ServerTime)
    }

    pub(super) fn position(&mut self) -> Result<Position, BackendError> {
        position(&bytes(self.value()?)?)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, BackendError> {
        bytes(self.value()?)
    }

    pub(super) fn optional_bytes(&mut self) -> Result<Option<Bytes>, BackendError> {
        match self.value()? {
            Value::Nil => Ok(None),
            value => bytes(value).map(Some),
        }
    }

    /// A stored value, whose age is counted at `now`.
    pub(super) fn stored(&mut self, now: ServerTime) -> Result<Option<StoredValue>, BackendError> {
        let Some(value) = self.optional_bytes()? else {
            return Ok(None);
        };
        stored(&value, now)
            .map(Some)
            .ok_or(BackendError::Unexpected)
    }

    /// One item for each part.
    pub(super) fn parts<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, BackendError>,
    ) -> Result<PartMap<T>, BackendError>
    where
        PartMap<T>: Default,
    {
        let mut parts = PartMap::default();
        for part in crate::domain::Part::ALL {
            parts[part] = read(self)?;
        }
        Ok(parts)
    }

    /// A bit for each part.
    pub(super) fn part_set(&mut self) -> Result<PartSet, BackendError> {
        let bits = self.number()?;
        Ok(crate::domain::Part::ALL
            .into_iter()
            .filter(|part| bits & (1 << *part as u8) != 0)
            .fold(PartSet::EMPTY, |mut set, part| {
                set.insert(part);
                set
            }))
    }
}

/// See `scripts/values.lua`.
fn stored(value: &Bytes, now: ServerTime) -> Option<StoredValue> {
    let (requested_at, rest) = leading_number(value)?;
    let (lifetime, sealed) = leading_number(rest)?;
    Some(StoredValue {
        age: Duration::from_millis(now.0.saturating_sub(requested_at)),
        requested_at: ServerTime(requested_at),
        lifetime: Duration::from_millis(lifetime),
        sealed: value.slice_ref(sealed),
    })
}

/// The number before the first space, and what follows that.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let space = text.iter().take(21).position(|byte| *byte == b' ')?;
    let number = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
    Some((number, &text[space + 1..]))
}

pub(super) fn bytes(value: Value) -> Result<Bytes, BackendError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) => Ok(text.into()),
        _ => Err(BackendError::Unexpected),
    }
}

pub(super) fn number(value: &Value) -> Result<u64, BackendError> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok()),
        _ => None,
    }
    .ok_or(BackendError::Unexpected)
}

/// A position as the server writes it.
pub(super) fn position(text: &[u8]) -> Result<Position, BackendError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.split_once('-'))
        .and_then(|(millis, number)| {
            Some(Position {
                millis: millis.parse().ok()?,
                number: number.parse().ok()?,
            })
        })
        .ok_or(BackendError::Unexpected)
}

/// A random number as it was written.
pub(super) fn from_hex(text: &[u8]) -> Result<u64, BackendError> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(BackendError::Unexpected)
}
