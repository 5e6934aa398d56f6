//! The names of keys.

use std::time::Duration;

use super::super::protocol::{
    AliasName, BudgetName, ContactName, EpochId, MessageName, Position, Subject,
};

/// Makes the names of keys.
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// What all keys begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn epoch(&self) -> String {
        format!("{}epoch", self.prefix)
    }

    pub(super) fn replicas(&self) -> String {
        format!("{}replicas", self.prefix)
    }

    pub(super) fn budget(&self, name: BudgetName) -> Vec<u8> {
        named(&format!("{}b:", self.prefix), &name.0)
    }

    /// What all keys of an epoch begin with.
    pub(super) fn of_epoch(&self, epoch: EpochId) -> String {
        format!("{}{}:", self.prefix, hex(epoch.0))
    }

    pub(super) fn stream(&self, epoch: EpochId) -> String {
        self.of_epoch(epoch) + "s"
    }

    /// Until when only the entity endpoint may fill parts.
    pub(super) fn entity_only(&self, epoch: EpochId) -> String {
        self.of_epoch(epoch) + "e"
    }

    /// What keys of contacts begin with.
    pub(super) fn contacts(&self, epoch: EpochId) -> String {
        self.of_epoch(epoch) + "c:"
    }

    /// What keys of aliases begin with.
    pub(super) fn aliases(&self, epoch: EpochId) -> String {
        self.of_epoch(epoch) + "a:"
    }

    pub(super) fn contact(&self, epoch: EpochId, name: ContactName) -> Vec<u8> {
        named(&self.contacts(epoch), &name.0)
    }

    pub(super) fn alias(&self, epoch: EpochId, name: AliasName) -> Vec<u8> {
        named(&self.aliases(epoch), &name.0)
    }

    pub(super) fn subject(&self, epoch: EpochId, subject: Subject) -> Vec<u8> {
        match subject {
            Subject::Contact(name) => self.contact(epoch, name),
            Subject::Alias(name) => self.alias(epoch, name),
        }
    }

    pub(super) fn message(&self, epoch: EpochId, name: MessageName) -> Vec<u8> {
        named(&(self.of_epoch(epoch) + "m:"), &name.0)
    }
}

fn named(start: &str, name: &[u8; 16]) -> Vec<u8> {
    [start.as_bytes(), name].concat()
}

/// A random number as scripts compare it.
pub(super) fn hex(number: u64) -> String {
    format!("{number:016x}")
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .min(MOST_MILLIS)
}

/// The most milliseconds that a script is given, some 30,000 years: scripts add them to the time in floating point, and
/// the sum must be exact.
pub(super) const MOST_MILLIS: u64 = 1_000_000_000_000_000;

/// A position as the server writes it.
pub(super) fn position(position: Position) -> String {
    format!("{}-{}", position.millis, position.number)
}
