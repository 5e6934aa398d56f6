//! The state of the stand-in and its operations, each as the protocol describes it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    domain::PartSet,
    shared_tier::protocol::{
        AdvanceCommand, BackendError, BeatCommand, BeatReply, BudgetName, EntryContent, EpochId,
        EpochOffer, InvalidateCommand, InvalidateReply, MessageName, OpenEpoch, Position,
        ReplicaId, ServerInfo, ServerTime, StreamEntry,
    },
};

use super::{
    budget::Budget,
    flights::{Alias, Contact},
    stream::Stream,
};

type Outcome<T> = Result<T, BackendError>;

/// Everything that a server keeps.
#[derive(Clone, Default)]
pub(super) struct Server {
    /// Replaced by a restart and by a failover.
    pub(super) data_set: u64,
    /// The error with which every write fails.
    pub(super) refusal: Option<BackendError>,
    pub(super) epoch: Option<Epoch>,
    pub(super) contacts: BTreeMap<(u64, [u8; 16]), Contact>,
    pub(super) aliases: BTreeMap<(u64, [u8; 16]), Alias>,
    pub(super) messages: BTreeMap<(u64, [u8; 16]), u64>,
    pub(super) streams: BTreeMap<u64, Stream>,
    /// When each was last seen.
    pub(super) replicas: HashMap<ReplicaId, u64>,
    pub(super) budgets: HashMap<[u8; 16], Budget>,
    /// The interval at which keys whose TTL has passed are dropped, in milliseconds; 0 means at every operation.
    pub(super) drops_every: u64,
    pub(super) next_drop: u64,
}

/// The current epoch.
#[derive(Clone)]
pub(super) struct Epoch {
    id: EpochId,
    wrapped_secret: Bytes,
    data_set: u64,
    pub(super) negatives: u64,
}

impl Server {
    /// Fails unless writes are accepted.
    pub(super) fn may_write(&self) -> Outcome<()> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// The id of the current epoch.
    pub(super) fn epoch_id(&self) -> Option<u64> {
        self.epoch.as_ref().map(|epoch| epoch.id.0)
    }

    /// Fails unless this is the current epoch, of this data set.
    pub(super) fn check(&self, id: EpochId) -> Outcome<&Epoch> {
        let current = self.epoch.as_ref();
        current
            .filter(|epoch| epoch.id == id && epoch.data_set == self.data_set)
            .ok_or(BackendError::Epoch)
    }

    pub(super) fn open(&mut self, offer: EpochOffer, now: u64) -> Outcome<OpenEpoch> {
        let current = self.epoch.as_ref();
        if current.is_none_or(|epoch| epoch.data_set != self.data_set) {
            self.may_write()?;
            self.begin_epoch(offer, now);
        }
        let epoch = self.epoch.as_ref().expect("there is one now");
        Ok(OpenEpoch {
            id: epoch.id,
            wrapped_secret: epoch.wrapped_secret.clone(),
            last: self.last(epoch.id),
            now: ServerTime(now),
        })
    }

    fn begin_epoch(&mut self, offer: EpochOffer, now: u64) {
        let mut stream = Stream::default();
        stream.append(EntryContent::Heartbeat, Vec::new(), now, offer.stream);
        self.streams.insert(offer.id.0, stream);
        self.epoch = Some(Epoch {
            id: offer.id,
            wrapped_secret: offer.wrapped_secret,
            data_set: self.data_set,
            negatives: 0,
        });
    }

    pub(super) fn rewrap(&mut self, id: EpochId, old: &Bytes, new: Bytes) -> Outcome<bool> {
        let is_old = self.check(id)?.wrapped_secret == *old;
        if is_old {
            self.may_write()?;
            let epoch = self.epoch.as_mut().expect("it was checked");
            epoch.wrapped_secret = new;
        }
        Ok(is_old)
    }

    pub(super) fn invalidate(
        &mut self,
        id: EpochId,
        command: InvalidateCommand,
        now: u64,
    ) -> Outcome<InvalidateReply> {
        self.check(id)?;
        self.drop_ended(now);
        if let Some((MessageName(name), memory)) = command.message {
            if self.messages.contains_key(&(id.0, name)) {
                return Ok(InvalidateReply::Repeated);
            }
            self.may_write()?;
            self.messages.insert((id.0, name), now + millis(memory));
        }
        self.may_write()?;
        for covered in &command.contacts {
            let key = (id.0, covered.contact.0);
            let mut contact = self.contacts.remove(&key).unwrap_or_default();
            let mut parts = covered.parts;
            if covered.is_purge {
                contact = contact.purged();
                parts = PartSet::ALL;
            }
            let until = now + millis(command.entity_only);
            for part in parts.iter() {
                contact.values[part] = None;
                contact.leases[part].clear();
                if PartSet::INVALIDATABLE.contains(part) {
                    contact.entity_only[part] = contact.entity_only[part].max(until);
                }
            }
            if contact.lapse(now) {
                self.contacts.insert(key, contact);
            }
        }
        for alias in &command.aliases {
            self.aliases.remove(&(id.0, alias.0));
        }
        if command.negatives {
            let epoch = self.epoch.as_mut().expect("it was checked");
            epoch.negatives += 1;
        }
        let content = EntryContent::Invalidation {
            replica: command.replica,
            payload: command.payload,
        };
        let stream = self.streams.entry(id.0).or_default();
        let names = (command.contacts, command.aliases);
        let position = stream.append_naming(content, names, now, command.stream);
        Ok(InvalidateReply::Written(position))
    }

    pub(super) fn advance(
        &mut self,
        id: EpochId,
        command: AdvanceCommand,
        now: u64,
    ) -> Outcome<()> {
        self.check(id)?;
        self.may_write()?;
        let content = EntryContent::Advance {
            replica: command.replica,
            payload: command.payload,
            next: command.next.id,
            wrapped_secret: command.next.wrapped_secret.clone(),
        };
        let stream = self.streams.entry(id.0).or_default();
        stream.append(content, Vec::new(), now, command.next.stream);
        self.begin_epoch(command.next, now);
        Ok(())
    }

    pub(super) fn entries_after(
        &mut self,
        id: EpochId,
        after: Position,
        now: u64,
    ) -> Vec<StreamEntry> {
        self.drop_ended(now);
        let stream = self.streams.get(&id.0);
        stream.map_or(Vec::new(), |stream| stream.after(after))
    }

    pub(super) fn beat(
        &mut self,
        id: EpochId,
        command: BeatCommand,
        now: u64,
    ) -> Outcome<BeatReply> {
        self.check(id)?;
        self.may_write()?;
        self.drop_ended(now);
        if command.leaves {
            self.replicas.remove(&command.replica);
        } else {
            self.replicas.insert(command.replica, now);
        }
        let patience = 4 * millis(command.interval);
        let seen = self.replicas.values();
        let alive = seen.filter(|seen| now.saturating_sub(**seen) < patience);
        let alive = alive.count();
        let stream = self.streams.entry(id.0).or_default();
        let quiet = now.saturating_sub(stream.last().millis);
        if quiet >= millis(command.interval) {
            stream.append(EntryContent::Heartbeat, Vec::new(), now, command.stream);
        }
        Ok(BeatReply {
            now: ServerTime(now),
            alive: u32::try_from(alive).expect("few replicas"),
            last: stream.last(),
        })
    }

    pub(super) fn budget(&mut self, name: BudgetName) -> &mut Budget {
        self.budgets.entry(name.0).or_default()
    }

    pub(super) fn sweep(&mut self, ended: EpochId) -> Outcome<u64> {
        self.may_write()?;
        let count =
            |server: &Self| server.contacts.len() + server.aliases.len() + server.messages.len();
        let before = count(self);
        self.contacts.retain(|(epoch, _), _| *epoch != ended.0);
        self.aliases.retain(|(epoch, _), _| *epoch != ended.0);
        self.messages.retain(|(epoch, _), _| *epoch != ended.0);
        Ok((before - count(self)) as u64)
    }

    pub(super) fn inspect(&self) -> ServerInfo {
        ServerInfo {
            server: "redis".to_owned(),
            version: "7.0.15".to_owned(),
            mode: "standalone".to_owned(),
            eviction_policy: "noeviction".to_owned(),
            max_memory: Some(0),
            used_memory: (self.contacts.len() * 1000) as u64,
            appends: false,
            snapshots: Some(false),
            replicas: 0,
        }
    }

    /// The last entry of an epoch's stream.
    pub(super) fn last(&self, id: EpochId) -> Position {
        self.streams
            .get(&id.0)
            .map_or(Position::START, Stream::last)
    }

    /// Drops the keys whose TTL has passed, if that is due. Until then they are counted; contacts and aliases serve
    /// nothing, because their contents have expired too.
    pub(super) fn drop_ended(&mut self, now: u64) {
        if self.drops_every > 0 {
            if now < self.next_drop {
                return;
            }
            self.next_drop = now + self.drops_every;
        }
        self.contacts.retain(|_, contact| contact.lapse(now));
        self.aliases.retain(|_, alias| alias.ends > now);
        self.messages.retain(|_, ends| *ends > now);
        self.streams.retain(|_, stream| stream.ends() > now);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
