//! The JSON form of a contact's history.

use jiff::Timestamp;
use serde::Serialize;

use super::VoucherJson;
use crate::{
    customer::render::time::{TimeJson, maybe_rfc_3339, rfc_3339},
    domain::{Decimal, PointTransaction, PurchaseFigures, Purchases, RedeemedVoucher},
};

/// A page of a list.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Page))]
pub(in crate::customer::render) struct PageJson<J> {
    /// The newest first.
    pub(in crate::customer::render) items: Vec<J>,
    /// The value of `before` for the next page; `null`: this service has no older items, though Engage may
    /// (`truncated`).
    pub(in crate::customer::render) next: Option<TimeJson>,
    /// Whether Engage has older items that this service does not fetch, on any page.
    pub(in crate::customer::render) truncated: bool,
}

/// What changed the points.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PointTransaction))]
#[serde(rename_all = "camelCase")]
pub(in crate::customer::render) struct TransactionJson<'a> {
    /// Engage's id.
    id: &'a str,
    /// The point definition; `null` in API v2.
    definition_id: Option<&'a str>,
    /// Engage's word, such as `Addition`; there may be others.
    r#type: Option<&'a str>,
    /// Engage's word, such as `Purchase`; there may be others.
    source: Option<&'a str>,
    /// How many points.
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[cfg_attr(test, schema(value_type = f64, format = "decimal"))]
    amount: Decimal,
    /// For people.
    description: Option<&'a str>,
    /// When it happened, else when it was recorded.
    date: TimeJson,
    /// From when on the points can be used.
    valid_from: Option<TimeJson>,
    /// Until when the points can be used.
    valid_to: Option<TimeJson>,
    /// Whether the points cannot be used yet; `null` where that is not known.
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

/// A voucher that was redeemed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RedeemedVoucher))]
#[serde(rename_all = "camelCase")]
pub(in crate::customer::render) struct RedeemedJson<'a> {
    #[serde(flatten)]
    voucher: VoucherJson<'a>,
    /// When it was redeemed.
    redeemed_on: TimeJson,
    /// The points that it was given for.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
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

/// Engage's summary of the purchases, in the currency of the group.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Purchases))]
#[serde(rename_all = "camelCase")]
pub(in crate::customer::render) struct PurchasesJson {
    /// When Engage computed it.
    updated_on: Option<TimeJson>,
    /// The last purchase.
    latest_receipt_on: Option<TimeJson>,
    /// All purchases.
    all: FiguresJson,
    /// Within the last year.
    last_year: FiguresJson,
    /// Within the last two years.
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

/// The purchases of a period.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PurchaseFigures))]
#[serde(rename_all = "camelCase")]
struct FiguresJson {
    /// What was paid.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    amount: Option<Decimal>,
    /// How many articles.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    articles: Option<Decimal>,
    /// What was paid per receipt.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    average_receipt: Option<Decimal>,
    /// How many purchases.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
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
