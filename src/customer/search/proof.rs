//! Whether the contact that an alias led to still bears it, by what its profile shows.

use super::{Held, Search};
use crate::{
    cache::{Alias, CallKey, freshness::FetchSource, parts::Origins},
    customer::Error,
    domain::{Match, Part},
    engage,
};

/// What the held profile says of the name.
pub(super) enum Proof {
    /// It does not contradict.
    Holds,
    /// It contradicts, but it is older than the name: the contact must be asked.
    Wanted,
    /// It contradicts: the name was dropped.
    Dropped,
}

impl Search<'_> {
    /// Asks what is held whether the contact bears the name that led to it.
    pub(super) fn check_alias(&mut self, alias: &Alias, held: &Held) -> Result<Proof, Error> {
        let (Some(identity), Some(provenance)) = (held.identity(), held.provenance(Part::Profile))
        else {
            return Ok(Proof::Holds);
        };
        if alias.seen_in == provenance.sequence {
            return Ok(Proof::Holds);
        }
        let lookup = &self.query.lookup;
        let key = lookup.key();
        let matches = self
            .inner
            .alias_reader
            .matches(&identity.aliases, &lookup.identifier);
        let proves = provenance.sequence > alias.provenance.sequence
            || provenance.source == FetchSource::Entity;
        // Of a name that it was seen to bear, a profile's silence says enough.
        let fell_silent = matches == Match::Unknown && alias.confirmed && proves;
        let bears_no_more = matches == Match::No || (fell_silent && !key.is_contact_id());
        let of_type = identity.is_of(lookup.contact_type.as_ref());
        if !bears_no_more && of_type {
            let confirmed = matches == Match::Yes || key.is_contact_id();
            self.inner.cache.confirm_alias(key, alias, confirmed);
            if confirmed {
                self.inner.cache.note_seen(key, alias, provenance.sequence);
            }
            return Ok(Proof::Holds);
        }
        // What may be an older copy than the name proves nothing: the contact must be asked.
        let lags = provenance.source == FetchSource::Overview
            && alias.provenance.source == FetchSource::Entity;
        if lags || provenance.sequence < alias.provenance.sequence {
            return Ok(Proof::Wanted);
        }
        let learnt_now = alias.provenance.sequence > self.query.arrival;
        let by_entity = alias.provenance.source == FetchSource::Entity || key.is_contact_id();
        if learnt_now && by_entity {
            let error = if bears_no_more {
                engage::Error::IdentityMismatch
            } else {
                engage::Error::NotFound
            };
            self.disown();
            let call = CallKey::Resolution(self.query.lookup.key().clone());
            // It is known as of now, and so is not ended by the fence around the alias.
            let start = self.inner.cache.begin();
            self.inner.note(&call, start, Some(&error));
            return Err(error.into());
        }
        self.disown();
        Ok(Proof::Dropped)
    }

    /// Drops the name that led to the wrong contact. Engage resolves a contact id with a type in the
    /// overview alone, so such a name is only forgotten.
    pub(super) fn disown(&mut self) {
        self.named = None;
        let key = self.query.lookup.key();
        if key.is_contact_id() {
            self.inner.cache.forget_alias(key);
        } else {
            self.inner.cache.drop_alias(key);
        }
    }
}
