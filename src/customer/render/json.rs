//! The JSON form of the answer, key by key; the customer's own data is in `person`.

mod history;

use serde::{Serialize, Serializer};

pub(super) use self::history::{PageJson, PurchasesJson, RedeemedJson, TransactionJson};
use super::{
    person::{AudienceJson, ConsentJson, ContactabilityJson, PreferencesJson, ProfileJson},
    time::maybe_rfc_3339,
};
use crate::domain::{
    ContactId, Decimal, HistoryMap, HistoryPart, Money, Offer, OfferKind, OfferValue, Part,
    PartMap, Points, Promotion, Voucher,
};

/// The answer but for `freshness`, which comes last: validators do not cover it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnswerJson<'a> {
    pub(super) contact_id: ContactId,
    pub(super) contact_type: Option<&'a str>,
    pub(super) profile: Option<ProfileJson<'a>>,
    pub(super) contactability: Option<ContactabilityJson<'a>>,
    pub(super) preferences: Option<PreferencesJson>,
    pub(super) consents: Option<Vec<ConsentJson<'a>>>,
    pub(super) audiences: Option<Vec<AudienceJson<'a>>>,
    pub(super) points: Option<PointsJson<'a>>,
    pub(super) vouchers: Option<Vec<VoucherJson<'a>>>,
    pub(super) promotions: Option<Vec<PromotionJson<'a>>>,
    pub(super) point_transactions: Option<PageJson<TransactionJson<'a>>>,
    pub(super) redeemed_vouchers: Option<PageJson<RedeemedJson<'a>>>,
    pub(super) purchases: Option<PurchasesJson>,
    pub(super) expiring_soon: Option<Vec<ExpiringJson<'a>>>,
    pub(super) degraded: Vec<&'static str>,
}

#[derive(Serialize)]
pub(super) struct PointsJson<'a> {
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    balance: Option<Decimal>,
    accounts: Vec<AccountJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountJson<'a> {
    definition_id: Option<&'a str>,
    name: Option<&'a str>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    balance: Decimal,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    pending: Option<Decimal>,
    expires_on: Option<Box<str>>,
}

impl<'a> PointsJson<'a> {
    pub(super) fn of(points: &'a Points, balance: Option<Decimal>) -> Self {
        let accounts = points.accounts.iter().map(|account| AccountJson {
            definition_id: account.definition_id.as_deref(),
            name: account.name.as_deref(),
            balance: account.balance,
            pending: account.pending,
            expires_on: maybe_rfc_3339(account.expires_on),
        });
        Self {
            balance,
            accounts: accounts.collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MoneyJson<'a> {
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    amount: Decimal,
    currency: &'a str,
}

impl<'a> From<&'a Money> for MoneyJson<'a> {
    fn from(money: &'a Money) -> Self {
        Self {
            amount: money.amount,
            currency: &money.currency,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VoucherJson<'a> {
    id: &'a str,
    code: Option<&'a str>,
    name: Option<&'a str>,
    value: Option<MoneyJson<'a>>,
    local_values: Vec<MoneyJson<'a>>,
    expires_on: Option<Box<str>>,
}

impl<'a> From<&'a Voucher> for VoucherJson<'a> {
    fn from(voucher: &'a Voucher) -> Self {
        Self {
            id: &voucher.id,
            code: voucher.code.as_deref(),
            name: voucher.name.as_deref(),
            value: voucher.value.as_ref().map(MoneyJson::from),
            local_values: voucher.local_values.iter().map(MoneyJson::from).collect(),
            expires_on: maybe_rfc_3339(voucher.expires_on),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromotionJson<'a> {
    id: &'a str,
    promotion_id: Option<&'a str>,
    external_id: Option<&'a str>,
    r#type: Option<&'a str>,
    name: Option<&'a str>,
    heading: Option<&'a str>,
    description: Option<&'a str>,
    image_url: Option<&'a str>,
    link: Option<&'a str>,
    expires_on: Option<Box<str>>,
    offers: Vec<OfferJson<'a>>,
}

impl<'a> PromotionJson<'a> {
    pub(super) fn of(promotion: &'a Promotion, offers: Vec<OfferJson<'a>>) -> Self {
        Self {
            id: &promotion.id,
            promotion_id: promotion.promotion_id.as_deref(),
            external_id: promotion.external_id.as_deref(),
            r#type: promotion.promotion_type.as_deref(),
            name: promotion.name.as_deref(),
            heading: promotion.heading.as_deref(),
            description: promotion.description.as_deref(),
            image_url: promotion.image_url.as_deref(),
            link: promotion.link.as_deref(),
            expires_on: maybe_rfc_3339(promotion.expires_on),
            offers,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfferJson<'a> {
    channel: Option<&'static str>,
    kind: &'static str,
    value: OfferValueJson<'a>,
    local_values: Vec<MoneyJson<'a>>,
    instruction: Option<&'a str>,
}

impl<'a> From<&'a Offer> for OfferJson<'a> {
    fn from(offer: &'a Offer) -> Self {
        Self {
            channel: offer.channel.map(crate::domain::Channel::as_str),
            kind: match offer.kind {
                OfferKind::Percent => "percent",
                OfferKind::Money => "money",
                OfferKind::External => "external",
                OfferKind::Manual => "manual",
                OfferKind::Other => "other",
            },
            value: OfferValueJson(&offer.value),
            local_values: offer.local_values.iter().map(MoneyJson::from).collect(),
            instruction: offer.instruction.as_deref(),
        }
    }
}

struct OfferValueJson<'a>(&'a OfferValue);

impl Serialize for OfferValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            OfferValue::None => serializer.serialize_none(),
            OfferValue::Text(text) => serializer.serialize_str(text),
            OfferValue::Money(money) => MoneyJson::from(money).serialize(serializer),
            OfferValue::Number(number) => {
                rust_decimal::serde::arbitrary_precision::serialize(number, serializer)
            }
        }
    }
}

/// What expires soon. Keys that do not apply to its kind are `null`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpiringJson<'a> {
    pub(super) kind: &'static str,
    pub(super) id: Option<&'a str>,
    pub(super) definition_id: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) amount: Option<AmountJson<'a>>,
    pub(super) expires_on: Box<str>,
}

/// How much expires: a voucher's value, or a number of points.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum AmountJson<'a> {
    Money(MoneyJson<'a>),
    Points(#[serde(with = "rust_decimal::serde::arbitrary_precision")] Decimal),
}

/// When each part was fetched; `null` for a part that is not shown.
pub(super) struct FreshnessJson {
    parts: PartMap<Option<AsOfJson>>,
    history: HistoryMap<Option<AsOfJson>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AsOfJson {
    as_of: Box<str>,
}

impl FreshnessJson {
    pub(super) fn of(
        of_part: impl Fn(Part) -> Option<Box<str>>,
        of_history: impl Fn(HistoryPart) -> Option<Box<str>>,
    ) -> Self {
        let json = |as_of: Option<Box<str>>| as_of.map(|as_of| AsOfJson { as_of });
        Self {
            parts: PartMap::from_fn(|part| json(of_part(part))),
            history: HistoryMap::from_fn(|part| json(of_history(part))),
        }
    }
}

impl Serialize for FreshnessJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts.iter();
        let parts = parts.map(|(part, as_of)| (part.as_str(), as_of));
        let history = self.history.iter();
        let history = history.map(|(part, as_of)| (part.as_str(), as_of));
        serializer.collect_map(parts.chain(history))
    }
}
