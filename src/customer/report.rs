//! Changes at Engage that a caller reports: a till that redeemed a voucher, a checkout that earned points.

use super::{CustomerService, invalidation_metrics::InvalidationCause, tiers::Invalidation};
use crate::domain::{ContactId, Identifier, Lookup, PartSet};

/// The subject of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// A contact: the parts that were fetched until now are never served again.
    Contact,
    /// An identifier of no known contact: its negative entry is dropped.
    Unknown,
}

/// Why a report was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The caller may not report about the contact that the identifier leads to. Nothing was done.
    #[error("the identifier leads to another contact")]
    NotOwn,
    /// The report took effect here, but may not have reached other replicas.
    #[error("other replicas could not be reached")]
    NotShared,
    /// Other replicas can't be reached, and too much is already owed to them. Nothing was done.
    #[error("too many changes wait to be announced to other replicas")]
    Owing,
}

impl CustomerService {
    /// Makes sure that what was fetched of these parts until now is never served again, for the contact that the
    /// identifier leads to according to this replica's memory or the shared tier. If neither knows the contact, drops
    /// the identifier's negative entry. Takes effect at every replica, like a webhook, and makes no upstream call.
    ///
    /// A report covers only the contact that it names, so a caller can't drop the entries of others. `is_own` returns
    /// whether the caller may report about a contact.
    pub async fn report_change(
        &self,
        lookup: &Lookup,
        parts: PartSet,
        is_own: impl FnOnce(ContactId) -> bool,
    ) -> Result<Reported, ReportError> {
        let tiers = &self.inner.tiers;
        if tiers.owes_much() {
            return Err(ReportError::Owing);
        }
        let (memory, key) = (&tiers.memory, lookup.key());
        let mut led_to = memory.alias(key).map(|alias| alias.id);
        let (mut is_read, mut is_doubtful) = (true, false);
        if let Some(shared) = &tiers.shared
            && led_to.is_none()
            && key.bare_id().is_none()
        {
            match shared.leads_to(lookup).await {
                Ok(found) => {
                    led_to = found.map(|contact| contact.id);
                    is_doubtful = found.is_some_and(|contact| contact.is_doubtful);
                }
                Err(_) => is_read = false,
            }
        }
        let contact = match lookup.identifier {
            Identifier::ContactId(id) => Some(id),
            _ => led_to,
        };
        if contact.is_some_and(|id| !is_own(id)) {
            return Err(ReportError::NotOwn);
        }
        let mut invalidations = Vec::new();
        invalidations.extend(contact.map(|id| Invalidation::Parts(id, parts)));
        // A bare contact id has no alias; the fences of its parts end its negative entry.
        let is_negative = memory.negative(key, self.inner.clock.tick()).is_some();
        // Other replicas may know another contact.
        let is_unsure = led_to.is_none() || is_doubtful || is_negative;
        if key.bare_id().is_none() && is_unsure {
            invalidations.push(Invalidation::Alias(lookup.clone(), parts));
        }
        let announced = tiers.invalidate(&invalidations, None).await;
        let metrics = &self.inner.invalidations;
        metrics.count(InvalidationCause::Report, invalidations.len());
        // If the tier was not read, it may know a contact that the other replicas do not know.
        if announced.is_err() || !is_read {
            return Err(ReportError::NotShared);
        }
        Ok(match contact {
            Some(_) => Reported::Contact,
            None => Reported::Unknown,
        })
    }
}
