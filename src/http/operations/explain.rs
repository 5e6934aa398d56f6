//! `POST /cache/explain`: what is cached for an identifier: parts with their age and source, aliases, fences, negative
//! entries and failures; and what the tier that replicas share has. Contacts appear as keyed digests; no personal value is
//! included.

pub(super) mod shared;

use std::time::Duration;

use axum::{Json, body::Body, extract::State};
use http::HeaderMap;
use serde::Serialize;

use self::shared::SharedTierJson;
use super::{OperationsState, Operator, by_name::ByName};
use crate::{
    customer::{self, Age, AliasView, ContactView, Explanation, FenceStatus},
    domain::Digester,
    http::{audit, body::read_json_body, error::ApiError, params::Params},
};

/// What is cached for an identifier.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Explanation))]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ExplanationJson {
    /// Whether the cache is in use.
    enabled: bool,
    /// The alias; `null` without one.
    name: Option<AliasTargetJson>,
    /// `null` without one.
    negative: Option<NegativeJson>,
    /// The contact that the alias leads to, and others with the same identifier.
    contacts: Vec<ContactJson>,
    /// Calls that failed and are not made now.
    failures: Vec<FailureJson>,
    /// What the tier that replicas share has; `null` without one.
    #[cfg_attr(test, schema(value_type = Object))]
    shared_tier: Option<SharedTierJson>,
}

/// A call in back-off after a failure.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = FailedCall))]
#[serde(rename_all = "camelCase")]
struct FailureJson {
    /// `overview`, `resolution`, or a part.
    call: &'static str,
    /// The contact's digest, if it is known.
    contact: Option<String>,
    /// The code of the problem that callers get.
    code: String,
    /// The seconds until it may be made again.
    retry_seconds: f64,
}

/// The alias of the identifier, and where it leads.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AliasTarget))]
struct AliasTargetJson {
    /// The contact's digest.
    contact: String,
    #[serde(flatten)]
    name: AliasJson,
}

/// That the identifier leads to no contact, or to several.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NegativeEntry))]
#[serde(rename_all = "camelCase")]
struct NegativeJson {
    /// The code of the problem that callers get.
    code: String,
    /// How old it is.
    age_seconds: f64,
    /// How long it is still used.
    ttl_seconds: f64,
}

/// What is cached of a contact.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CachedContact))]
struct ContactJson {
    /// Its digest.
    #[serde(rename = "contact")]
    digest: String,
    /// Its parts.
    #[cfg_attr(test, schema(value_type = Object))]
    parts: ByName<ProvenanceJson>,
    /// Its history.
    #[cfg_attr(test, schema(value_type = Object))]
    history: ByName<ProvenanceJson>,
    /// How many rendered responses about it are cached.
    rendered: usize,
    /// Its aliases.
    names: Vec<AliasJson>,
    /// The fences of its parts.
    fences: Vec<FenceJson>,
}

/// Where and when data was fetched.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Provenance))]
#[serde(rename_all = "camelCase")]
pub(super) struct ProvenanceJson {
    /// Which kind of endpoint returned it.
    source: &'static str,
    /// When the request to Engage started.
    #[cfg_attr(test, schema(value_type = String, format = "date-time"))]
    as_of: String,
    /// The time since then.
    age_seconds: f64,
    /// How long it is still fresh; negative: for how long it has not been.
    ttl_seconds: i64,
    /// `stale`: served and refreshed; `expired`: served only while Engage fails or is slow; `dead`: never served.
    freshness: &'static str,
}

/// An identifier that leads to a contact.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Alias))]
#[serde(rename_all = "camelCase")]
struct AliasJson {
    /// The kind of the identifier.
    kind: &'static str,
    /// The contact type that narrows look-ups by it.
    #[cfg_attr(test, schema(value_type = Option<String>))]
    contact_type: Option<Box<str>>,
    /// Whether the contact's profile shows it.
    assured: bool,
    /// Whether it is known from the profile alone.
    learned: bool,
    #[serde(flatten)]
    provenance: ProvenanceJson,
}

/// What an invalidation keeps out.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Fence))]
#[serde(rename_all = "camelCase")]
struct FenceJson {
    /// The part.
    part: &'static str,
    /// Whether data fetched before is not served.
    raised: bool,
    /// For how long the overview's copy is not used.
    entity_only_seconds: Option<f64>,
}

/// Explains what is cached for the identifier in the body.
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
    let (found, lookup) = state
        .run_blocking(move |customers| (customers.explain(&lookup), lookup))
        .await?;
    let ids: Vec<_> = found.contacts.iter().map(|contact| contact.id).collect();
    let shared = customers.explain_shared(&lookup, &ids).await;
    let digester = &state.rules.digester;
    let mut explanation = ExplanationJson::new(found, customers.cache_is_on(), digester);
    explanation.shared_tier = shared.map(|shared| SharedTierJson::new(shared, digester));
    let contacts = explanation.contacts.iter();
    let contacts: Vec<_> = contacts.map(|contact| &*contact.digest).collect();
    tracing::info!(
        target: audit::TARGET,
        request_id = operator.request_id.as_str(),
        what,
        contact = contacts.join(" "),
        "cache inspected by operator"
    );
    Ok(Json(explanation))
}

impl ExplanationJson {
    fn new(found: Explanation, enabled: bool, digester: &Digester) -> Self {
        let contacts = found.contacts.into_iter();
        let failures = found.failures.into_iter();
        Self {
            enabled,
            name: found.alias.map(|(id, alias)| AliasTargetJson {
                contact: id.digest(digester).to_string(),
                name: AliasJson::from(alias),
            }),
            negative: found.negative.map(|negative| NegativeJson {
                code: code_of(customer::Error::Upstream(negative.why)),
                age_seconds: negative.age.as_secs_f64(),
                ttl_seconds: negative.left.as_secs_f64(),
            }),
            contacts: contacts
                .map(|contact| ContactJson::new(contact, digester))
                .collect(),
            failures: failures
                .map(|failed| FailureJson {
                    call: failed.call,
                    contact: failed.contact.map(|id| id.digest(digester).to_string()),
                    code: code_of(customer::Error::Upstream(failed.why)),
                    retry_seconds: failed.left.as_secs_f64(),
                })
                .collect(),
            shared_tier: None,
        }
    }
}

/// The code of the problem that callers get for the error.
fn code_of(error: customer::Error) -> String {
    ApiError::from(error).code().as_str().to_owned()
}

impl ContactJson {
    fn new(contact: ContactView, digester: &Digester) -> Self {
        let mut parts = contact.parts;
        let mut history = contact.history;
        Self {
            digest: contact.id.digest(digester).to_string(),
            parts: ByName::of_parts(|part| take(&mut parts, part)),
            history: ByName::of_history(|part| take(&mut history, part)),
            rendered: contact.rendered,
            names: contact.aliases.into_iter().map(AliasJson::from).collect(),
            fences: contact.fences.into_iter().map(FenceJson::from).collect(),
        }
    }
}

/// Takes the provenance of what is cached of a part.
fn take<P: Copy + PartialEq>(ages: &mut Vec<(P, Age)>, part: P) -> Option<ProvenanceJson> {
    let index = ages.iter().position(|(of, _)| *of == part)?;
    Some(ProvenanceJson::from(ages.swap_remove(index).1))
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
    fn from(alias: AliasView) -> Self {
        Self {
            kind: alias.kind.as_str(),
            contact_type: alias.contact_type,
            assured: alias.is_confirmed,
            learned: alias.is_learned,
            provenance: ProvenanceJson::from(alias.age),
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
