//! What Engage tells of a change: which contacts it concerns, and what of them. Never a value: what changed is asked for
//! again.

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

/// A change of one contact, or of several at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of them.
    pub kind: ChangeKind,
    /// The contacts, as far as they are known.
    pub contacts: Vec<ContactId>,
}

impl Change {
    /// Whether an identifier may name another contact now than before, or none.
    pub fn concerns_names(&self) -> bool {
        match self.kind {
            ChangeKind::Created | ChangeKind::Deleted => true,
            ChangeKind::Changed(parts) => parts.contains(Part::Profile),
        }
    }

    /// Whether it says nothing: of no contact, and nothing came to be.
    pub fn is_nothing(&self) -> bool {
        self.contacts.is_empty() && self.kind != ChangeKind::Created
    }
}
