//! Changes that Engage reports: contacts and parts, without values.

use super::{
    contact_id::ContactId,
    part::{Part, PartSet},
};

/// The kind of change of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// These parts changed.
    Changed(PartSet),
    /// It was deleted.
    Deleted,
}

/// A change of one or several contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The contacts, as far as they are known.
    pub contacts: Vec<ContactId>,
}

impl Change {
    /// Whether an identifier may lead to another contact now, or to none.
    pub fn affects_aliases(&self) -> bool {
        match self.kind {
            ChangeKind::Created | ChangeKind::Deleted => true,
            ChangeKind::Changed(parts) => parts.contains(Part::Profile),
        }
    }

    /// Whether it has no effect: no contact is named and none was created.
    pub fn is_nothing(&self) -> bool {
        self.contacts.is_empty() && self.kind != ChangeKind::Created
    }
}
