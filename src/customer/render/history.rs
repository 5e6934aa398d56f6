//! Renders a contact's history: pages of its lists, and the summary of purchases.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    json::{PageJson, PurchasesJson, RedeemedJson, TransactionJson},
    time::{TimeJson, rfc_3339},
};
use crate::{
    cache::HistoryEntry,
    domain::{Dated, History, HistoryList, HistoryMap, HistoryPart, HistorySet},
};

/// The history that a response is rendered from.
#[derive(Debug)]
pub(in crate::customer) struct HistoryContent {
    /// The entries that may be shown.
    pub(in crate::customer) entries: HistoryMap<Option<Arc<HistoryEntry>>>,
    /// The parts that are named in `degraded`.
    pub(in crate::customer) degraded: HistorySet,
    /// The greatest number of items of each list.
    pub(in crate::customer) limit: usize,
    /// Only items before this, if set.
    pub(in crate::customer) before: Option<Timestamp>,
}

impl HistoryContent {
    /// When the part was fetched, if it is shown.
    pub(super) fn as_of(&self, part: HistoryPart) -> Option<TimeJson> {
        let entry = self.entries[part].as_ref()?;
        Some(rfc_3339(entry.provenance.as_of))
    }

    fn data(&self, part: HistoryPart) -> Option<&History> {
        self.entries[part].as_ref().map(|entry| &entry.data)
    }

    pub(super) fn point_transactions(
        &self,
        now: Timestamp,
    ) -> Option<PageJson<TransactionJson<'_>>> {
        match self.data(HistoryPart::PointTransactions)? {
            History::PointTransactions(list) => {
                Some(self.page(list, |item| TransactionJson::of(item, now)))
            }
            History::RedeemedVouchers(_) | History::Purchases(_) => None,
        }
    }

    pub(super) fn redeemed_vouchers(&self) -> Option<PageJson<RedeemedJson<'_>>> {
        match self.data(HistoryPart::RedeemedVouchers)? {
            History::RedeemedVouchers(list) => Some(self.page(list, RedeemedJson::from)),
            History::PointTransactions(_) | History::Purchases(_) => None,
        }
    }

    pub(super) fn purchases(&self) -> Option<PurchasesJson> {
        match self.data(HistoryPart::Purchases)? {
            History::Purchases(purchases) => purchases.as_deref().map(PurchasesJson::from),
            History::PointTransactions(_) | History::RedeemedVouchers(_) => None,
        }
    }

    /// The requested page. Responses show milliseconds, so items of the same millisecond are never split between two
    /// pages: `next` could not tell them apart.
    fn page<'a, T: Dated, J>(
        &self,
        list: &'a HistoryList<T>,
        json: impl Fn(&'a T) -> J,
    ) -> PageJson<J> {
        let items = &list.items;
        let is_wanted = |item: &T| self.before.is_none_or(|before| shown_date(item) < before);
        // The newest items are first.
        let from = items.partition_point(|item| !is_wanted(item));
        let mut to = items.len().min(from.saturating_add(self.limit));
        while to > from && to < items.len() && shown_date(&items[to]) == shown_date(&items[to - 1])
        {
            to += 1;
        }
        let end = items[from..to].last().filter(|_| to < items.len());
        PageJson {
            items: items[from..to].iter().map(json).collect(),
            next: end.map(|item| rfc_3339(item.date())),
            truncated: list.truncated,
        }
    }
}

/// The date in milliseconds, as in a response.
fn shown_date(item: &impl Dated) -> Timestamp {
    let date = item.date();
    Timestamp::from_millisecond(date.as_millisecond()).unwrap_or(date)
}
