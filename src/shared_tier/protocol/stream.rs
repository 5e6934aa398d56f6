//! Invalidations, the stream of them, and its heartbeats.

use std::time::Duration;

use bytes::Bytes;

use super::{
    epoch::EpochOffer,
    terms::{
        AliasName, ContactName, EpochId, MessageName, Position, ReplicaId, ServerTime, StreamLimits,
    },
};
use crate::domain::PartSet;

/// What an invalidation covers of one contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The contact.
    pub contact: ContactName,
    /// The parts whose values and leases are dropped, and which only their entity endpoints may fill for a while (the
    /// audiences, which have none, are only dropped).
    pub parts: PartSet,
    /// Whether the contact is purged: everything about it is dropped, its generation too, so that no alias leads to it;
    /// for the rest it is as if `parts` contained all parts.
    pub is_purge: bool,
}

/// See [`Backend::invalidate`](super::Backend::invalidate).
#[derive(Clone, Debug)]
pub struct InvalidateCommand {
    /// What is dropped.
    pub contacts: Vec<Covered>,
    /// Whether every negative value ends.
    pub negatives: bool,
    /// The aliases that are dropped by themselves, with their leases.
    pub aliases: Vec<AliasName>,
    /// For how long the entity endpoints alone may fill the parts: the overview's lag.
    pub entity_only: Duration,
    /// The webhook message that it came with, and for how long that is remembered. If it is remembered already, nothing
    /// is done.
    pub message: Option<(MessageName, Duration)>,
    /// The replica that appends it.
    pub replica: ReplicaId,
    /// What other replicas apply, sealed.
    pub payload: Bytes,
    /// How long the stream is kept.
    pub stream: StreamLimits,
}

/// See [`Backend::invalidate`](super::Backend::invalidate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidateReply {
    /// It was written, at this position.
    Written(Position),
    /// The message was applied before.
    Repeated,
}

/// See [`Backend::advance`](super::Backend::advance).
#[derive(Clone, Debug)]
pub struct AdvanceCommand {
    /// The next epoch.
    pub next: EpochOffer,
    /// The replica that appends it.
    pub replica: ReplicaId,
    /// What other replicas apply, sealed by the ending epoch's secret.
    pub payload: Bytes,
}

/// An entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its position.
    pub position: Position,
    /// The position of the entry before it; [`Position::START`] if it is the first.
    pub previous: Position,
    /// What it says.
    pub content: EntryContent,
}

/// What an entry says. One of an unknown kind is read as [`EntryContent::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryContent {
    /// Says only that the stream is alive.
    Heartbeat,
    /// An invalidation.
    Invalidation {
        /// The replica that appended it, which has applied it already.
        replica: ReplicaId,
        /// What to apply, sealed.
        payload: Bytes,
    },
    /// The last entry of an epoch.
    Advance {
        /// The replica that appended it.
        replica: ReplicaId,
        /// What to apply, sealed by this epoch's secret.
        payload: Bytes,
        /// The next epoch.
        next: EpochId,
        /// Its wrapped secret.
        wrapped_secret: Bytes,
    },
    /// Written by a version that this one does not understand.
    Unknown,
}

/// See [`Backend::beat`](super::Backend::beat).
#[derive(Clone, Copy, Debug)]
pub struct BeatCommand {
    /// The replica.
    pub replica: ReplicaId,
    /// Whether the replica shuts down, and is not counted any more.
    pub leaves: bool,
    /// The least time between two entries of the stream by heartbeats; a replica that sent none for four times as long
    /// is not alive.
    pub interval: Duration,
    /// How long the stream is kept.
    pub stream: StreamLimits,
}

/// See [`Backend::beat`](super::Backend::beat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatReply {
    /// The server's time.
    pub now: ServerTime,
    /// Replicas alive, this one included.
    pub alive: u32,
    /// The last entry of the stream.
    pub last: Position,
}
