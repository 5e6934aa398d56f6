//! Invalidations as plain data, which a replica can apply when another one sends them.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{Cache, IsPurged},
    customer::Rendered,
    domain::{Change, ChangeKind, ContactId, Identifier, Lookup, PartSet, aliases::AliasReader},
    engage,
};

/// An invalidation. Each covers what was fetched before it, even by calls still in flight.
#[derive(Clone, Debug)]
pub(in crate::customer) enum Invalidation {
    /// Parts of a contact changed. The audiences, which have no entity endpoint, are left out.
    Parts(ContactId, PartSet),
    /// Parts changed of the contact that an identifier leads to; each replica whose memory knows the contact
    /// invalidates them. At the others the identifier's negative entry is dropped.
    Alias(Lookup, PartSet),
    /// A contact is purged, with its record, its aliases and its audiences.
    Contact(ContactId),
    /// Every contact that has the identifier is purged, whatever its type, and so is every alias with that value. The
    /// same holds for every contact whose identifiers of that kind can't be read. Reads every record and every alias.
    Identifier(Lookup),
    /// A contact was created, changed or deleted: no negative entry can be relied on.
    Negatives,
    /// Any contact may have changed: until the overview's lag has passed, only entity endpoints fill the cache.
    AnyContact,
    /// All data is dropped.
    Everything,
}

impl Invalidation {
    /// Raises the fences in this replica's memory, then drops what they cover. For an `Alias`, returns the invalidation
    /// of the contact that memory knows for it, because other replicas may not know that contact.
    pub(super) fn apply(
        &self,
        memory: &Cache<Rendered, engage::Error>,
        alias_reader: &AliasReader,
    ) -> Option<Invalidation> {
        match self {
            Invalidation::Alias(lookup, parts) => {
                let id = memory.contact_or_fence_alias(lookup.key())?;
                let found = Invalidation::Parts(id, *parts);
                found.apply(memory, alias_reader);
                return Some(found);
            }
            Invalidation::Parts(id, parts) => {
                memory.invalidate(*id, parts.intersection(PartSet::INVALIDATABLE));
            }
            Invalidation::Contact(id) => memory.purge(*id),
            Invalidation::Identifier(lookup) => purge_by(lookup, memory, alias_reader),
            Invalidation::Negatives => memory.drop_negatives(),
            Invalidation::AnyContact => memory.invalidate_everything(),
            Invalidation::Everything => memory.purge_everything(),
        }
        None
    }

    /// The same for an invalidation that was announced at least this long ago: the overview counts as lagging only for
    /// the rest of its lag. So the fences do not reject data that other replicas have fetched since and that this
    /// replica will take from the tier.
    pub(super) fn apply_past(
        &self,
        age: Duration,
        memory: &Cache<Rendered, engage::Error>,
        alias_reader: &AliasReader,
    ) -> Option<Invalidation> {
        match self {
            Invalidation::Parts(id, parts) => {
                memory.invalidate_since(*id, parts.intersection(PartSet::INVALIDATABLE), age);
                None
            }
            Invalidation::Contact(id) => {
                memory.purge_since(*id, age);
                None
            }
            // `Negatives` has no lag, and the wide invalidations end the epoch, so a stream that is read from its
            // beginning contains none of them. The lag of an alias is not shortened.
            Invalidation::Alias(..)
            | Invalidation::Negatives
            | Invalidation::Identifier(_)
            | Invalidation::AnyContact
            | Invalidation::Everything => self.apply(memory, alias_reader),
        }
    }

    /// Whether it covers contacts that it does not name. Applying it then visits every cached entry.
    pub(super) fn is_wide(&self) -> bool {
        match self {
            Invalidation::Parts(..)
            | Invalidation::Alias(..)
            | Invalidation::Contact(_)
            | Invalidation::Negatives => false,
            Invalidation::Identifier(_) | Invalidation::AnyContact | Invalidation::Everything => {
                true
            }
        }
    }
}

impl From<&Change> for Vec<Invalidation> {
    /// The invalidations that follow from a change reported by Engage.
    fn from(change: &Change) -> Self {
        let contacts = change.contacts.iter();
        let mut invalidations: Vec<_> = match change.kind {
            ChangeKind::Changed(parts) => {
                contacts.map(|id| Invalidation::Parts(*id, parts)).collect()
            }
            ChangeKind::Deleted => contacts.map(|id| Invalidation::Contact(*id)).collect(),
            ChangeKind::Created => Vec::new(),
        };
        if change.affects_aliases() {
            invalidations.push(Invalidation::Negatives);
        }
        invalidations
    }
}

fn purge_by(lookup: &Lookup, memory: &Cache<Rendered, engage::Error>, alias_reader: &AliasReader) {
    if let Identifier::ContactId(id) = lookup.identifier {
        memory.purge_alias(lookup.key());
        memory.purge(id);
        return;
    }
    // The predicate is raised first, so a response in flight is either rejected by it or stored in time for the steps
    // below to find it.
    let (reader, purged) = (alias_reader.clone(), lookup.identifier.clone());
    let is_purged: IsPurged = Arc::new(move |identity, requested| {
        // A contact whose identifier of that kind can't be read may be the one that is meant.
        reader.may_match(&identity.aliases, &purged)
            || requested.is_some_and(|requested| requested.means_the_same(&purged))
    });
    memory.purge_where(&is_purged);
    // An alias may lead to a contact whose profile does not show the identifier.
    memory.purge_alias(lookup.key());
    let types = memory.contact_types().into_iter().map(Some).chain([None]);
    for contact_type in types {
        for identifier in lookup.identifier.meanings() {
            let alias = Lookup::new(identifier, contact_type.clone(), &alias_reader.digester);
            memory.purge_alias(alias.key());
        }
    }
}
