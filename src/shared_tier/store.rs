//! Stores what a flight fetched.

use std::time::Duration;

use super::{
    AliasFill, Inner, Overtaken, SharedFill, SharedLease,
    epoch::Epoch,
    fault::Fault,
    guard::{Condition, Link},
    metrics::Operation,
    protocol::{ReleaseCommand, StoreCommand, StoreReply, Subject, Token},
    value::{encode_alias, encode_negative, encode_part},
};
use crate::{
    cache::{
        FetchStart,
        freshness::{FetchSource, Policy},
        parts::{Origins as _, Parts},
    },
    domain::{ContactId, Part, PartMap, PartSet},
};

impl Overtaken {
    /// Everything.
    const ALL: Overtaken = Overtaken {
        parts: PartSet::ALL,
        alias: true,
    };
}

impl Inner {
    /// See [`SharedTier::store`](super::SharedTier::store).
    pub(super) async fn store(
        &self,
        lease: SharedLease,
        start: FetchStart,
        fill: SharedFill<'_>,
    ) -> Overtaken {
        let link = match self.link_of(Operation::Store, &lease) {
            Ok(link) => link,
            Err(overtaken) => return overtaken,
        };
        let Some(command) = self.store_command(&link.epoch, &lease, start, fill) else {
            // The fill is not about what was leased, or is a negative entry that is too long.
            self.release_at(&link, &lease).await;
            return Overtaken::default();
        };
        let reply = self.backend.store(link.epoch.id, command);
        let call = self
            .guard
            .call(&link, Operation::Store, self.deadline(), reply);
        match call.await {
            Ok(reply) => self.stored(reply),
            Err(Fault::Epoch) => Overtaken::ALL,
            // Memory may keep the fill: the stream announces any invalidation that overtook it, and without the stream
            // memory is distrusted.
            Err(_) => Overtaken::default(),
        }
    }

    /// See [`SharedTier::release`](super::SharedTier::release).
    pub(super) async fn release(&self, lease: SharedLease) {
        if let Ok(link) = self.link_of(Operation::Release, &lease) {
            self.release_at(&link, &lease).await;
        }
    }

    async fn release_at(&self, link: &Link, lease: &SharedLease) {
        let command = ReleaseCommand {
            subject: lease.subject,
            token: lease.token,
        };
        let reply = self.backend.release(link.epoch.id, command);
        let call = self
            .guard
            .call(link, Operation::Release, self.deadline(), reply);
        if call.await.is_ok() {
            self.metrics.ended(Operation::Release, "ok");
        }
    }

    /// The link in whose epoch the lease is valid. If there is none, returns which data of the fill memory must not
    /// keep: all of it if the lease's epoch is known to have ended, else none.
    fn link_of(&self, operation: Operation, lease: &SharedLease) -> Result<Link, Overtaken> {
        let overtaken = match self.guard.condition() {
            Condition::Usable(link) if link.epoch.id == lease.epoch => return Ok(link),
            Condition::EpochEnded(_) => Overtaken::ALL,
            Condition::Usable(_) | Condition::CatchingUp(_) | Condition::Closed => {
                if self.guard.latest_epoch() == Some(lease.epoch) {
                    Overtaken::default()
                } else {
                    Overtaken::ALL
                }
            }
        };
        let outcome = if overtaken == Overtaken::ALL {
            "epoch"
        } else {
            "unavailable"
        };
        self.metrics.ended(operation, outcome);
        Err(overtaken)
    }

    fn stored(&self, reply: StoreReply) -> Overtaken {
        let is_overtaken = reply.alias_overtaken || !reply.overtaken.is_empty();
        let is_stored = reply.alias_stored || !reply.stored.is_empty();
        let outcome = match (is_overtaken, is_stored) {
            (true, _) => "overtaken",
            (false, true) => "stored",
            (false, false) => "newer",
        };
        self.metrics.ended(Operation::Store, outcome);
        Overtaken {
            parts: reply.overtaken,
            alias: reply.alias_overtaken,
        }
    }

    /// What to store. `None` if the fill is not about what was leased, or is a negative entry that is too long.
    fn store_command(
        &self,
        epoch: &Epoch,
        lease: &SharedLease,
        start: FetchStart,
        fill: SharedFill<'_>,
    ) -> Option<StoreCommand> {
        // This may be earlier than the request, because the server's time was read at the grant, before this replica
        // received it.
        let requested_at = lease.granted_at.at(start.now.tick);
        let mut command = StoreCommand {
            subject: lease.subject,
            token: lease.token,
            leased: lease.leased,
            grant: lease.grant,
            requested_at,
            contact: None,
            generation: Token(fastrand::u64(..)),
            alias: None,
            parts: PartMap::default(),
            from_overview: PartSet::EMPTY,
            entity_only: PartMap::default(),
        };
        match fill {
            SharedFill::Contact {
                id,
                alias,
                parts,
                new_from_entity,
            } => {
                let contact = epoch.names.contact(id);
                if matches!(lease.subject, Subject::Contact(leased) if leased != contact) {
                    return None;
                }
                command.contact = Some(contact);
                self.add_alias(&mut command, epoch, id, alias);
                add_parts(&mut command, epoch, id, parts);
                command.entity_only = PartMap::from_fn(|part| {
                    if new_from_entity.contains(part) {
                        self.settings.overview_lag
                    } else {
                        Duration::ZERO
                    }
                });
            }
            SharedFill::Negative {
                requested,
                source,
                why,
            } => {
                let name = epoch.names.alias(requested);
                if lease.subject != Subject::Alias(name) {
                    return None;
                }
                let lifetime = Policy::jittered(self.settings.negative_lifetime);
                let encoded =
                    encode_negative(&epoch.sealer, name, source, why, requested_at, lifetime);
                command.alias = Some(encoded?);
            }
        }
        Some(command)
    }

    fn add_alias(
        &self,
        command: &mut StoreCommand,
        epoch: &Epoch,
        id: ContactId,
        alias: Option<AliasFill<'_>>,
    ) {
        let Some(alias) = alias else { return };
        let name = epoch.names.alias(alias.requested);
        if command.subject != Subject::Alias(name) {
            return;
        }
        let mut lifetime = self.settings.lifetimes[Part::Profile];
        if !alias.confirmed {
            lifetime = lifetime.min(self.settings.negative_lifetime);
        }
        command.alias = Some(encode_alias(
            &epoch.sealer,
            name,
            id,
            alias.source,
            alias.confirmed,
            command.requested_at,
            Policy::jittered(lifetime),
        ));
    }
}

fn add_parts(command: &mut StoreCommand, epoch: &Epoch, id: ContactId, parts: &Parts) {
    let name = epoch.names.contact(id);
    for part in Part::ALL {
        let Some(provenance) = parts.provenance(part) else {
            continue;
        };
        command.parts[part] = encode_part(
            &epoch.sealer,
            name,
            id,
            part,
            parts,
            command.requested_at,
            provenance.lifetime,
        );
        if provenance.source == FetchSource::Overview {
            command.from_overview.insert(part);
        }
    }
}
