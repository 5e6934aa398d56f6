//! Checks in the profile whether the contact that an alias led to still has the identifier.

use super::Search;
use crate::{
    cache::{Alias, CallKey, freshness::FetchSource, parts::Origins},
    customer::{Error, found::CachedRecord},
    domain::{Match, Part},
    engage,
};

/// What the cached profile says about the alias.
pub(super) enum AliasCheck {
    /// The profile does not contradict the alias.
    Holds,
    /// The profile contradicts the alias, but may be older: a newer profile is needed.
    NeedsProfile,
    /// The profile contradicted the alias, which has been dropped; or the record was damaged and has been dropped.
    Dropped,
}

impl Search<'_> {
    /// Compares the alias with the profile of the contact that it led to.
    pub(super) fn check_alias(
        &mut self,
        alias: &Alias,
        record: &CachedRecord,
    ) -> Result<AliasCheck, Error> {
        let Some(provenance) = record.provenance(Part::Profile) else {
            return Ok(AliasCheck::Holds);
        };
        if alias.seen_in == provenance.sequence {
            return Ok(AliasCheck::Holds);
        }
        // A damaged record was dropped: what is cached must be read again.
        let parts = self.inner.tiers.memory.parts_of(record);
        let Some(profile) = parts.and_then(|parts| parts.profile) else {
            return Ok(AliasCheck::Dropped);
        };
        let identity = &profile.data.identity;
        let lookup = &self.query.lookup;
        let key = lookup.key();
        let matches = self
            .inner
            .alias_reader
            .matches(&identity.aliases, &lookup.identifier);
        let is_newer =
            provenance.is_later_than(&alias.provenance) || provenance.source == FetchSource::Entity;
        // If a newer profile no longer shows a confirmed alias, the alias is gone, not hidden.
        let no_longer_shown = matches == Match::Unknown && alias.confirmed && is_newer;
        let is_contradicted = matches == Match::No || (no_longer_shown && !key.is_contact_id());
        let of_type = identity.is_of(lookup.contact_type.as_ref());
        let memory = &self.inner.tiers.memory;
        if !is_contradicted && of_type {
            let confirmed = matches == Match::Yes || key.is_contact_id();
            memory.confirm_alias(key, alias, confirmed);
            // This covers a profile that hides the identifier, too. The result stays the same until a new profile is
            // stored, so it is noted once.
            memory.note_seen(key, alias, provenance.sequence);
            return Ok(AliasCheck::Holds);
        }
        // A profile that may be older than the alias proves nothing.
        let lags = provenance.source == FetchSource::Overview
            && alias.provenance.source == FetchSource::Entity;
        if lags || alias.provenance.is_later_than(provenance) {
            return Ok(AliasCheck::NeedsProfile);
        }
        let is_new = alias.provenance.sequence > self.query.arrival && !alias.provenance.is_shared;
        let is_resolved = alias.provenance.source == FetchSource::Entity && !alias.is_learned;
        let by_entity = is_resolved || key.is_contact_id();
        self.drop_alias();
        if is_new && by_entity {
            let error = if is_contradicted {
                engage::Error::IdentityMismatch
            } else {
                engage::Error::NotFound
            };
            self.note_resolution_failed(&error);
            return Err(error.into());
        }
        Ok(AliasCheck::Dropped)
    }

    /// Records that the resolution of the alias failed. Call this after the alias was dropped.
    fn note_resolution_failed(&self, error: &engage::Error) {
        let call = CallKey::Resolution(self.query.lookup.key().clone());
        // The failure counts from now: with an earlier start, the fence just raised for the alias would end the
        // back-off at once.
        let start = self.inner.tiers.memory.begin();
        self.inner
            .note(&call, start, self.query.cause(), Some(error));
    }

    /// Drops the alias that led to the wrong contact. Engage resolves a contact id with a type only through the
    /// overview, so such an alias gets no fence.
    pub(super) fn drop_alias(&mut self) {
        self.found_alias = None;
        self.corrects = true;
        let memory = &self.inner.tiers.memory;
        let key = self.query.lookup.key();
        if key.is_contact_id() {
            memory.forget_alias(key);
        } else {
            memory.drop_alias(key);
        }
    }
}
