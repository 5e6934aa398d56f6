//! Which contact an identifier leads to, for a change whose report names only the identifier.

use super::{
    FetchStart, Inner, Unavailable, Wanted,
    fetch::{AliasRead, subject},
    metrics::Operation,
};
use crate::{
    cache::fence::Sequence,
    domain::{ContactId, Lookup},
};

/// The contact that an identifier leads to, according to the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierTarget {
    /// The contact.
    pub id: ContactId,
    /// Whether the identifier may belong to another contact by now: this one was purged, or its values were evicted,
    /// since the alias was stored.
    pub is_doubtful: bool,
}

impl Inner {
    /// See [`SharedTier::leads_to`](super::SharedTier::leads_to). What can't be read counts as absent.
    pub(super) async fn leads_to(
        &self,
        lookup: &Lookup,
    ) -> Result<Option<IdentifierTarget>, Unavailable> {
        // None of it is stored in memory, so it needs no place in the order of events.
        let start = FetchStart {
            sequence: Sequence::default(),
            now: self.clock.now(),
        };
        let link = self.guard.link(Operation::Peek)?;
        let epoch = &link.epoch;
        let reply = self
            .backend
            .peek(epoch.id, subject(epoch, Wanted::Alias(lookup)));
        let call = self
            .guard
            .call(&link, Operation::Peek, self.deadline(), reply);
        let reply = call.await?;
        self.metrics.ended(Operation::Peek, "ok");
        let name = epoch.names.alias(lookup);
        match self.read_alias(epoch, start, name, reply.alias.as_ref()) {
            Ok(AliasRead::Contact(id, _)) => Ok(Some(IdentifierTarget {
                id,
                is_doubtful: reply.is_contact_gone,
            })),
            Ok(AliasRead::Negative(_)) | Err(_) => Ok(None),
        }
    }
}
