//! A call for a part of a contact's history. It is not shared among replicas: each calls Engage itself.

use std::sync::Arc;

use super::{FetchRequest, FetchSpan};
use crate::{
    cache::{
        CallKey, FetchStart, HistoryEntry,
        flight::{FlightError, FlightHandle, FlightStart},
        freshness::{FetchSource, Freshness},
        parts::{Entry, Origins},
    },
    customer::Inner,
    domain::{ContactId, History, HistoryPart, LookupKey, Part, Partial, Points},
    engage::{AdmissionRequest, Cause, Error, Group, KnownPoints, Permit},
};

/// The result of a call. A fence may forbid the entry by now.
pub(in crate::customer) type HistoryOutcome = Result<Arc<HistoryEntry>, Error>;

impl Inner {
    /// Joins a call for a part of the contact's history, or starts one.
    pub(in crate::customer) fn join_history(
        self: &Arc<Self>,
        id: ContactId,
        part: HistoryPart,
        request: FetchRequest<'_>,
    ) -> Result<FlightHandle<HistoryOutcome>, FlightError> {
        let inner = Arc::clone(self);
        let cause = request.cause;
        let span = FetchSpan::begin(self, &request, ["fetch", part.as_str()]);
        self.histories.join(
            (id, part),
            request.not_before,
            request.claim(span.as_ref()),
            move |flight| async move {
                let outcome = inner.fetch_history(id, part, cause, &flight).await;
                if let Some(span) = span {
                    span.end(&inner, outcome.as_ref().err(), false);
                }
                outcome
            },
        )
    }

    async fn fetch_history(
        &self,
        id: ContactId,
        part: HistoryPart,
        cause: Cause,
        flight: &FlightStart<HistoryOutcome>,
    ) -> HistoryOutcome {
        let request = AdmissionRequest {
            requesters: flight.claims(),
            subject: LookupKey::by_id(id).subject(),
            trace: flight.trace().cloned(),
        };
        let permit = self.engage.admit(group(part), request).await?;
        let memory = &self.tiers.memory;
        let start = memory.begin();
        let accounts = match part {
            HistoryPart::PointTransactions => self.known_accounts(id, start, flight),
            HistoryPart::RedeemedVouchers | HistoryPart::Purchases => None,
        };
        flight.begin(start.sequence, start.now.tick);
        let fetched = self.read_history(permit, id, part, accounts.as_ref()).await;
        let outcome = fetched.map(|fetched| {
            let entry = Arc::new(memory.history_entry((id, part), start, fetched));
            memory.store_history(&entry);
            entry
        });
        let error = outcome.as_ref().err();
        self.note(&CallKey::History(id, part), start, cause, error);
        outcome
    }

    /// The contact's cached point accounts, if they are young enough for all requests of the flight: with them a call
    /// is saved.
    fn known_accounts(
        &self,
        id: ContactId,
        start: FetchStart,
        flight: &FlightStart<HistoryOutcome>,
    ) -> Option<Entry<Points>> {
        let memory = &self.tiers.memory;
        let (record, now) = (memory.record(id)?, start.now.tick);
        let provenance = record.provenance(Part::Points)?;
        // A fence that is raised later forbids what this flight fetches, too.
        let is_allowed = memory.fences.allows(id, Part::Points, provenance.sequence);
        let is_usable = is_allowed
            && !provenance.is_shared
            && provenance.source == FetchSource::Entity
            && provenance.freshness(now, &memory.policy) == Freshness::Fresh;
        if !is_usable {
            return None;
        }
        // The flight counts as begun when the accounts were requested. From now on a request that wants newer ones does
        // not join it; a request that has joined is part of the demand.
        flight.begin(provenance.sequence, now);
        let max_age = flight.demand().borrow().max_age;
        if max_age.is_zero() || provenance.age(now) > max_age {
            return None;
        }
        memory.parts_of(&record)?.points
    }

    /// Calls the endpoint.
    async fn read_history(
        &self,
        permit: Permit,
        id: ContactId,
        part: HistoryPart,
        accounts: Option<&Entry<Points>>,
    ) -> Result<Partial<History>, Error> {
        let engage = &self.engage;
        Ok(match part {
            HistoryPart::PointTransactions => {
                let known = accounts.map(|accounts| KnownPoints {
                    points: &accounts.data,
                    is_incomplete: accounts.incomplete,
                });
                let transactions = engage.point_transactions(permit, id, known).await?;
                transactions.map(History::PointTransactions)
            }
            HistoryPart::RedeemedVouchers => {
                let vouchers = engage.redeemed_vouchers(permit, id).await?;
                vouchers.map(History::RedeemedVouchers)
            }
            HistoryPart::Purchases => {
                let purchases = engage.purchases(permit, id).await?;
                purchases.map(History::Purchases)
            }
        })
    }
}

/// The group of endpoints that returns the part.
pub(super) fn group(part: HistoryPart) -> Group {
    match part {
        HistoryPart::PointTransactions => Group::PointTransactions,
        HistoryPart::RedeemedVouchers => Group::RedeemedVouchers,
        HistoryPart::Purchases => Group::Purchases,
    }
}
