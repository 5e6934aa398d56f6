//! What the tier has for one identifier, for operators. Nothing is leased.

use std::time::Duration;

use super::{
    Inner, SharedAlias, Unavailable, Wanted,
    fetch::{AliasRead, subject},
    metrics::Operation,
    protocol::StoredValue,
};
use crate::{
    cache::{
        FetchStart,
        fence::Sequence,
        freshness::FetchSource,
        parts::{Origins as _, Parts},
    },
    domain::{ContactId, Part, PartMap},
};

/// What the tier has for one identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedView {
    /// The contact, if the identifier is a contact id or leads to one.
    pub contact: Option<ContactId>,
    /// The alias or negative entry, where it was looked up by an identifier.
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
    /// How long it is still fresh.
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
        // Nothing of it enters memory: it needs no place in the order of events.
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
        let mut contact = None;
        let mut alias = None;
        match wanted {
            Wanted::Contact(id) => contact = Some(id),
            Wanted::Alias(lookup) => {
                if let Some(stored) = &reply.alias {
                    let name = epoch.names.alias(lookup);
                    let read = self.read_alias(epoch, start, name, Some(stored)).ok();
                    let (source, is_confirmed) = match read {
                        Some(AliasRead::Contact(
                            id,
                            SharedAlias {
                                provenance,
                                confirmed,
                            },
                        )) => {
                            contact = Some(id);
                            (Some(provenance.source), confirmed)
                        }
                        Some(AliasRead::Negative(negative)) => (Some(negative.source), false),
                        None => (None, false),
                    };
                    alias = Some(SharedAliasView {
                        value: SharedValueView::new(&stored.value, source),
                        is_negative: stored.contact.is_none(),
                        is_confirmed,
                    });
                }
            }
        }
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
}
