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
    http::{audit, body::read_json_body, error::ApiError, params::Params},
};

#[derive(Serialize)]
pub(in crate::http) struct ExplanationJson {
    enabled: bool,
    name: Option<AliasTargetJson>,
    negative: Option<NegativeJson>,
    contacts: Vec<ContactJson>,
    failures: Vec<FailureJson>,
}

/// A call that is not made now, because it failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureJson {
    call: &'static str,
    contact: Option<String>,
    code: String,
    retry_seconds: f64,
}

#[derive(Serialize)]
struct AliasTargetJson {
    contact: String,
    #[serde(flatten)]
    name: AliasJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NegativeJson {
    code: String,
    age_seconds: f64,
    ttl_seconds: f64,
}

#[derive(Serialize)]
struct ContactJson {
    #[serde(rename = "contact")]
    digest: String,
    parts: PartsJson,
    rendered: usize,
    names: Vec<AliasJson>,
    fences: Vec<FenceJson>,
}

#[derive(Default, Serialize)]
struct PartsJson {
    profile: Option<ProvenanceJson>,
    audiences: Option<ProvenanceJson>,
    promotions: Option<ProvenanceJson>,
    vouchers: Option<ProvenanceJson>,
    points: Option<ProvenanceJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProvenanceJson {
    source: &'static str,
    as_of: String,
    age_seconds: f64,
    ttl_seconds: i64,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AliasJson {
    kind: &'static str,
    contact_type: Option<Box<str>>,
    assured: bool,
    #[serde(flatten)]
    provenance: ProvenanceJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FenceJson {
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
) -> Result<Json<ExplanationJson>, ApiError> {
    let customers = &state.customers;
    let body = read_json_body(&state.rules, customers.clock(), &headers, body).await?;
    let params = Params::from_json(&body)?;
    let lookup = state
        .rules
        .read_identifier(params, customers.clock().now())?;
    let what = lookup.identifier.kind().as_str();
    let held = state
        .run_blocking(move |customers| customers.explain(&lookup))
        .await?;
    let digester = &state.rules.digester;
    let explanation = ExplanationJson {
        enabled: customers.cache_is_on(),
        name: held.alias.map(|(id, name)| AliasTargetJson {
            contact: id.digest(digester).to_string(),
            name: AliasJson::from(name),
        }),
        negative: held.negative.map(|negative| {
            let error = ApiError::from(customer::Error::Upstream(negative.why));
            NegativeJson {
                code: error.code().as_str().to_owned(),
                age_seconds: negative.age.as_secs_f64(),
                ttl_seconds: negative.left.as_secs_f64(),
            }
        }),
        contacts: held
            .contacts
            .into_iter()
            .map(|contact| ContactJson::new(contact, digester))
            .collect(),
        failures: held
            .failures
            .into_iter()
            .map(|failed| FailureJson {
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

impl ContactJson {
    fn new(held: ContactView, digester: &Digester) -> Self {
        let mut parts = PartsJson::default();
        for (part, age) in held.parts {
            let slot = match part {
                Part::Profile => &mut parts.profile,
                Part::Audiences => &mut parts.audiences,
                Part::Promotions => &mut parts.promotions,
                Part::Vouchers => &mut parts.vouchers,
                Part::Points => &mut parts.points,
            };
            *slot = Some(ProvenanceJson::from(age));
        }
        Self {
            digest: held.id.digest(digester).to_string(),
            parts,
            rendered: held.rendered,
            names: held.aliases.into_iter().map(AliasJson::from).collect(),
            fences: held.fences.into_iter().map(FenceJson::from).collect(),
        }
    }
}

impl From<Age> for ProvenanceJson {
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

impl From<AliasView> for AliasJson {
    fn from(name: AliasView) -> Self {
        Self {
            kind: name.kind.as_str(),
            contact_type: name.contact_type,
            assured: name.is_assured,
            provenance: ProvenanceJson::from(name.age),
        }
    }
}

impl From<FenceStatus> for FenceJson {
    fn from(fence: FenceStatus) -> Self {
        Self {
            part: fence.part.as_str(),
            raised: fence.is_raised,
            entity_only_seconds: fence.entity_only_for.as_ref().map(Duration::as_secs_f64),
        }
    }
}
