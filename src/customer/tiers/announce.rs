//! Makes an invalidation take effect everywhere: announces it to the other replicas, then raises this replica's fences.
//!
//! The order matters, because the reply to the announcement says whether a webhook was applied before. The fences here
//! are raised in any case, even if the announcement can't be written or its caller goes away while it is being written.
//! What may not have been written stays owed. Until it is written, this replica reads nothing from the shared tier,
//! since the tier may still have the data that was just dropped here.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Invalidation, Payload, Tiers, Unreadable};
use crate::{
    cache::feed::Delivery,
    clock::Tick,
    domain::{ContactId, Lookup, PartSet},
    shared_tier::{Announced, Announcement, InvalidationScope, NotShared, SharedTier},
};

/// Owed invalidations are announced in batches of this size: while the server writes one, it does nothing else.
const BATCH: usize = 200;
/// If more invalidations are owed, they are replaced by one that says that any contact may have changed.
const MAX_OWED: usize = 10_000;

/// The webhook that reported a change.
#[derive(Clone, Copy, Debug)]
pub struct WebhookMessage<'a> {
    /// Its id. Replicas that share a tier recognise by it a webhook that was applied before.
    pub id: &'a str,
    /// When it arrived.
    pub at: Tick,
    /// What it shows about the feed.
    pub says: Option<Delivery>,
}

/// The invalidations that may not have been announced.
#[derive(Debug, Default)]
pub(super) struct Owed {
    any: AtomicBool,
    invalidations: Mutex<Vec<Invalidation>>,
}

impl Owed {
    fn add(&self, invalidations: &[Invalidation]) {
        if invalidations.is_empty() {
            return;
        }
        let mut owed = self.locked();
        if owed.len() + invalidations.len() > MAX_OWED {
            *owed = vec![Invalidation::AnyContact];
        } else {
            owed.extend_from_slice(invalidations);
        }
        self.any.store(true, Ordering::SeqCst);
    }

    fn is_much(&self) -> bool {
        self.locked().len() >= MAX_OWED / 2
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Invalidation>> {
        self.invalidations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Invalidations that are being announced. If the future ends before the reply arrives, dropping this applies them and
/// marks them as owed.
struct Unapplied<'a> {
    tiers: &'a Tiers,
    invalidations: &'a [Invalidation],
}

impl Drop for Unapplied<'_> {
    fn drop(&mut self) {
        // Marked as owed first: a flight that begins after the fence must see that.
        self.tiers.owed.add(self.invalidations);
        let found = self.tiers.apply(self.invalidations);
        self.tiers.owed.add(&found);
    }
}

impl Tiers {
    /// Makes sure that what the invalidations cover, as fetched until now, is never served again: neither by flights
    /// that have begun nor from memory, here and, at most a second later, at every replica. With a shared tier, does
    /// nothing for a webhook that was applied before, here or elsewhere; without one, the caller must recognise
    /// repeated webhooks.
    ///
    /// Fails if other replicas may not have been reached. Even then it has taken effect here. Repeat it with the same
    /// webhook.
    pub(in crate::customer) async fn invalidate(
        &self,
        invalidations: &[Invalidation],
        message: Option<WebhookMessage<'_>>,
    ) -> Result<Announced, NotShared> {
        let says = message.and_then(|message| message.says);
        if invalidations.is_empty() && says.is_none() {
            return Ok(Announced::Written);
        }
        let Some(shared) = &self.shared else {
            self.apply(invalidations);
            self.note(message, says);
            return Ok(Announced::Written);
        };
        let mut unapplied = Unapplied {
            tiers: self,
            invalidations,
        };
        let payload = Payload::write(invalidations, says);
        let id = message.map(|message| message.id);
        let announced = announce(shared, invalidations, id, payload).await?;
        unapplied.invalidations = &[];
        if announced == Announced::Written {
            let found = self.apply(invalidations);
            self.note(message, says);
            self.announce_found(&found).await?;
        }
        Ok(announced)
    }

    /// Announces the contacts that an identifier was found to lead to when the invalidation was applied here.
    pub(in crate::customer) async fn announce_found(
        &self,
        found: &[Invalidation],
    ) -> Result<(), NotShared> {
        let Some(shared) = self.shared.as_ref().filter(|_| !found.is_empty()) else {
            return Ok(());
        };
        let mut unannounced = Unapplied {
            tiers: self,
            invalidations: found,
        };
        announce(shared, found, None, Payload::write(found, None)).await?;
        unannounced.invalidations = &[];
        Ok(())
    }

    /// Whether so much is owed that callers' reports are refused: reports must not add up to an invalidation of all
    /// contacts.
    pub(in crate::customer) fn owes_much(&self) -> bool {
        self.owed.is_much()
    }

    /// Records that a webhook could not be read, here and, if they can be reached, at the other replicas. With a shared
    /// tier, does nothing if that was recorded before.
    pub(in crate::customer) async fn note_missed(&self, message: WebhookMessage<'_>) {
        // A different id than the webhook's own: once the webhook can be read, its change must not count as repeated.
        let id = format!("{}\nmissed", message.id);
        let message = WebhookMessage { id: &id, ..message };
        if self.invalidate(&[], Some(message)).await == Err(NotShared) {
            self.note(Some(message), message.says);
        }
    }

    /// Switches this replica's cache off or on. While it is off, nothing is read or stored, and fences are still
    /// raised. Other replicas are not affected.
    pub(in crate::customer) fn switch(&self, on: bool) {
        self.memory.switch(on);
        if !on {
            // After the switch, so that this fence covers a store that still saw the cache on, in either tier.
            self.apply(&[Invalidation::Everything]);
        }
    }

    /// Applies what another replica announced; `past` is the least time since then, if it is not new. Returns the
    /// contacts that it was found to cover, which should be announced. May take long: see [`Payload::is_heavy`].
    pub(in crate::customer) fn apply_payload(
        &self,
        payload: &Payload,
        past: Option<Duration>,
        now: Tick,
    ) -> Vec<Invalidation> {
        let found = match past {
            None => self.apply(&payload.invalidations),
            Some(age) => {
                let invalidations = payload.invalidations.iter();
                let applied =
                    invalidations.map(|one| one.apply_past(age, &self.memory, &self.alias_reader));
                applied.flatten().collect()
            }
        };
        if let (Some(feed), Some(delivery)) = (&self.memory.policy.feed, payload.delivery) {
            feed.note(now, delivery);
        }
        found
    }

    /// Parses what another replica announced.
    pub(in crate::customer) fn read_payload(&self, bytes: &[u8]) -> Result<Payload, Unreadable> {
        Payload::read(bytes, &self.alias_reader.digester)
    }

    /// The shared tier, if it may be read: not while this replica owes it an invalidation. Call this after
    /// [`Cache::begin`](crate::cache::Cache::begin): an invalidation that becomes owed later then overtakes what is
    /// read.
    pub(super) fn readable(&self) -> Option<&SharedTier> {
        let owes = self.owed.any.load(Ordering::SeqCst);
        self.shared.as_ref().filter(|_| !owes)
    }

    /// Announces the owed invalidations.
    pub(in crate::customer) async fn announce_owed(&self) {
        let Some(shared) = &self.shared else {
            return;
        };
        if !self.owed.any.load(Ordering::SeqCst) || !shared.is_available() {
            return;
        }
        let owed = mem::take(&mut *self.owed.locked());
        let mut rest = &owed[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(BATCH));
            let payload = Payload::write(batch, None);
            if announce(shared, batch, None, payload).await.is_err() {
                self.owed.add(rest);
                return;
            }
            rest = later;
        }
        // Invalidations that were added in the meantime are still owed.
        let left = self.owed.locked();
        self.owed.any.store(!left.is_empty(), Ordering::SeqCst);
    }

    /// Raises the fences here and drops what they cover. Returns further invalidations of contacts that were found to
    /// be covered.
    fn apply(&self, invalidations: &[Invalidation]) -> Vec<Invalidation> {
        let invalidations = invalidations.iter();
        let applied = invalidations.map(|one| one.apply(&self.memory, &self.alias_reader));
        applied.flatten().collect()
    }

    fn note(&self, message: Option<WebhookMessage<'_>>, says: Option<Delivery>) {
        if let (Some(feed), Some(message), Some(says)) = (&self.memory.policy.feed, message, says) {
            feed.note(message.at, says);
        }
    }
}

async fn announce(
    shared: &SharedTier,
    batch: &[Invalidation],
    message: Option<&str>,
    payload: Vec<u8>,
) -> Result<Announced, NotShared> {
    let is_wide = batch.iter().any(Invalidation::is_wide);
    let contacts: Vec<_> = batch.iter().filter_map(contact).collect();
    let aliases: Vec<_> = batch.iter().filter_map(alias).collect();
    let negatives = |invalidation| matches!(invalidation, &Invalidation::Negatives);
    let scope = if is_wide {
        // It covers contacts that it does not name.
        InvalidationScope::Everything
    } else {
        InvalidationScope::Contacts {
            contacts: &contacts,
            aliases: &aliases,
            negatives: batch.iter().any(negatives),
        }
    };
    let announcement = Announcement {
        scope,
        message,
        payload,
    };
    shared.announce(announcement).await
}

/// The contact that an invalidation names, the parts that it covers, and whether the contact is purged.
fn contact(invalidation: &Invalidation) -> Option<(ContactId, PartSet, bool)> {
    match invalidation {
        Invalidation::Parts(id, parts) => {
            Some((*id, parts.intersection(PartSet::INVALIDATABLE), false))
        }
        Invalidation::Contact(id) => Some((*id, PartSet::ALL, true)),
        Invalidation::Alias(..)
        | Invalidation::Identifier(_)
        | Invalidation::Negatives
        | Invalidation::AnyContact
        | Invalidation::Everything => None,
    }
}

/// The identifier that an invalidation names.
fn alias(invalidation: &Invalidation) -> Option<&Lookup> {
    match invalidation {
        Invalidation::Alias(lookup, _) => Some(lookup),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(owed: &Owed) -> usize {
        owed.locked().len()
    }

    #[test]
    fn owed_invalidations_are_bounded_and_never_cover_less() {
        let id = ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01").expect("an id");
        let list = Owed::default();
        list.add(&[]);
        assert!(!list.any.load(Ordering::SeqCst));
        for count in 1..=MAX_OWED {
            list.add(&[Invalidation::Contact(id)]);
            assert_eq!(owed(&list), count);
            // Reports are refused before they add up to more than can be owed one by one.
            assert_eq!(list.is_much(), count >= MAX_OWED / 2);
        }
        assert!(list.any.load(Ordering::SeqCst));
        list.add(&[Invalidation::Contact(id)]);
        assert!(matches!(list.locked()[..], [Invalidation::AnyContact]));
        list.add(&[Invalidation::Negatives]);
        assert!(matches!(
            list.locked()[..],
            [Invalidation::AnyContact, Invalidation::Negatives]
        ));
    }

    #[test]
    fn scope_names_each_contact_with_its_covered_parts() {
        use crate::domain::Part;

        let id = ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01").expect("an id");
        let parts = PartSet::of(&[Part::Points, Part::Audiences]);
        for (invalidation, expected) in [
            (
                Invalidation::Parts(id, parts),
                Some((id, Part::Points.into(), false)),
            ),
            (Invalidation::Contact(id), Some((id, PartSet::ALL, true))),
            (Invalidation::Negatives, None),
            (Invalidation::AnyContact, None),
            (Invalidation::Everything, None),
        ] {
            assert_eq!(contact(&invalidation), expected, "{invalidation:?}");
        }
    }
}
