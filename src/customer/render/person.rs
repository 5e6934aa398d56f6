//! The JSON form of the customer's profile, contactability, preferences, consents and audiences.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::time::maybe_rfc_3339;
use crate::{
    customer::{
        contactability::{ContactMethod, Contactability},
        view::Attributes,
    },
    domain::{
        Address, Audience, Consent, Decimal, HomeStore, Level, Preferences, Profile, Warning,
    },
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileJson<'a> {
    pub(super) protected: bool,
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
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    points: Option<Decimal>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    threshold: Option<Decimal>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    points_to_next: Option<Decimal>,
    expires_on: Option<Box<str>>,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreJson<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
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

/// Words in the key of an attribute, or of a structure within it, that give away where a contact lives or shops or how
/// to reach it, in English and Swedish. For a contact with protected identity it is better to leave out too much.
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

fn warnings<'a>(method: &ContactMethod<'a>) -> Vec<WarningJson<'a>> {
    let json = |warning: &&'a Warning| WarningJson {
        id: warning.id.as_deref(),
        message: warning.message.as_deref(),
    };
    method.warnings.iter().map(json).collect()
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
            date: maybe_rfc_3339(consent.date),
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
