//! The versions of one contact, each with the time from which it is valid.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::contact::Contact;

/// How long old versions are kept, so that a lag that is set later has data.
const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// Versions in order; a deleted contact ends with `None`.
#[derive(Debug, Default)]
pub(super) struct History(Vec<(Timestamp, Option<Arc<Contact>>)>);

impl History {
    pub(super) fn current(&self) -> Option<&Arc<Contact>> {
        self.0.last()?.1.as_ref()
    }

    pub(super) fn as_of(&self, time: Timestamp) -> Option<&Arc<Contact>> {
        let version = self.0.iter().rev().find(|(since, _)| *since <= time)?;
        version.1.as_ref()
    }

    /// Adds a version; drops those that were replaced before the earlier of `keep_from` and the start of the retention.
    pub(super) fn push(
        &mut self,
        at: Timestamp,
        version: Option<Arc<Contact>>,
        keep_from: Timestamp,
    ) {
        self.0.push((at, version));
        let day_ago = at.checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
        let horizon = keep_from.min(day_ago);
        let first_needed = self.0.iter().rposition(|(since, _)| *since <= horizon);
        self.0.drain(..first_needed.unwrap_or(0));
    }
}
