//! Parses the profile: `attributes`, `meta`, `preferences` and `consents`, which have the same form in `/contactoverview` and
//! `/contacts/{id}` [seen in clients of both].

use std::{borrow::Cow, collections::HashSet};

use serde_json::value::RawValue;

use super::{Reader, bounds, flag};
use crate::{
    domain::{
        Address, Consent, ContactType, FieldValue, HomeStore, Identity, Level, Partial,
        Preferences, Profile, aliases::RawAliases,
    },
    engage::error::Error,
    json::{self, Object},
};

/// Attributes that have a field of their own in our response, or that are not passed on; `socialSecurityNumber` is
/// passed on only if a view contains it.
const OWN_FIELDS: [&str; 22] = [
    "firstName",
    "lastName",
    "street",
    "careOf",
    "zipCode",
    "city",
    "countryCode",
    "email",
    "mobilePhone",
    "birthDay",
    "language",
    "lang",
    "memberNumber",
    "currentStore",
    "registrationDate",
    "bonusBasedLevel",
    "bonusBasedLevelExpires",
    "bonusBasedLevelLeftForUpgrade",
    "memberLevelsBonusPoints",
    "bonusPoints",
    "socialSecurityNumber",
    // A credential: links that contain it identify a visitor.
    "discoveryKey",
];

impl Reader {
    pub(super) fn profile_of(&self, answer: &Object<'_>) -> Result<Partial<Profile>, Error> {
        let attributes = answer
            .object("attributes")
            .ok_or_else(|| Error::invalid("attributes"))?;
        let email = attributes.filled("email");
        let mobile_phone = attributes.filled("mobilePhone");
        let member_number = attributes.filled("memberNumber");
        let level = self.level(&attributes);
        let others = self.others(&attributes);
        let consents = self.consents(answer);
        let profile = Profile {
            identity: self.identity(answer),
            first_name: attributes.filled("firstName"),
            last_name: attributes.filled("lastName"),
            email,
            mobile_phone,
            address: address(&attributes),
            birth_day: attributes.filled("birthDay").map(birth_day),
            language: attributes
                .filled("language")
                .or_else(|| attributes.filled("lang")),
            member_number,
            level: level.data,
            home_store: attributes.object("currentStore").as_ref().and_then(store),
            member_since: attributes
                .get("registrationDate")
                .and_then(|value| self.time(value)),
            secrecy_marked: flag::is_protected(answer),
            attributes: others.data,
            preferences: preferences(answer.object("preferences").as_ref()),
            consents: consents.data,
        };
        Ok(Partial {
            data: profile,
            left_out: [level.left_out, others.left_out, consents.left_out].concat(),
        })
    }

    /// The contact's identity, from every place in which a value may be: another parser may read a different one.
    fn identity(&self, answer: &Object<'_>) -> Identity {
        let attributes = || answer.every("attributes");
        Identity {
            contact_type: field_values(answer.every("meta"), "contactType")
                .read(|text| FieldValue::of(ContactType::parse(text.trim()).into_iter().collect())),
            aliases: self.alias_reader.read(&RawAliases {
                email: field_values(attributes(), "email"),
                mobile_phone: field_values(attributes(), "mobilePhone"),
                national_id: field_values(attributes(), "socialSecurityNumber"),
                member_number: field_values(attributes(), "memberNumber"),
                external_id: field_values(attributes(), "externalId"),
            }),
        }
    }

    /// A level whose end is unreadable is left out, because it may have ended.
    fn level(&self, attributes: &Object<'_>) -> Partial<Option<Level>> {
        let Some(name) = attributes.filled("bonusBasedLevel") else {
            return Partial::default();
        };
        let Ok(expires_on) = self.end(attributes, "bonusBasedLevelExpires") else {
            return Partial {
                data: None,
                left_out: vec!["attributes.bonusBasedLevelExpires"],
            };
        };
        let level = Level {
            name,
            expires_on,
            points: attributes.decimal("memberLevelsBonusPoints"),
            points_to_next: attributes.decimal("bonusBasedLevelLeftForUpgrade"),
        };
        Some(level).into()
    }

    /// The other attributes, verbatim except for times, if every JSON parser accepts them.
    fn others(&self, attributes: &Object<'_>) -> Partial<Vec<(Box<str>, Box<RawValue>)>> {
        let is_other = |key: &Cow<'_, str>| {
            let has_own_field = OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(key));
            !has_own_field || (self.keeps_national_id && key == "socialSecurityNumber")
        };
        // A repeated key would be repeated in our response.
        let mut seen = HashSet::with_capacity(attributes.0.len());
        let others = attributes
            .0
            .iter()
            .filter(|(key, _)| is_other(key) && seen.insert(&**key))
            .collect();
        json::readable(others, |(key, value)| {
            if bounds::is_bounded(value) {
                let value = self.in_utc(value).unwrap_or_else(|| (*value).to_owned());
                Ok((key.as_ref().into(), value))
            } else {
                Err("attributes[]")
            }
        })
    }

    fn consents(&self, answer: &Object<'_>) -> Partial<Option<Vec<Consent>>> {
        let Some(consents) = answer.get("consents") else {
            return Some(Vec::new()).into();
        };
        let Some(elements) = json::elements(consents) else {
            return Partial {
                data: None,
                left_out: vec!["consents"],
            };
        };
        let consent = |element: Option<Object<'_>>| {
            let consent = element.ok_or("consents[]")?;
            Ok(Consent {
                id: consent.filled("id").ok_or("consents[].id")?,
                given: consent.flag("value"),
                date: consent.get("date").and_then(|value| self.time(value)),
            })
        };
        json::readable(elements, consent).map(Some)
    }
}

/// The values under a key in the objects: strings, and numbers as written. Anything else is unreadable.
fn field_values<'a>(
    objects: impl Iterator<Item = &'a RawValue>,
    key: &str,
) -> FieldValue<Cow<'a, str>> {
    let mut texts = Vec::new();
    for object in objects {
        let Some(object) = Object::of(object) else {
            return FieldValue::Unreadable;
        };
        for value in object.every(key) {
            let is_boolean = matches!(value.get(), "true" | "false");
            match json::text(value).filter(|_| !is_boolean) {
                Some(text) if text.trim().is_empty() => {}
                Some(text) => texts.push(text),
                None => return FieldValue::Unreadable,
            }
        }
    }
    if texts.is_empty() {
        FieldValue::Absent
    } else {
        FieldValue::of(texts)
    }
}

fn address(attributes: &Object<'_>) -> Address {
    Address {
        street: attributes.filled("street"),
        care_of: attributes.filled("careOf"),
        zip_code: attributes.filled("zipCode"),
        city: attributes.filled("city"),
        country_code: attributes.filled("countryCode"),
    }
}

fn store(store: &Object<'_>) -> Option<HomeStore> {
    let store = HomeStore {
        id: store.filled("id"),
        name: store.filled("name"),
        external_id: store.filled("externalId"),
    };
    (store.id.is_some() || store.name.is_some() || store.external_id.is_some()).then_some(store)
}

/// `YYYY-MM-DD`, also from the form `DD/MM/YYYY` of an older page of Voyado's documentation.
fn birth_day(text: Box<str>) -> Box<str> {
    let bytes = text.as_bytes();
    let slashed = bytes.len() == 10 && text.is_ascii() && bytes[2] == b'/' && bytes[5] == b'/';
    if slashed {
        return format!("{}-{}-{}", &text[6..], &text[3..5], &text[..2]).into();
    }
    text
}

/// Case and a trailing "s" of the keys are ignored: one client reads `AcceptsEmails`, `AcceptsPostals`. If values
/// contradict each other, "not accepted" counts.
fn preferences(preferences: Option<&Object<'_>>) -> Preferences {
    let accepts = |channel: &str| {
        let object = preferences?;
        let of_channel = object.0.iter().filter(|(key, value)| {
            let key = key.to_ascii_lowercase();
            key.trim_end_matches('s') == channel && value.get() != "null"
        });
        of_channel
            .map(|(_, value)| json::flag(value))
            .min_by_key(|accepted| match accepted {
                Some(false) => 0,
                None => 1,
                Some(true) => 2,
            })
            .flatten()
    };
    Preferences {
        accepts_email: accepts("acceptsemail"),
        accepts_sms: accepts("acceptssm"),
        accepts_postal: accepts("acceptspostal"),
    }
}
