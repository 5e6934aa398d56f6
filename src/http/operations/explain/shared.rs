//! What the tier that replicas share has for an identifier.

use std::time::Duration;

use serde::Serialize;

use super::super::by_name::ByName;
use crate::{
    customer::{
        FetchSource, SharedAliasView, SharedContact, SharedExplanation, SharedValueView,
        Unavailable,
    },
    domain::{ContactId, Digester, PartMap},
};

/// What the tier has.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum SharedTierJson {
    /// `unavailable`: it was not asked, or did not answer in time.
    Unavailable(&'static str),
    Found(FoundJson),
}

/// What the tier that replicas share has for the identifier.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SharedContent))]
#[serde(rename_all = "camelCase")]
pub(in crate::http::operations) struct FoundJson {
    /// The alias; `null` without one.
    name: Option<AliasJson>,
    /// The entry that says that the identifier leads to no contact; `null` without one.
    negative: Option<ValueJson>,
    /// How long other replicas wait at most for a call by this identifier that one of them makes now.
    busy_seconds: f64,
    /// At most eight.
    contacts: Vec<ContactJson>,
}

/// The alias of the identifier in the tier.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SharedAlias))]
struct AliasJson {
    /// The digest; `null` where it can't be read.
    contact: Option<String>,
    /// Whether the contact's profile shows it.
    assured: bool,
    #[serde(flatten)]
    value: ValueJson,
}

/// What the tier has of a contact.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SharedContact))]
#[serde(rename_all = "camelCase")]
struct ContactJson {
    /// Its digest.
    #[serde(rename = "contact")]
    digest: String,
    /// Its parts.
    #[cfg_attr(test, schema(value_type = Object))]
    parts: ByName<ValueJson>,
    /// For how long the overview's copy of each part is not used.
    #[cfg_attr(test, schema(value_type = Object))]
    entity_only_seconds: ByName<f64>,
    /// How long other replicas wait at most for a call about it that one of them makes now; `null` for a contact that only
    /// the tier knows to have the identifier.
    busy_seconds: Option<f64>,
}

/// A value in the tier.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SharedValue))]
#[serde(rename_all = "camelCase")]
pub(in crate::http::operations) struct ValueJson {
    /// Whether it is of this version and whole; otherwise it is a miss.
    readable: bool,
    /// Which kind of endpoint returned it.
    source: Option<&'static str>,
    /// How old it is.
    age_seconds: f64,
    /// How long it is still fresh.
    ttl_seconds: f64,
}

impl SharedTierJson {
    pub(super) fn new(found: Result<SharedExplanation, Unavailable>, digester: &Digester) -> Self {
        let Ok(found) = found else {
            return Self::Unavailable("unavailable");
        };
        let (name, negative) = match found.alias {
            Some(alias) if alias.is_negative => (None, Some(ValueJson::from(alias.value))),
            Some(alias) => (Some(AliasJson::new(alias, found.leads_to, digester)), None),
            None => (None, None),
        };
        let contacts = found.contacts.iter();
        Self::Found(FoundJson {
            name,
            negative,
            busy_seconds: found.busy.as_secs_f64(),
            contacts: contacts
                .map(|contact| ContactJson::new(contact, digester))
                .collect(),
        })
    }
}

impl AliasJson {
    fn new(alias: SharedAliasView, leads_to: Option<ContactId>, digester: &Digester) -> Self {
        Self {
            contact: leads_to.map(|id| id.digest(digester).to_string()),
            assured: alias.is_confirmed,
            value: ValueJson::from(alias.value),
        }
    }
}

impl ContactJson {
    fn new(contact: &SharedContact, digester: &Digester) -> Self {
        let seconds = |times: &PartMap<Duration>, part| {
            let time: Duration = times[part];
            (!time.is_zero()).then_some(time.as_secs_f64())
        };
        Self {
            digest: contact.id.digest(digester).to_string(),
            parts: ByName::of_parts(|part| contact.parts[part].map(ValueJson::from)),
            entity_only_seconds: ByName::of_parts(|part| seconds(&contact.entity_only, part)),
            busy_seconds: contact.busy.as_ref().map(Duration::as_secs_f64),
        }
    }
}

impl From<SharedValueView> for ValueJson {
    fn from(value: SharedValueView) -> Self {
        Self {
            readable: value.source.is_some(),
            source: value.source.map(FetchSource::as_str),
            age_seconds: value.age.as_secs_f64(),
            ttl_seconds: value.lifetime_left.as_secs_f64(),
        }
    }
}
