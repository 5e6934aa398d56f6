//! What operators see.

use std::time::Duration;

use super::flight::{StoredAlias, StoredValue};
use crate::domain::PartMap;

/// See [`Backend::peek`](super::Backend::peek).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekReply {
    /// The alias's value if it is fresh, even if it is no longer valid because its contact was purged or negative
    /// entries were invalidated.
    pub alias: Option<StoredAlias>,
    /// The values of the contact, or of the one that the alias leads to.
    pub parts: PartMap<Option<StoredValue>>,
    /// For how long the entity endpoint alone may fill each part.
    pub entity_only: PartMap<Duration>,
    /// Whether the contact that the alias leads to was purged or evicted since the alias was stored.
    pub is_contact_gone: bool,
    /// For how long the longest lease lasts; zero: there is none.
    pub busy: Duration,
}

/// See [`Backend::inspect`](super::Backend::inspect).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// `redis` or `valkey`.
    pub server: String,
    /// Its version.
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// `maxmemory-policy`; empty where the server does not say.
    pub eviction_policy: String,
    /// `maxmemory` in bytes; `None` where the server does not say; 0: no limit.
    pub max_memory: Option<u64>,
    /// Bytes in use.
    pub used_memory: u64,
    /// Whether it writes an append-only file.
    pub appends: bool,
    /// Whether it writes snapshots; `None` where the server does not say.
    pub snapshots: Option<bool>,
    /// Connected replicas of the server.
    pub replicas: u32,
}
