//! The endpoints of a contact's history.
//!
//! Lists are read up to a limit. Engage documents no order. If a list is longer than the limit, the dates on its first
//! page show whether the newest items are at the beginning or at the end, and those are read.

use std::collections::HashSet;

use super::{
    EngageClient,
    pages::{MAX_PAGES, PAGE},
};
use crate::{
    config::ApiVersion,
    domain::{
        AnswerPath, ContactId, Dated, HistoryList, HistoryPart, Partial, PointTransaction, Points,
        Purchases, RedeemedVoucher,
    },
    engage::{admission::Permit, error::Error, wire::Page},
};

/// Upper bound of pages of transactions, for all definitions together; one more page may contain the accounts.
const TRANSACTION_PAGES: u32 = MAX_PAGES - 1;

/// A contact's point accounts, as far as they could be read.
#[derive(Clone, Copy, Debug)]
pub struct KnownPoints<'a> {
    /// The accounts.
    pub points: &'a Points,
    /// Whether an account is missing.
    pub is_incomplete: bool,
}

/// The calls of one permit: each call but the first waits for the call budget again.
struct Turns<'a> {
    permit: &'a Permit,
    /// The calls so far.
    calls: u32,
}

impl<'a> Turns<'a> {
    fn of(permit: &'a Permit) -> Self {
        Self { permit, calls: 0 }
    }

    async fn next(&mut self) -> Result<(), Error> {
        self.calls += 1;
        if self.calls == 1 {
            return Ok(());
        }
        self.permit.another().await
    }
}

/// A list, and the query by which it is requested.
#[derive(Clone, Copy)]
struct ListRequest<'a> {
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    max_pages: u32,
}

impl EngageClient {
    /// The contact's point transactions. In v3 they are requested by point definition, so the contact's accounts come
    /// first, unless they are `known`.
    pub async fn point_transactions(
        &self,
        permit: Permit,
        id: ContactId,
        known: Option<KnownPoints<'_>>,
    ) -> Result<Partial<HistoryList<PointTransaction>>, Error> {
        let mut turns = Turns::of(&permit);
        let mut all = match self.version {
            ApiVersion::V2 => {
                let path = format!("contacts/{id}/bonuspointtransactions");
                let request = ListRequest {
                    path: &path,
                    query: &[],
                    max_pages: TRANSACTION_PAGES,
                };
                let read = |body: &[u8]| self.reader.point_transactions(id, None, body);
                self.newest_items(&mut turns, request, read).await?
            }
            ApiVersion::V3 => {
                self.transactions_by_definition(&mut turns, id, known)
                    .await?
            }
        };
        order(&mut all.data);
        self.report_unreadable(HistoryPart::PointTransactions.as_str(), &all.left_out);
        Ok(all)
    }

    async fn transactions_by_definition(
        &self,
        turns: &mut Turns<'_>,
        id: ContactId,
        known: Option<KnownPoints<'_>>,
    ) -> Result<Partial<HistoryList<PointTransaction>>, Error> {
        let mut all = Partial::from(HistoryList::default());
        let fetched;
        let points = if let Some(known) = known {
            if known.is_incomplete {
                all.left_out.push("accounts");
            }
            known.points
        } else {
            turns.next().await?;
            fetched = self.point_accounts(turns.permit, id, 1).await?;
            all.left_out.extend(&fetched.left_out);
            &fetched.data
        };
        let definitions = definitions(points, &mut all.left_out);
        let contact = id.to_string();
        let mut pages_left = TRANSACTION_PAGES;
        for (number, definition) in definitions.iter().enumerate() {
            if pages_left == 0 {
                all.data.truncated = true;
                break;
            }
            let lists_left = u32::try_from(definitions.len() - number).unwrap_or(u32::MAX);
            let calls_before = turns.calls;
            let query = [("contactId", &*contact), ("definitionId", definition)];
            let request = ListRequest {
                path: "point-transactions",
                query: &query,
                max_pages: page_share(pages_left, lists_left),
            };
            let read = |body: &[u8]| self.reader.point_transactions(id, Some(definition), body);
            let mut list = self.newest_items(turns, request, read).await?;
            pages_left -= turns.calls - calls_before;
            all.data.items.append(&mut list.data.items);
            all.data.truncated |= list.data.truncated;
            all.left_out.append(&mut list.left_out);
        }
        Ok(all)
    }

    /// The contact's redeemed vouchers.
    pub async fn redeemed_vouchers(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Partial<HistoryList<RedeemedVoucher>>, Error> {
        let contact = id.to_string();
        let by_contact = [("contactId", &*contact)];
        let (path, query) = match self.version {
            ApiVersion::V3 => ("reward-vouchers/redeemed".to_owned(), &by_contact[..]),
            ApiVersion::V2 => (format!("contacts/{id}/bonuschecks/redeemed"), &[][..]),
        };
        let request = ListRequest {
            path: &path,
            query,
            max_pages: MAX_PAGES,
        };
        let mut turns = Turns::of(&permit);
        let read = |body: &[u8]| self.reader.redeemed_vouchers(id, body);
        let mut all = self.newest_items(&mut turns, request, read).await?;
        order(&mut all.data);
        self.report_unreadable(HistoryPart::RedeemedVouchers.as_str(), &all.left_out);
        Ok(all)
    }

    /// `/contacts/{id}/purchasehistorysummary`; `None` if Engage has computed none.
    pub async fn purchases(
        &self,
        permit: Permit,
        id: ContactId,
    ) -> Result<Partial<Option<Box<Purchases>>>, Error> {
        let path = format!("contacts/{id}/purchasehistorysummary");
        let read = |body: &[u8]| self.reader.purchases(id, body);
        match self.call(&permit, &path, &[], read).await {
            Err(Error::NotCalculated) => Ok(Partial::from(None)),
            purchases => {
                let purchases = purchases?;
                self.report_unreadable(HistoryPart::Purchases.as_str(), &purchases.left_out);
                Ok(purchases.map(|data| Some(Box::new(data))))
            }
        }
    }

    /// The items of a list. Of a list that does not fit in `max_pages` pages: the newest, if the first page shows the
    /// order; else the first ones. If `max_pages` is one and the newest are at the end, none: only older items may be
    /// missing in a history.
    async fn newest_items<T: Dated>(
        &self,
        turns: &mut Turns<'_>,
        request: ListRequest<'_>,
        read: impl Fn(&[u8]) -> Result<Page<Partial<Vec<T>>>, Error>,
    ) -> Result<Partial<HistoryList<T>>, Error> {
        let mut all = Partial::from(HistoryList::default());
        let max_pages = usize::try_from(request.max_pages).unwrap_or(usize::MAX);
        let mut offset = 0;
        for page_number in 0..max_pages {
            turns.next().await?;
            let (offset_text, count_text) = (offset.to_string(), PAGE.to_string());
            let mut query = request.query.to_vec();
            query.extend([("offset", &*offset_text), ("count", &*count_text)]);
            let page = match self.call(turns.permit, request.path, &query, &read).await {
                Err(error) if error.is_too_large() && page_number > 0 => {
                    all.left_out.push("size");
                    return Ok(all);
                }
                page => page?,
            };
            // A page at another offset would leave a gap.
            if page.offset.is_some_and(|actual| actual != offset) {
                if page_number == 0 {
                    return Err(Error::invalid("offset"));
                }
                all.left_out.push("offset");
                return Ok(all);
            }
            let reach = page.count.saturating_mul(max_pages);
            if let Some(total) = page.total
                && page_number == 0
                && reach > 0
                && total > reach
            {
                all.data.truncated = true;
                if is_oldest_first(&page.items.data) {
                    if max_pages == 1 {
                        all.left_out.push("size");
                        return Ok(all);
                    }
                    offset = total - page.count * (max_pages - 1);
                    continue;
                }
            }
            offset += page.count;
            let mut items = page.items;
            all.data.items.append(&mut items.data);
            all.left_out.append(&mut items.left_out);
            let is_last = match page.total {
                Some(total) => offset >= total,
                None => page.count < PAGE,
            };
            if is_last {
                return Ok(all);
            }
            if page.count == 0 {
                all.left_out.push("totalCount");
                return Ok(all);
            }
        }
        all.data.truncated = true;
        Ok(all)
    }
}

/// How many pages of the next list may be read, so that each list gets one if possible. Two at least, if they can be
/// spared, because the newest items may be on a list's last page.
fn page_share(pages_left: u32, lists_left: u32) -> u32 {
    let spare = (pages_left + 1).saturating_sub(lists_left).max(1);
    let even = pages_left.checked_div(lists_left).unwrap_or_default();
    even.max(2).min(spare)
}

/// The definitions of the accounts, each once. The transactions of an account without a definition can't be requested.
fn definitions<'a>(points: &'a Points, left_out: &mut Vec<AnswerPath>) -> Vec<&'a str> {
    let mut definitions = Vec::new();
    for account in &points.accounts {
        match account.definition_id.as_deref() {
            Some(definition) if !definitions.contains(&definition) => definitions.push(definition),
            Some(_) => {}
            None => left_out.push("accounts[].definitionId"),
        }
    }
    definitions
}

/// Whether later items are newer, by the dates of the first and the last.
fn is_oldest_first<T: Dated>(items: &[T]) -> bool {
    let dates = items.first().zip(items.last());
    dates.is_some_and(|(first, last)| first.date() < last.date())
}

/// Sorts the newest first, and items of the same moment by id, so that an unchanged list keeps its order. Removes
/// duplicates: an item that was created between two pages moves another one to the next page.
fn order<T: Dated>(list: &mut HistoryList<T>) {
    let mut seen = HashSet::new();
    list.items
        .retain(|item| seen.insert(Box::<str>::from(item.id())));
    list.items.sort_unstable_by(|one, other| {
        let by_date = other.date().cmp(&one.date());
        by_date.then_with(|| one.id().cmp(other.id()))
    });
    list.items.shrink_to_fit();
}
