//! What the cache holds, told to operators: how much of everything, and for one identifier what, since when, under which
//! names and behind which fences. A contact stands in it as a keyed digest; no value of anybody's is among it.

use std::time::Duration;

use axum::{Json, body::Body, extract::State};
use http::HeaderMap;
use serde::Serialize;

use super::{OperationsState, Operator};
use crate::{
    customer::{self, Age, AliasView, ContactView, FenceStatus},
    domain::{Digester, Part},
    http::{audit, body::read_body, error::ApiError, params::Params},
};

#[derive(Serialize)]
pub(in crate::http) struct Explanation {
    enabled: bool,
    name: Option<LeadsTo>,
    negative: Option<Negative>,
    contacts: Vec<Contact>,
    failures: Vec<Failure>,
}

/// A call that is not made now, because it failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    call: &'static str,
    contact: Option<String>,
    code: String,
    retry_seconds: f64,
}

#[derive(Serialize)]
struct LeadsTo {
    contact: String,
    #[serde(flatten)]
    name: Name,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Negative {
    code: String,
    age_seconds: f64,
    ttl_seconds: f64,
}

#[derive(Serialize)]
struct Contact {
    #[serde(rename = "contact")]
    digest: String,
    parts: Parts,
    rendered: usize,
    names: Vec<Name>,
    fences: Vec<Fence>,
}

#[derive(Default, Serialize)]
struct Parts {
    profile: Option<Provenance>,
    audiences: Option<Provenance>,
    promotions: Option<Provenance>,
    vouchers: Option<Provenance>,
    points: Option<Provenance>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provenance {
    source: &'static str,
    as_of: String,
    age_seconds: f64,
    ttl_seconds: i64,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    kind: &'static str,
    contact_type: Option<Box<str>>,
    assured: bool,
    #[serde(flatten)]
    provenance: Provenance,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fence {
    part: &'static str,
    raised: bool,
    entity_only_seconds: Option<f64>,
}

/// `POST /cache/explain`: what is held for one identifier.
pub(in crate::http) async fn explain(
    operator: Operator,
    State(state): State<OperationsState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Explanation>, ApiError> {
    let customers = &state.customers;
    let body = read_body(&state.rules, customers.clock(), &headers, body).await?;
    let params = Params::from_json(&body)?;
    let lookup = state.rules.read_named(params, customers.clock().now())?;
    let what = lookup.identifier.kind().as_str();
    let held = state
        .at_leisure(move |customers| customers.explain(&lookup))
        .await?;
    let digester = &state.rules.digester;
    let explanation = Explanation {
        enabled: customers.cache_is_on(),
        name: held.alias.map(|(id, name)| LeadsTo {
            contact: id.digest(digester).to_string(),
            name: Name::from(name),
        }),
        negative: held.negative.map(|negative| {
            let error = ApiError::from(customer::Error::Upstream(negative.why));
            Negative {
                code: error.code().as_str().to_owned(),
                age_seconds: negative.age.as_secs_f64(),
                ttl_seconds: negative.left.as_secs_f64(),
            }
        }),
        contacts: held
            .contacts
            .into_iter()
            .map(|contact| Contact::new(contact, digester))
            .collect(),
        failures: held
            .failures
            .into_iter()
            .map(|failed| Failure {
                call: failed.call,
                contact: failed.contact.map(|id| id.digest(digester).to_string()),
                code: ApiError::from(customer::Error::Upstream(failed.why))
                    .code()
                    .as_str()
                    .to_owned(),
                retry_seconds: failed.left.as_secs_f64(),
            })
            .collect(),
    };
    let contacts = explanation.contacts.iter();
    let contacts: Vec<_> = contacts.map(|contact| &*contact.digest).collect();
    tracing::info!(
        target: audit::TARGET,
        request_id = operator.request_id.as_str(),
        what,
        contact = contacts.join(" "),
        "an operator asked what is held"
    );
    Ok(Json(explanation))
}

impl Contact {
    fn new(held: ContactView, digester: &Digester) -> Self {
        let mut parts = Parts::default();
        for (part, age) in held.parts {
            let slot = match part {
                Part::Profile => &mut parts.profile,
                Part::Audiences => &mut parts.audiences,
                Part::Promotions => &mut parts.promotions,
                Part::Vouchers => &mut parts.vouchers,
                Part::Points => &mut parts.points,
            };
            *slot = Some(Provenance::from(age));
        }
        Self {
            digest: held.id.digest(digester).to_string(),
            parts,
            rendered: held.rendered,
            names: held.aliases.into_iter().map(Name::from).collect(),
            fences: held.fences.into_iter().map(Fence::from).collect(),
        }
    }
}

impl From<Age> for Provenance {
    fn from(age: Age) -> Self {
        Self {
            source: age.source.as_str(),
            as_of: format!("{:.3}", age.as_of),
            age_seconds: age.age.as_secs_f64(),
            ttl_seconds: age.ttl_seconds,
            freshness: age.freshness.as_str(),
        }
    }
}

impl From<AliasView> for Name {
    fn from(name: AliasView) -> Self {
        Self {
            kind: name.kind.as_str(),
            contact_type: name.contact_type,
            assured: name.is_assured,
            provenance: Provenance::from(name.age),
        }
    }
}

impl From<FenceStatus> for Fence {
    fn from(fence: FenceStatus) -> Self {
        Self {
            part: fence.part.as_str(),
            raised: fence.is_raised,
            entity_only_seconds: fence.entity_only_for.as_ref().map(Duration::as_secs_f64),
        }
    }
}
