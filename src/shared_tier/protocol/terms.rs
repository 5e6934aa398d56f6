//! Names, numbers and times that operations have in common.

use std::time::Duration;

/// The id of an epoch: 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochId(pub u64);

/// The name of a contact: a keyed digest of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContactName(pub [u8; 16]);

/// The name of an alias: a keyed digest of kind, contact type and canonical value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AliasName(pub [u8; 16]);

/// The name of a webhook message: a keyed digest of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageName(pub [u8; 16]);

/// Identifies one flight's lease: the upper half is the same in all tokens of a replica, the lower one is random. As a
/// contact's generation, a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    /// A new token of a replica.
    pub fn of(replica: ReplicaId) -> Self {
        let upper = replica.0 & 0xffff_ffff_0000_0000;
        Self(upper | u64::from(fastrand::u32(..)))
    }

    /// Whether both are of one replica.
    pub const fn is_of_same_replica(self, other: Token) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

/// A random number that identifies a replica: one per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaId(pub u64);

/// A moment of the server's clock: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerTime(pub u64);

/// The position of an entry in the stream; [`Position::START`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Milliseconds of the server's clock.
    pub millis: u64,
    /// Distinguishes entries of the same millisecond.
    pub number: u64,
}

impl Position {
    /// Before the first entry.
    pub const START: Position = Position {
        millis: 0,
        number: 0,
    };
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A contact.
    Contact(ContactName),
    /// An identifier.
    Alias(AliasName),
}

/// How long entries of the stream are kept. The key itself lives twice as long after its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// The sum of `engage.overview_lag` and the duration of the longest flight.
    pub keep: Duration,
}
