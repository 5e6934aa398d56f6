//! What a caller reports to have changed at Engage: a till that redeemed a voucher, a checkout that earned points.

use super::{CustomerService, invalidation_metrics::InvalidationCause, tiers::Invalidation};
use crate::domain::{ContactId, Identifier, Lookup, PartSet};

/// What a report was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// A contact: its parts are never served again as they were.
    Contact,
    /// An identifier of no known contact: no negative entry of it is left.
    Unknown,
}

/// Why a report could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The identifier leads to a contact about which the caller may not report. Nothing was done.
    #[error("the identifier leads to another contact")]
    NotOwn,
    /// It took effect, but other replicas may not have been reached.
    #[error("other replicas could not be reached")]
    NotShared,
    /// Other replicas can't be reached, and too much is owed to them already. Nothing was done.
    #[error("too much is owed to other replicas")]
    Owing,
}

impl CustomerService {
    /// Makes sure that nothing fetched until now of these parts of the contact is ever served again: of the contact that
    /// the identifier leads to, as this replica's memory or the shared tier knows. If neither knows, the identifier's
    /// negative entry ends. The same as for a webhook, at every replica; no upstream call.
    ///
    /// It never covers a contact that it does not name, so no caller can make others' entries go. `is_own` says whether
    /// the caller may report about a contact.
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
        let mut is_read = true;
        if let Some(shared) = &tiers.shared
            && led_to.is_none()
            && key.bare_id().is_none()
        {
            match shared.leads_to(lookup).await {
                Ok(id) => led_to = id,
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
        // A bare contact id has no alias; the fences of its parts end a negative entry.
        let is_negative = memory.negative(key, self.inner.clock.tick()).is_some();
        if key.bare_id().is_none() && (led_to.is_none() || is_negative) {
            invalidations.push(Invalidation::Alias(lookup.clone(), parts));
        }
        let announced = tiers.invalidate(&invalidations, None).await;
        let metrics = &self.inner.invalidations;
        metrics.count(InvalidationCause::Report, invalidations.len());
        // Unread, the tier may know a contact that the other replicas do not.
        if announced.is_err() || !is_read {
            return Err(ReportError::NotShared);
        }
        Ok(match contact {
            Some(_) => Reported::Contact,
            None => Reported::Unknown,
        })
    }
}
