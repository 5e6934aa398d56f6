//! Writes invalidations for all replicas.

use super::{
    Announced, Announcement, Inner, InvalidationScope, NotShared,
    fault::Fault,
    guard::{Condition, Link},
    metrics::Operation,
    protocol::{AdvanceCommand, AliasName, Covered, InvalidateCommand, InvalidateReply},
    value::seal_payload,
};
use crate::{
    clock::Tick,
    domain::{ContactId, PartSet},
};

impl Inner {
    /// See [`SharedTier::announce`](super::SharedTier::announce).
    pub(super) async fn announce(
        &self,
        announcement: &Announcement<'_>,
    ) -> Result<Announced, NotShared> {
        let result = self.announce_until(announcement, self.deadline()).await;
        self.metrics.announced(match result {
            Ok(Announced::Written) => "written",
            Ok(Announced::Repeated) => "repeated",
            Err(NotShared) => "not_shared",
        });
        result
    }

    async fn announce_until(
        &self,
        announcement: &Announcement<'_>,
        until: Tick,
    ) -> Result<Announced, NotShared> {
        let mut link = match self.guard.condition() {
            Condition::Usable(link) => link,
            Condition::EpochEnded(ended) => self.next_epoch(&ended, until).await?,
            Condition::CatchingUp(_) | Condition::Closed => return Err(NotShared),
        };
        let mut result = self.write(&link, announcement, until).await;
        if result == Err(Fault::Epoch) {
            link = self.next_epoch(&link, until).await?;
            result = self.write(&link, announcement, until).await;
        }
        result.map_err(|_| NotShared)
    }

    async fn next_epoch(&self, ended: &Link, until: Tick) -> Result<Link, NotShared> {
        self.reopen(ended, until).await.map_err(|_| NotShared)
    }

    async fn write(
        &self,
        link: &Link,
        announcement: &Announcement<'_>,
        until: Tick,
    ) -> Result<Announced, Fault> {
        match announcement.scope {
            InvalidationScope::Contacts {
                contacts,
                aliases,
                negatives,
            } => {
                let names = &link.epoch.names;
                let aliases = aliases.iter().map(|alias| names.alias(alias)).collect();
                self.invalidate(link, announcement, contacts, aliases, negatives, until)
                    .await
            }
            InvalidationScope::Everything => self.advance(link, announcement, until).await,
        }
    }

    async fn invalidate(
        &self,
        link: &Link,
        announcement: &Announcement<'_>,
        contacts: &[(ContactId, PartSet, bool)],
        aliases: Vec<AliasName>,
        negatives: bool,
        until: Tick,
    ) -> Result<Announced, Fault> {
        let epoch = &link.epoch;
        let covered = contacts.iter().map(|(id, parts, is_purge)| Covered {
            contact: epoch.names.contact(*id),
            parts: *parts,
            is_purge: *is_purge,
        });
        let message = announcement
            .message
            .map(|id| (epoch.names.message(id), self.settings.message_memory));
        let command = InvalidateCommand {
            contacts: covered.collect(),
            negatives,
            aliases,
            entity_only: self.settings.overview_lag,
            message,
            replica: self.replica,
            payload: seal_payload(&epoch.sealer, epoch.id, &announcement.payload),
            stream: self.stream_limits(),
        };
        let reply = self.backend.invalidate(epoch.id, command);
        let call = self.guard.call(link, Operation::Invalidate, until, reply);
        let (outcome, announced) = match call.await? {
            InvalidateReply::Written(_) => ("written", Announced::Written),
            InvalidateReply::Repeated => ("repeated", Announced::Repeated),
        };
        self.metrics.ended(Operation::Invalidate, outcome);
        Ok(announced)
    }

    /// Ends the epoch. This replica's reader of the stream follows to the next epoch like those of the other replicas.
    async fn advance(
        &self,
        link: &Link,
        announcement: &Announcement<'_>,
        until: Tick,
    ) -> Result<Announced, Fault> {
        let epoch = &link.epoch;
        let (next, opened) = self
            .keys
            .offer(self.stream_limits())
            .ok_or(Fault::Forbidden)?;
        let command = AdvanceCommand {
            next,
            replica: self.replica,
            payload: seal_payload(&epoch.sealer, epoch.id, &announcement.payload),
        };
        let reply = self.backend.advance(epoch.id, command);
        let call = self.guard.call(link, Operation::Advance, until, reply);
        call.await?;
        self.metrics.ended(Operation::Advance, "written");
        self.guard.replace(link, &opened);
        self.chores.sweep(epoch.id);
        Ok(Announced::Written)
    }
}
