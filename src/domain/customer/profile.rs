//! The profile part.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::redacted_debug;
use crate::domain::{aliases::Aliases, contact_type::ContactType, field_value::FieldValue, plain};

/// Attributes, meta, preferences and consents.
#[derive(Default, Serialize, Deserialize)]
pub struct Profile {
    /// The contact's identity.
    pub identity: Identity,
    /// First name.
    pub first_name: Option<Box<str>>,
    /// Last name.
    pub last_name: Option<Box<str>>,
    /// E-mail address as in Engage, possibly malformed; blank is `None`.
    pub email: Option<Box<str>>,
    /// Mobile number as in Engage, possibly malformed; blank is `None`.
    pub mobile_phone: Option<Box<str>>,
    /// Postal address.
    pub address: Address,
    /// Day of birth, `YYYY-MM-DD`.
    pub birth_day: Option<Box<str>>,
    /// Language, such as `sv`.
    pub language: Option<Box<str>>,
    /// Membership number. Text: it may have leading zeros.
    pub member_number: Option<Box<str>>,
    /// Loyalty level.
    pub level: Option<Level>,
    /// Home store.
    pub home_store: Option<HomeStore>,
    /// When the contact registered.
    #[serde(with = "plain")]
    pub member_since: Option<Timestamp>,
    /// Protected identity: address and numbers must not be disclosed by default.
    pub secrecy_marked: bool,
    /// All other attributes under Engage's keys, verbatim except for times, which are in UTC.
    #[serde(with = "plain")]
    pub attributes: Vec<(Box<str>, Box<RawValue>)>,
    /// Channels that the contact accepts.
    pub preferences: Preferences,
    /// Consents given or withdrawn; `None` if unreadable.
    pub consents: Option<Vec<Consent>>,
}

impl PartialEq for Profile {
    /// Compares attributes as text.
    fn eq(&self, other: &Self) -> bool {
        let Profile {
            identity,
            first_name,
            last_name,
            email,
            mobile_phone,
            address,
            birth_day,
            language,
            member_number,
            level,
            home_store,
            member_since,
            secrecy_marked,
            attributes,
            preferences,
            consents,
        } = self;
        *identity == other.identity
            && *first_name == other.first_name
            && *last_name == other.last_name
            && *email == other.email
            && *mobile_phone == other.mobile_phone
            && *address == other.address
            && *birth_day == other.birth_day
            && *language == other.language
            && *member_number == other.member_number
            && *level == other.level
            && *home_store == other.home_store
            && *member_since == other.member_since
            && *secrecy_marked == other.secrecy_marked
            && *preferences == other.preferences
            && *consents == other.consents
            && are_equal_as_text(attributes, &other.attributes)
    }
}

impl Profile {
    /// The text of another attribute, or a number as written. `None` if it is missing or of another type.
    pub(in crate::domain) fn attribute_text(&self, key: &str) -> Option<Box<str>> {
        let (_, value) = self.attributes.iter().find(|(name, _)| **name == *key)?;
        let value = value.get();
        match value.as_bytes().first()? {
            b'"' => serde_json::from_str(value).ok(),
            b'-' | b'0'..=b'9' => Some(value.into()),
            _ => None,
        }
    }
}

fn are_equal_as_text(
    some: &[(Box<str>, Box<RawValue>)],
    other: &[(Box<str>, Box<RawValue>)],
) -> bool {
    some.len() == other.len()
        && some
            .iter()
            .zip(other)
            .all(|((key, value), (other_key, other_value))| {
                key == other_key && value.get() == other_value.get()
            })
}

/// The identity that requested identifiers are checked against.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The contact's type, such as `Member`.
    pub contact_type: FieldValue<ContactType>,
    /// The contact's aliases, in canonical form.
    pub aliases: Aliases,
}

impl Identity {
    /// Whether the contact may be of the requested type. A missing type does not contradict; an unreadable one does.
    pub fn is_of(&self, requested: Option<&ContactType>) -> bool {
        let is_of = |requested| {
            self.contact_type.is_absent() || self.contact_type.readings().contains(requested)
        };
        requested.is_none_or(is_of)
    }
}

/// A postal address.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    pub street: Option<Box<str>>,
    /// Care of.
    pub care_of: Option<Box<str>>,
    /// Postal code.
    pub zip_code: Option<Box<str>>,
    /// City.
    pub city: Option<Box<str>>,
    /// ISO 3166-1 alpha-2 country code.
    pub country_code: Option<Box<str>>,
}

/// A loyalty level.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Its name, such as `Gold`.
    pub name: Box<str>,
    /// End of validity.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Points that count towards levels.
    #[serde(with = "plain")]
    pub points: Option<Decimal>,
    /// Points to the next level.
    #[serde(with = "plain")]
    pub points_to_next: Option<Decimal>,
}

impl Level {
    /// The points of the next level. Engage does not send them: they are the sum of the points and those to the next
    /// level. `None` if either is unknown, or if the sum can't be exact.
    pub fn threshold(&self) -> Option<Decimal> {
        let to_next = self.points_to_next.filter(|left| *left > Decimal::ZERO)?;
        let points = self.points?;
        let threshold = points.checked_add(to_next)?;
        // A sum with too many digits loses the last of them.
        (threshold.scale() == points.scale().max(to_next.scale())).then_some(threshold)
    }
}

/// A store.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct HomeStore {
    /// Engage's id.
    pub id: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// The retailer's own id.
    pub external_id: Option<Box<str>>,
}

/// Channels that the contact accepts; `None` if unknown.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// E-mail.
    pub accepts_email: Option<bool>,
    /// Text messages.
    pub accepts_sms: Option<bool>,
    /// Post.
    pub accepts_postal: Option<bool>,
}

/// A consent.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// The consent's key, such as `memberTerms`.
    pub id: Box<str>,
    /// Whether it is given.
    pub given: Option<bool>,
    /// When it was given or withdrawn.
    #[serde(with = "plain")]
    pub date: Option<Timestamp>,
}

redacted_debug!(
    Profile,
    Identity,
    Address,
    Level,
    HomeStore,
    Preferences,
    Consent
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold_is_the_exact_sum_or_unknown() {
        let number = |text: &str| Decimal::from_str_exact(text).expect("a number");
        let large = "79228162514264337593543950335";
        for (points, to_next, threshold) in [
            (Some("3749.5"), Some("1250.5"), Some("5000.0")),
            (Some("-10"), Some("30.25"), Some("20.25")),
            (Some("0"), Some("0.10"), Some("0.10")),
            // The highest level, or more points than it needs.
            (Some("9000"), Some("0"), None),
            (Some("9000"), Some("-5"), None),
            (Some("9000"), None, None),
            (None, Some("30"), None),
            // The sum has more digits than can be written exactly.
            (Some(large), Some("1"), None),
            (
                Some("7922816251426433759354395033"),
                Some("0.0000001"),
                None,
            ),
        ] {
            let level = Level {
                name: "Gold".into(),
                expires_on: None,
                points: points.map(number),
                points_to_next: to_next.map(number),
            };
            assert_eq!(level.threshold(), threshold.map(number), "{points:?}");
        }
    }
}
