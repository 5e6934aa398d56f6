//! The JSON form of the customer's profile, contactability, preferences, consents and audiences.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::time::{TimeJson, maybe_rfc_3339};
use crate::{
    customer::{
        contactability::{ContactMethod, Contactability},
        view::Attributes,
    },
    domain::{
        Address, Audience, Consent, Decimal, HomeStore, Level, Preferences, Profile, Warning,
    },
};

/// Who the customer is.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Profile))]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileJson<'a> {
    /// Whether the identity is protected; also `true` where Engage's flag cannot be read. If so, show neither address
    /// nor numbers.
    pub(super) protected: bool,
    /// First name.
    pub(super) first_name: Option<&'a str>,
    /// Last name.
    pub(super) last_name: Option<&'a str>,
    /// As in Engage, possibly malformed; `null` where blank or hidden.
    pub(super) email: Option<&'a str>,
    /// As in Engage, possibly malformed; `null` where blank or hidden.
    pub(super) mobile_phone: Option<&'a str>,
    /// `null` in the view `storefront` for a protected identity.
    pub(super) address: Option<AddressJson<'a>>,
    /// `YYYY-MM-DD`, as in Engage.
    pub(super) birth_day: Option<&'a str>,
    /// Such as `sv`.
    pub(super) language: Option<&'a str>,
    /// Text: it may have leading zeros.
    pub(super) member_number: Option<&'a str>,
    /// The loyalty level; `null` where there is none, or it has expired.
    pub(super) level: Option<LevelJson<'a>>,
    /// The home store.
    pub(super) home_store: Option<StoreJson<'a>>,
    /// When the customer registered.
    pub(super) member_since: Option<TimeJson>,
    /// The tenant's own attributes that the view allows, under Engage's keys.
    #[cfg_attr(test, schema(value_type = Object))]
    pub(super) attributes: AttributesJson<'a>,
}

/// A postal address.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Address))]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressJson<'a> {
    /// Street and number.
    street: Option<&'a str>,
    /// The person in whose care mail is sent.
    care_of: Option<&'a str>,
    /// Postal code.
    zip_code: Option<&'a str>,
    /// City.
    city: Option<&'a str>,
    /// ISO 3166-1.
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

/// A loyalty level; what Engage does not report of it is `null`.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Level))]
#[serde(rename_all = "camelCase")]
pub(super) struct LevelJson<'a> {
    /// Its name.
    name: &'a str,
    /// The points that count towards levels.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    points: Option<Decimal>,
    /// The points that the next level requires; `null` unless both other numbers are known.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    threshold: Option<Decimal>,
    /// The points that are still missing for the next level.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[cfg_attr(test, schema(value_type = Option<f64>, format = "decimal"))]
    points_to_next: Option<Decimal>,
    /// When the level ends.
    expires_on: Option<TimeJson>,
}

impl<'a> From<&'a Level> for LevelJson<'a> {
    fn from(level: &'a Level) -> Self {
        Self {
            name: &level.name,
            points: level.points,
            threshold: level.threshold(),
            points_to_next: level.points_to_next,
            expires_on: maybe_rfc_3339(level.expires_on),
        }
    }
}

/// A store.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Store))]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreJson<'a> {
    /// Engage's id.
    id: Option<&'a str>,
    /// Its name.
    name: Option<&'a str>,
    /// Its id in the retailer's own systems.
    external_id: Option<&'a str>,
}

impl<'a> From<&'a HomeStore> for StoreJson<'a> {
    fn from(store: &'a HomeStore) -> Self {
        Self {
            id: store.id.as_deref(),
            name: store.name.as_deref(),
            external_id: store.external_id.as_deref(),
        }
    }
}

/// The attributes that the view allows, under Engage's keys and as they were read.
pub(super) struct AttributesJson<'a> {
    pub(super) attributes: &'a [(Box<str>, Box<RawValue>)],
    pub(super) allowed: &'a Attributes,
    /// Whether the contact's identity is protected from this view.
    pub(super) is_protected: bool,
}

/// Words that give away where a contact lives or shops or how to reach it, in English and Swedish: in the key of an
/// attribute, or anywhere in an attribute that is an object or a list. For a contact with protected identity it is
/// better to leave out too much.
const WHEREABOUTS: [&str; 25] = [
    "address",
    "adress",
    "butik",
    "careof",
    "city",
    "country",
    "county",
    "district",
    "gata",
    "kommun",
    "latitude",
    "location",
    "longitude",
    "mail",
    "mobil",
    "municipality",
    "phone",
    "post",
    "region",
    "stad",
    "store",
    "street",
    "telefon",
    "town",
    "zip",
];

/// Whether an attribute may give away where the contact is.
fn gives_whereabouts(key: &str, value: &RawValue) -> bool {
    let contains_word = |text: &str| {
        let text = text.to_ascii_lowercase();
        WHEREABOUTS.iter().any(|word| text.contains(word))
    };
    contains_word(key) || (value.get().starts_with(['{', '[']) && contains_word(value.get()))
}

impl Serialize for AttributesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.attributes {
            if self.allowed.allows(key) && !(self.is_protected && gives_whereabouts(key, value)) {
                map.serialize_entry(&**key, value)?;
            }
        }
        map.end()
    }
}

/// How the customer may be reached.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Contactability))]
pub(super) struct ContactabilityJson<'a> {
    /// By e-mail.
    email: EmailJson<'a>,
    /// By text message.
    sms: SmsJson<'a>,
    /// By mail.
    postal: PostalJson<'a>,
}

/// By e-mail.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EmailContact))]
struct EmailJson<'a> {
    /// The address.
    address: Option<&'a str>,
    /// `missing`: blank; `malformed`: not an address or number; `warned`: a warning of Engage is about it.
    #[cfg_attr(test, schema(value_type = crate::customer::render::schemas::ContactStatus))]
    status: &'static str,
    /// Whether the customer accepts it; `null` where it is not known.
    accepted: Option<bool>,
    /// Engage's warnings about it.
    warnings: Vec<WarningJson<'a>>,
}

/// By text message.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SmsContact))]
struct SmsJson<'a> {
    /// The number.
    number: Option<&'a str>,
    /// `missing`: blank; `malformed`: not an address or number; `warned`: a warning of Engage is about it.
    #[cfg_attr(test, schema(value_type = crate::customer::render::schemas::ContactStatus))]
    status: &'static str,
    /// Whether the customer accepts it; `null` where it is not known.
    accepted: Option<bool>,
    /// Engage's warnings about it.
    warnings: Vec<WarningJson<'a>>,
}

/// By mail.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PostalContact))]
struct PostalJson<'a> {
    /// `missing`: blank; `malformed`: not an address or number; `warned`: a warning of Engage is about it.
    #[cfg_attr(test, schema(value_type = crate::customer::render::schemas::ContactStatus))]
    status: &'static str,
    /// Whether the customer accepts it; `null` where it is not known.
    accepted: Option<bool>,
    /// Engage's warnings about it.
    warnings: Vec<WarningJson<'a>>,
}

/// A warning of Engage's about the customer.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Warning))]
struct WarningJson<'a> {
    /// Engage's id of the warning.
    id: Option<&'a str>,
    /// Its text.
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

fn warnings<'a>(method: &ContactMethod<'a>) -> Vec<WarningJson<'a>> {
    let json = |warning: &&'a Warning| WarningJson {
        id: warning.id.as_deref(),
        message: warning.message.as_deref(),
    };
    method.warnings.iter().map(json).collect()
}

/// Deprecated: use `contactability.<channel>.accepted`.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Preferences))]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the keys are the contract's")]
pub(super) struct PreferencesJson {
    /// As `contactability.email.accepted`.
    accepts_email: Option<bool>,
    /// As `contactability.sms.accepted`.
    accepts_sms: Option<bool>,
    /// As `contactability.postal.accepted`.
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

/// A consent.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Consent))]
pub(super) struct ConsentJson<'a> {
    /// Engage's id of the consent.
    id: &'a str,
    /// Whether it is given; `null` where that cannot be read.
    given: Option<bool>,
    /// When it was given or withdrawn.
    date: Option<TimeJson>,
}

impl<'a> From<&'a Consent> for ConsentJson<'a> {
    fn from(consent: &'a Consent) -> Self {
        Self {
            id: &consent.id,
            given: consent.given,
            date: maybe_rfc_3339(consent.date),
        }
    }
}

/// A target audience.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Audience))]
pub(super) struct AudienceJson<'a> {
    /// Engage's id of the audience.
    id: &'a str,
    /// Its name.
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
