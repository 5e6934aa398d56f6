//! The JSON form of a contact's history: pages of its lists, and the summary of purchases.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    json::VoucherJson,
    time::{maybe_rfc_3339, rfc_3339},
};
use crate::{
    cache::HistoryEntry,
    domain::{
        Dated, Decimal, History, HistoryList, HistoryMap, HistoryPart, HistorySet,
        PointTransaction, PurchaseFigures, Purchases, RedeemedVoucher,
    },
};

/// What is rendered of a contact's history.
#[derive(Debug)]
pub(in crate::customer) struct HistoryContent {
    /// What may be shown.
    pub(in crate::customer) entries: HistoryMap<Option<Arc<HistoryEntry>>>,
    /// The parts that are named in `degraded`.
    pub(in crate::customer) degraded: HistorySet,
    /// How many items of each list.
    pub(in crate::customer) limit: usize,
    /// Only items before this.
    pub(in crate::customer) before: Option<Timestamp>,
}

impl HistoryContent {
    /// When the part was fetched, if it is shown.
    pub(super) fn as_of(&self, part: HistoryPart) -> Option<Box<str>> {
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

    /// The requested page. Responses have milliseconds, so items of the same millisecond are never on two pages: `next`
    /// could not tell them apart.
    fn page<'a, T: Dated, J>(
        &self,
        list: &'a HistoryList<T>,
        json: impl Fn(&'a T) -> J,
    ) -> PageJson<J> {
        let items = &list.items;
        let is_wanted = |item: &T| self.before.is_none_or(|before| shown_date(item) < before);
        // The newest are first.
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

/// A page of a list.
#[derive(Serialize)]
pub(super) struct PageJson<J> {
    items: Vec<J>,
    /// The `before` that asks for the next page.
    next: Option<Box<str>>,
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionJson<'a> {
    id: &'a str,
    definition_id: Option<&'a str>,
    r#type: Option<&'a str>,
    source: Option<&'a str>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    amount: Decimal,
    description: Option<&'a str>,
    date: Box<str>,
    valid_from: Option<Box<str>>,
    valid_to: Option<Box<str>>,
    pending: Option<bool>,
}

impl<'a> TransactionJson<'a> {
    fn of(item: &'a PointTransaction, now: Timestamp) -> Self {
        Self {
            id: &item.id,
            definition_id: item.definition_id.as_deref(),
            r#type: item.kind.as_deref(),
            source: item.source.as_deref(),
            amount: item.amount,
            description: item.description.as_deref(),
            date: rfc_3339(item.date),
            valid_from: maybe_rfc_3339(item.valid_from),
            valid_to: maybe_rfc_3339(item.valid_to),
            pending: item.valid_from.map(|valid_from| valid_from > now),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedeemedJson<'a> {
    #[serde(flatten)]
    voucher: VoucherJson<'a>,
    redeemed_on: Box<str>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    points: Option<Decimal>,
}

impl<'a> From<&'a RedeemedVoucher> for RedeemedJson<'a> {
    fn from(redeemed: &'a RedeemedVoucher) -> Self {
        Self {
            voucher: VoucherJson::from(&redeemed.voucher),
            redeemed_on: rfc_3339(redeemed.redeemed_on),
            points: redeemed.points,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PurchasesJson {
    updated_on: Option<Box<str>>,
    latest_receipt_on: Option<Box<str>>,
    all: FiguresJson,
    last_year: FiguresJson,
    last_two_years: FiguresJson,
}

impl From<&Purchases> for PurchasesJson {
    fn from(purchases: &Purchases) -> Self {
        Self {
            updated_on: maybe_rfc_3339(purchases.updated_on),
            latest_receipt_on: maybe_rfc_3339(purchases.latest_receipt_on),
            all: FiguresJson::from(&purchases.all),
            last_year: FiguresJson::from(&purchases.last_year),
            last_two_years: FiguresJson::from(&purchases.last_two_years),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FiguresJson {
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    amount: Option<Decimal>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    articles: Option<Decimal>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    average_receipt: Option<Decimal>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    frequency: Option<Decimal>,
}

impl From<&PurchaseFigures> for FiguresJson {
    fn from(figures: &PurchaseFigures) -> Self {
        Self {
            amount: figures.amount,
            articles: figures.articles,
            average_receipt: figures.average_receipt,
            frequency: figures.frequency,
        }
    }
}
