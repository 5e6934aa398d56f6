//! The JSON form of the answer, key by key; the customer's own data is in `person`.

mod history;

use serde::{Serialize, Serializer};

pub(super) use self::history::{PageJson, PurchasesJson, RedeemedJson, TransactionJson};
use super::{
    person::{AudienceJson, ConsentJson, ContactabilityJson, PreferencesJson, ProfileJson},
    time::{TimeJson, maybe_rfc_3339},
};
use crate::domain::{
    ContactId, Decimal, HistoryMap, HistoryPart, Money, Offer, OfferKind, OfferValue, Part,
    PartMap, Points, Promotion, Voucher,
};

/// A customer: everything but `freshness`, which is rendered last, since validators do not cover it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Customer))]
#[serde(rename_all = "camelCase")]
pub(super) struct AnswerJson<'a> {
    /// Engage's id of the customer.
    #[cfg_attr(test, schema(value_type = String, format = "uuid"))]
    pub(super) contact_id: ContactId,
    /// Engage's contact type, such as `Member`; `null` where Engage shows none, or several.
    pub(super) contact_type: Option<&'a str>,
    /// Who the customer is. Never `null` in an answer about a customer.
    pub(super) profile: Option<ProfileJson<'a>>,
    /// How the customer may be reached; `null` in the view `storefront` for a protected identity.
    pub(super) contactability: Option<ContactabilityJson<'a>>,
    /// Use `contactability.<channel>.accepted` instead: the same values.
    #[cfg_attr(test, schema(deprecated))]
    pub(super) preferences: Option<PreferencesJson>,
    /// `null` where they cannot be read.
    pub(super) consents: Option<Vec<ConsentJson<'a>>>,
    /// The target audiences that the customer belongs to, as Engage computed them last night.
    pub(super) audiences: Option<Vec<AudienceJson<'a>>>,
    /// `null`: not requested, or not available (then in `degraded`).
    pub(super) points: Option<PointsJson<'a>>,
    /// What can be used now: neither redeemed nor expired. `null`: not requested, or not available.
    pub(super) vouchers: Option<Vec<VoucherJson<'a>>>,
    /// What can be used now, in the channel. `null`: not requested, or not available.
    pub(super) promotions: Option<Vec<PromotionJson<'a>>>,
    /// History, the newest item first; `null` unless requested, or where it is not available.
    pub(super) point_transactions: Option<PageJson<TransactionJson<'a>>>,
    /// History, the newest item first; `null` unless requested, or where it is not available.
    pub(super) redeemed_vouchers: Option<PageJson<RedeemedJson<'a>>>,
    /// Engage's summary of the purchases; `null` unless requested, where it is not available, or where Engage has
    /// computed none.
    pub(super) purchases: Option<PurchasesJson>,
    /// What ends within the window, soonest first; `null` where vouchers, promotions or points are missing: the list
    /// would be incomplete.
    pub(super) expiring_soon: Option<Vec<ExpiringJson<'a>>>,
    /// The parts that are older than they should be, incomplete, or not available.
    #[cfg_attr(test, schema(value_type = Vec<crate::customer::render::schemas::PartName>))]
    pub(super) degraded: Vec<&'static str>,
}

/// The customer's points.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Points))]
pub(super) struct PointsJson<'a> {
    /// The balance of the default definition, else of the only account, else `null`: balances of different definitions
    /// are never summed.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    balance: Option<Decimal>,
    /// One for each point definition. `[]`: no points were ever given.
    accounts: Vec<AccountJson<'a>>,
}

/// The points of one definition.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PointAccount))]
#[serde(rename_all = "camelCase")]
struct AccountJson<'a> {
    /// `null` in API v2.
    definition_id: Option<&'a str>,
    /// The name of the definition; `null` until it has been read.
    name: Option<&'a str>,
    /// The points that can be used.
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[cfg_attr(test, schema(value_type = f64, format = "decimal"))]
    balance: Decimal,
    /// The points that cannot be used yet.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    pending: Option<Decimal>,
    /// When points of the balance expire next.
    expires_on: Option<TimeJson>,
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

/// An exact amount of money.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Money))]
pub(super) struct MoneyJson<'a> {
    /// With Engage's digits.
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    #[cfg_attr(test, schema(value_type = f64, format = "decimal"))]
    amount: Decimal,
    /// ISO 4217.
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

/// A reward voucher.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Voucher))]
#[serde(rename_all = "camelCase")]
pub(super) struct VoucherJson<'a> {
    /// What Engage redeems the voucher by.
    id: &'a str,
    /// The code that the customer shows and a till scans.
    code: Option<&'a str>,
    /// The voucher's name.
    name: Option<&'a str>,
    /// What it is worth.
    value: Option<MoneyJson<'a>>,
    /// The same in other currencies.
    local_values: Vec<MoneyJson<'a>>,
    /// When it expires: from then on it is no longer listed as current. `null`: it does not expire.
    expires_on: Option<TimeJson>,
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

/// A promotion that is assigned to the customer.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Promotion))]
#[serde(rename_all = "camelCase")]
pub(super) struct PromotionJson<'a> {
    /// The assignment: what Engage redeems the promotion by.
    id: &'a str,
    /// The promotion, shared by many customers.
    promotion_id: Option<&'a str>,
    /// The promotion's id in the retailer's own systems; `null` if it was made in Engage's user interface.
    external_id: Option<&'a str>,
    /// Engage's type, such as `Multichannel`; there may be others.
    r#type: Option<&'a str>,
    /// The internal name.
    name: Option<&'a str>,
    /// The heading for customers.
    heading: Option<&'a str>,
    /// The text for customers.
    description: Option<&'a str>,
    /// An image.
    image_url: Option<&'a str>,
    /// A page about it.
    link: Option<&'a str>,
    /// When it expires: from then on it is no longer listed as current. `null`: it does not expire.
    expires_on: Option<TimeJson>,
    /// By channel.
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

/// A promotion's offer in one channel. `kind` decides what `value` is.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Offer))]
#[serde(rename_all = "camelCase")]
pub(super) struct OfferJson<'a> {
    /// Where it can be redeemed; `null` for a channel that is not known.
    #[cfg_attr(test, schema(value_type = Option<crate::customer::render::schemas::ChannelName>))]
    channel: Option<&'static str>,
    /// The kind of offer; kinds that Engage adds later are `other`.
    #[cfg_attr(test, schema(value_type = String))]
    kind: &'static str,
    /// The value, by `kind`; `null` where Engage shows none.
    #[cfg_attr(test, schema(value_type = Value))]
    value: OfferValueJson<'a>,
    /// The same amount in other currencies.
    local_values: Vec<MoneyJson<'a>>,
    /// For staff.
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

/// What expires soon. `kind` decides what the other members are; those that do not apply to it are `null`.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Expiring))]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpiringJson<'a> {
    /// What it is.
    #[cfg_attr(test, schema(value_type = String))]
    pub(super) kind: &'static str,
    /// The voucher's, the assignment's, or the point definition's.
    pub(super) id: Option<&'a str>,
    /// Of points.
    pub(super) definition_id: Option<&'a str>,
    /// Of a voucher.
    pub(super) code: Option<&'a str>,
    /// Of a promotion its heading.
    pub(super) name: Option<&'a str>,
    /// How much: money of a voucher, a number of points; `null` of a promotion.
    #[cfg_attr(test, schema(value_type = Value))]
    pub(super) amount: Option<AmountJson<'a>>,
    /// When.
    pub(super) expires_on: TimeJson,
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

/// When a part was fetched.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AsOf))]
#[serde(rename_all = "camelCase")]
struct AsOfJson {
    /// When the request to Engage started.
    as_of: TimeJson,
}

impl FreshnessJson {
    pub(super) fn of(
        of_part: impl Fn(Part) -> Option<TimeJson>,
        of_history: impl Fn(HistoryPart) -> Option<TimeJson>,
    ) -> Self {
        let json = |as_of: Option<TimeJson>| as_of.map(|as_of| AsOfJson { as_of });
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
