//! What the tier that replicas share has for an identifier.

use std::time::Duration;

use serde::Serialize;

use super::super::parts_json::PartsJson;
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundJson {
    name: Option<AliasJson>,
    negative: Option<ValueJson>,
    busy_seconds: f64,
    contacts: Vec<ContactJson>,
}

#[derive(Serialize)]
struct AliasJson {
    /// The digest; `None` where it can't be read.
    contact: Option<String>,
    assured: bool,
    #[serde(flatten)]
    value: ValueJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactJson {
    #[serde(rename = "contact")]
    digest: String,
    parts: PartsJson<ValueJson>,
    entity_only_seconds: PartsJson<f64>,
    busy_seconds: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueJson {
    readable: bool,
    source: Option<&'static str>,
    age_seconds: f64,
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
            parts: PartsJson::new(|part| contact.parts[part].map(ValueJson::from)),
            entity_only_seconds: PartsJson::new(|part| seconds(&contact.entity_only, part)),
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
