//! The JSON form of the answer, key by key.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{
    customer::{
        answer::Attributes,
        contactability::{Channel as Reach, Contactability},
    },
    domain::{
        Address, Audience, Consent, ContactId, Decimal, Level, Offer, OfferKind, OfferValue, Part,
        Points, Preferences, Profile, Promotion, Store, Voucher, Warning,
    },
};

/// RFC 3339 in UTC with milliseconds.
pub(super) fn time(moment: Timestamp) -> Box<str> {
    format!("{moment:.3}").into()
}

fn time_of(moment: Option<Timestamp>) -> Option<Box<str>> {
    moment.map(time)
}

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
    pub(super) expiring_soon: Vec<ExpiringJson<'a>>,
    pub(super) freshness: FreshnessJson,
    pub(super) degraded: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileJson<'a> {
    pub(super) first_name: Option<&'a str>,
    pub(super) last_name: Option<&'a str>,
    pub(super) email: Option<&'a str>,
    pub(super) mobile_phone: Option<&'a str>,
    pub(super) address: Option<AddressJson<'a>>,
    pub(super) birth_day: Option<&'a str>,
    pub(super) language: Option<&'a str>,
    pub(super) member_number: Option<&'a str>,
    pub(super) level: Option<LevelJson<'a>>,
    pub(super) home_store: Option<StoreJson<'a>>,
    pub(super) member_since: Option<Box<str>>,
    pub(super) attributes: AttributesJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressJson<'a> {
    street: Option<&'a str>,
    care_of: Option<&'a str>,
    zip_code: Option<&'a str>,
    city: Option<&'a str>,
    country_code: Option<&'a str>,
}

impl<'a> From<&'a Address> for AddressJson<'a> {
    fn from(address: &'a Address) -> Self {
        Self {
            street: address.street.as_deref(),
            care_of: address.care_of.as_deref(),
            zip_code: address.zip_code.as_deref(),
            city: address.city.as_deref(),
            country_code: address.country_code.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LevelJson<'a> {
    name: &'a str,
    expires_on: Option<Box<str>>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    points_to_next: Option<Decimal>,
}

impl<'a> From<&'a Level> for LevelJson<'a> {
    fn from(level: &'a Level) -> Self {
        Self {
            name: &level.name,
            expires_on: time_of(level.expires_on),
            points_to_next: level.points_to_next,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreJson<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
    external_id: Option<&'a str>,
}

impl<'a> From<&'a Store> for StoreJson<'a> {
    fn from(store: &'a Store) -> Self {
        Self {
            id: store.id.as_deref(),
            name: store.name.as_deref(),
            external_id: store.external_id.as_deref(),
        }
    }
}

/// The attributes that the view allows, under Engage's keys and as Engage wrote them.
pub(super) struct AttributesJson<'a> {
    pub(super) attributes: &'a [(Box<str>, Box<RawValue>)],
    pub(super) allowed: &'a Attributes,
    pub(super) guarded: bool,
}

/// Attributes that tell where a contact with protected identity lives or shops.
const WHEREABOUTS: [&str; 4] = ["country", "createdInStore", "store", "recruitedByStore"];

impl Serialize for AttributesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.attributes {
            let hidden = self.guarded && WHEREABOUTS.contains(&&**key);
            if !hidden && self.allowed.allows(key) {
                map.serialize_entry(&**key, value)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
pub(super) struct ContactabilityJson<'a> {
    email: EmailJson<'a>,
    sms: SmsJson<'a>,
    postal: PostalJson<'a>,
}

#[derive(Serialize)]
struct EmailJson<'a> {
    address: Option<&'a str>,
    status: &'static str,
    accepted: Option<bool>,
    warnings: Vec<WarningJson<'a>>,
}

#[derive(Serialize)]
struct SmsJson<'a> {
    number: Option<&'a str>,
    status: &'static str,
    accepted: Option<bool>,
    warnings: Vec<WarningJson<'a>>,
}

#[derive(Serialize)]
struct PostalJson<'a> {
    status: &'static str,
    accepted: Option<bool>,
    warnings: Vec<WarningJson<'a>>,
}

#[derive(Serialize)]
struct WarningJson<'a> {
    id: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> ContactabilityJson<'a> {
    pub(super) fn of(profile: &'a Profile, known: &Contactability<'a>) -> Self {
        Self {
            email: EmailJson {
                address: profile.email.as_deref(),
                status: known.email.status.as_str(),
                accepted: known.email.accepted,
                warnings: warnings(&known.email),
            },
            sms: SmsJson {
                number: profile.mobile_phone.as_deref(),
                status: known.sms.status.as_str(),
                accepted: known.sms.accepted,
                warnings: warnings(&known.sms),
            },
            postal: PostalJson {
                status: known.postal.status.as_str(),
                accepted: known.postal.accepted,
                warnings: warnings(&known.postal),
            },
        }
    }
}

fn warnings<'a>(reach: &Reach<'a>) -> Vec<WarningJson<'a>> {
    let json = |warning: &&'a Warning| WarningJson {
        id: warning.id.as_deref(),
        message: warning.message.as_deref(),
    };
    reach.warnings.iter().map(json).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the keys are the contract's")]
pub(super) struct PreferencesJson {
    accepts_email: Option<bool>,
    accepts_sms: Option<bool>,
    accepts_postal: Option<bool>,
}

impl From<&Preferences> for PreferencesJson {
    fn from(preferences: &Preferences) -> Self {
        Self {
            accepts_email: preferences.accepts_email,
            accepts_sms: preferences.accepts_sms,
            accepts_postal: preferences.accepts_postal,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ConsentJson<'a> {
    id: &'a str,
    given: Option<bool>,
    date: Option<Box<str>>,
}

impl<'a> From<&'a Consent> for ConsentJson<'a> {
    fn from(consent: &'a Consent) -> Self {
        Self {
            id: &consent.id,
            given: consent.given,
            date: time_of(consent.date),
        }
    }
}

#[derive(Serialize)]
pub(super) struct AudienceJson<'a> {
    id: &'a str,
    name: Option<&'a str>,
}

impl<'a> From<&'a Audience> for AudienceJson<'a> {
    fn from(audience: &'a Audience) -> Self {
        Self {
            id: &audience.id,
            name: audience.name.as_deref(),
        }
    }
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
            balance: account.balance,
            pending: account.pending,
            expires_on: time_of(account.expires_on),
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
    pub(super) amount: Decimal,
    pub(super) currency: &'a str,
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
            expires_on: time_of(voucher.expires_on),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromotionJson<'a> {
    id: &'a str,
    promotion_id: Option<&'a str>,
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
            name: promotion.name.as_deref(),
            heading: promotion.heading.as_deref(),
            description: promotion.description.as_deref(),
            image_url: promotion.image_url.as_deref(),
            link: promotion.link.as_deref(),
            expires_on: time_of(promotion.expires_on),
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpiringJson<'a> {
    kind: &'static str,
    id: Option<&'a str>,
    name: Option<&'a str>,
    expires_on: Box<str>,
}

impl<'a> ExpiringJson<'a> {
    pub(super) fn of(
        kind: &'static str,
        id: Option<&'a str>,
        name: Option<&'a str>,
        expires_on: Timestamp,
    ) -> Self {
        Self {
            kind,
            id,
            name,
            expires_on: time(expires_on),
        }
    }
}

#[derive(Serialize)]
pub(super) struct FreshnessJson {
    profile: Option<AsOfJson>,
    audiences: Option<AsOfJson>,
    promotions: Option<AsOfJson>,
    vouchers: Option<AsOfJson>,
    points: Option<AsOfJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AsOfJson {
    as_of: Box<str>,
}

impl FreshnessJson {
    pub(super) fn of(as_of: impl Fn(Part) -> Option<Box<str>>) -> Self {
        let of = |part| as_of(part).map(|as_of| AsOfJson { as_of });
        Self {
            profile: of(Part::Profile),
            audiences: of(Part::Audiences),
            promotions: of(Part::Promotions),
            vouchers: of(Part::Vouchers),
            points: of(Part::Points),
        }
    }
}
