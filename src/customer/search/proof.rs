//! Whether the contact that an alias led to still bears it, by what its profile shows.

use super::{Held, Search};
use crate::{
    cache::{CallKey, Name, freshness::Source, parts::Origins},
    customer::Error,
    domain::{Bears, Part},
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
    pub(super) fn check_name(&mut self, name: &Name, held: &Held) -> Result<Proof, Error> {
        let (Some(identity), Some(provenance)) = (held.identity(), held.provenance(Part::Profile))
        else {
            return Ok(Proof::Holds);
        };
        if name.seen_in == provenance.stamp {
            return Ok(Proof::Holds);
        }
        let lookup = &self.question.lookup;
        let key = lookup.key();
        let bears = self.inner.names.bears(&identity.names, &lookup.identifier);
        let proves =
            provenance.stamp > name.provenance.stamp || provenance.source == Source::Entity;
        // Of a name that it was seen to bear, a profile's silence says enough.
        let fell_silent = bears == Bears::Unknown && name.assured && proves;
        let bears_no_more = bears == Bears::No || (fell_silent && !key.is_contact_id());
        let of_type = identity.is_of(lookup.contact_type.as_ref());
        if !bears_no_more && of_type {
            let assured = bears == Bears::Yes || key.is_contact_id();
            self.inner.cache.assure_name(key, name, assured);
            if assured {
                self.inner.cache.note_seen(key, name, provenance.stamp);
            }
            return Ok(Proof::Holds);
        }
        // What may be an older copy than the name proves nothing: the contact must be asked.
        let lags =
            provenance.source == Source::Overview && name.provenance.source == Source::Entity;
        if lags || provenance.stamp < name.provenance.stamp {
            return Ok(Proof::Wanted);
        }
        let learnt_now = name.provenance.stamp > self.question.arrival;
        let by_entity = name.provenance.source == Source::Entity || key.is_contact_id();
        if learnt_now && by_entity {
            let error = if bears_no_more {
                engage::Error::IdentityMismatch
            } else {
                engage::Error::NotFound
            };
            self.disown();
            let call = CallKey::Resolution(self.question.lookup.key().clone());
            // It is known as of now, and so is not ended by the fence around the alias.
            let begun = self.inner.cache.begin();
            self.inner.note(&call, begun, Some(&error));
            return Err(error.into());
        }
        self.disown();
        Ok(Proof::Dropped)
    }

    /// Drops the name that led to the wrong contact. Engage resolves a contact id with a type in the
    /// overview alone, so such a name is only forgotten.
    pub(super) fn disown(&mut self) {
        self.named = None;
        let key = self.question.lookup.key();
        if key.is_contact_id() {
            self.inner.cache.forget_name(key);
        } else {
            self.inner.cache.drop_name(key);
        }
    }
}
