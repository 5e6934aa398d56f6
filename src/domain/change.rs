//! What Engage tells of a change: whom it concerns, and what of them. Never a value: what changed is asked for again.

use super::{ContactId, Part, PartSet};

/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came to be.
    Created,
    /// These parts of it are not what they were.
    Changed(PartSet),
    /// It is gone.
    Deleted,
}

/// A change of one contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// Whose it is, where that was told.
    pub contact: Option<ContactId>,
}

impl Change {
    /// Whether an identifier may name somebody now whom it did not name before, or nobody any more.
    pub fn concerns_names(self) -> bool {
        match self.kind {
            ChangeKind::Created | ChangeKind::Deleted => true,
            ChangeKind::Changed(parts) => parts.contains(Part::Profile),
        }
    }

    /// Whether it says what it should. Of a contact that came to be nothing is held, so its id is not needed.
    pub fn is_whole(self) -> bool {
        self.contact.is_some() || self.kind == ChangeKind::Created
    }
}
