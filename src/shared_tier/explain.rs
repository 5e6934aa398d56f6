//! What the tier has for one identifier, for operators. Nothing is leased.

use std::time::Duration;

use super::{
    Inner, Unavailable, Wanted,
    epoch::Epoch,
    fetch::{AliasRead, subject},
    metrics::Operation,
    protocol::{StoredAlias, StoredValue},
};
use crate::{
    cache::{
        FetchStart,
        fence::Sequence,
        freshness::FetchSource,
        parts::{Origins as _, Parts},
    },
    domain::{ContactId, Lookup, Part, PartMap},
};

/// What the tier has for one identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedView {
    /// The contact, if the identifier is a contact id or leads to one.
    pub contact: Option<ContactId>,
    /// The alias or negative entry, where it was looked up by an identifier; also one that a purge of its contact or an
    /// invalidation has ended.
    pub alias: Option<SharedAliasView>,
    /// The parts of the contact.
    pub parts: PartMap<Option<SharedValueView>>,
    /// For how long the entity endpoint alone may fill each part; zero: not at all.
    pub entity_only: PartMap<Duration>,
    /// For how long other replicas wait for a flight at most; zero: there is none.
    pub busy: Duration,
}

/// A stored alias or negative entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedAliasView {
    /// The value.
    pub value: SharedValueView,
    /// Whether it leads to no contact.
    pub is_negative: bool,
    /// Whether the contact's profile is known to have the identifier.
    pub is_confirmed: bool,
}

/// A stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedValueView {
    /// The time since its request began.
    pub age: Duration,
    /// For how much longer it is fresh.
    pub lifetime_left: Duration,
    /// Which kind of endpoint returned it. `None`: it can't be read, and counts as absent.
    pub source: Option<FetchSource>,
}

impl SharedValueView {
    fn new(stored: &StoredValue, source: Option<FetchSource>) -> Self {
        Self {
            age: stored.age,
            lifetime_left: stored.lifetime.saturating_sub(stored.age),
            source,
        }
    }
}

impl Inner {
    /// See [`SharedTier::explain`](super::SharedTier::explain).
    pub(super) async fn explain(&self, wanted: Wanted<'_>) -> Result<SharedView, Unavailable> {
        // None of it is stored in memory, so it needs no place in the order of events.
        let start = FetchStart {
            sequence: Sequence::default(),
            now: self.clock.now(),
        };
        let link = self.guard.link(Operation::Peek)?;
        let epoch = &link.epoch;
        let reply = self.backend.peek(epoch.id, subject(epoch, wanted));
        let call = self
            .guard
            .call(&link, Operation::Peek, self.deadline(), reply);
        let reply = call.await?;
        self.metrics.ended(Operation::Peek, "ok");
        let (contact, alias) = match wanted {
            Wanted::Contact(id) => (Some(id), None),
            Wanted::Alias(lookup) => {
                let stored = reply.alias.as_ref();
                stored.map_or((None, None), |stored| {
                    let (contact, alias) = self.explain_alias(epoch, start, lookup, stored);
                    (contact, Some(alias))
                })
            }
        };
        let parts = PartMap::from_fn(|part: Part| {
            let stored = reply.parts[part].as_ref()?;
            let mut parts = Parts::default();
            let source = contact.and_then(|id| {
                let read = self.read_part(epoch, start, id, part, stored, &mut parts);
                read.ok()?;
                Some(parts.provenance(part)?.source)
            });
            Some(SharedValueView::new(stored, source))
        });
        Ok(SharedView {
            contact,
            alias,
            parts,
            entity_only: reply.entity_only,
            busy: reply.busy,
        })
    }

    /// The contact to which the alias leads, if it can be read, and what is stored of it.
    fn explain_alias(
        &self,
        epoch: &Epoch,
        start: FetchStart,
        lookup: &Lookup,
        stored: &StoredAlias,
    ) -> (Option<ContactId>, SharedAliasView) {
        let name = epoch.names.alias(lookup);
        let read = self.read_alias(epoch, start, name, Some(stored)).ok();
        let (contact, source, is_confirmed) = match read {
            Some(AliasRead::Contact(id, alias)) => {
                (Some(id), Some(alias.provenance.source), alias.confirmed)
            }
            Some(AliasRead::Negative(negative)) => (None, Some(negative.source), false),
            None => (None, None, false),
        };
        let view = SharedAliasView {
            value: SharedValueView::new(&stored.value, source),
            is_negative: stored.contact.is_none(),
            is_confirmed,
        };
        (contact, view)
    }
}
