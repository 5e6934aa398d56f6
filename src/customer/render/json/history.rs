//! The JSON form of a contact's history.

use jiff::Timestamp;
use serde::Serialize;

use super::VoucherJson;
use crate::{
    customer::render::time::{maybe_rfc_3339, rfc_3339},
    domain::{Decimal, PointTransaction, PurchaseFigures, Purchases, RedeemedVoucher},
};

/// A page of a list.
#[derive(Serialize)]
pub(in crate::customer::render) struct PageJson<J> {
    pub(in crate::customer::render) items: Vec<J>,
    /// The `before` that asks for the next page.
    pub(in crate::customer::render) next: Option<Box<str>>,
    pub(in crate::customer::render) truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::customer::render) struct TransactionJson<'a> {
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
    pub(in crate::customer::render) fn of(item: &'a PointTransaction, now: Timestamp) -> Self {
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
pub(in crate::customer::render) struct RedeemedJson<'a> {
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
pub(in crate::customer::render) struct PurchasesJson {
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
