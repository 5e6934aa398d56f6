//! `GET /cache/decisions`: why the latest look-ups were answered as they were, of one contact or of all. Contacts appear as
//! keyed digests; no value and no identifier is included.

use std::time::Duration;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;

use super::{OperationsState, Operator, by_name::ByName};
use crate::{
    customer::{CacheStatus, FetchSource, PartReason, Why},
    domain::Digester,
    http::{
        audit,
        decisions::{Cause, Decision},
        error::{ApiError, Code},
    },
};

/// The most that one response contains.
const MAX_LISTED: usize = 200;
/// The length of a contact's digest.
const DIGEST_LENGTH: usize = 16;

/// The latest decisions.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Decisions))]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DecisionsJson {
    /// When the oldest decision that is still kept was made.
    #[cfg_attr(test, schema(value_type = Option<String>, format = "date-time"))]
    oldest: Option<String>,
    /// How many are kept.
    kept: usize,
    /// The newest first.
    decisions: Vec<DecisionJson>,
}

/// Why one look-up was answered as it was.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Decision))]
#[serde(rename_all = "camelCase")]
struct DecisionJson {
    /// When it was answered.
    #[cfg_attr(test, schema(value_type = String, format = "date-time"))]
    at: String,
    /// The caller's request, as in `X-Request-Id`.
    request_id: String,
    /// The `id` in `auth.clients`, or `(shoppers)`.
    client: String,
    /// By which kind of identifier.
    by: &'static str,
    /// The contact's digest; `null` where it was not known.
    contact: Option<String>,
    /// The status of the response.
    status: u16,
    /// The code of the problem; `null` of a customer.
    code: Option<&'static str>,
    /// What the cache did; `null` of a problem.
    cache: Option<&'static str>,
    /// Why no customer was found.
    failure: Option<String>,
    /// `null` where no customer was found.
    #[cfg_attr(test, schema(value_type = Object))]
    parts: Option<ByName<PartJson>>,
}

/// Why a part was served as it was.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PartDecision))]
#[serde(rename_all = "camelCase")]
pub(super) struct PartJson {
    /// Where it came from.
    outcome: &'static str,
    /// How old it was.
    age_seconds: Option<f64>,
    /// Which kind of endpoint returned it.
    source: Option<&'static str>,
    /// Why memory alone did not serve it as fresh.
    why: Option<&'static str>,
    /// How the call for it failed: an error's text, as in the log.
    failure: Option<String>,
    /// Whether the response named it in `degraded`.
    degraded: bool,
}

/// Lists the latest decisions, the newest first.
pub(in crate::http) async fn list(
    operator: Operator,
    State(state): State<OperationsState>,
    RawQuery(query): RawQuery,
) -> Result<Json<DecisionsJson>, ApiError> {
    let contact = wanted_contact(query.as_deref().unwrap_or_default())?;
    let kept = state.decisions.newest_first();
    let digester = &state.rules.digester;
    let is_wanted = |json: &DecisionJson| contact.is_none() || json.contact.as_deref() == contact;
    let listed = kept
        .iter()
        .map(|decision| DecisionJson::new(decision, digester))
        .filter(is_wanted);
    let json = DecisionsJson {
        oldest: kept.last().map(|decision| format!("{:.3}", decision.at)),
        kept: kept.len(),
        decisions: listed.take(MAX_LISTED).collect(),
    };
    tracing::info!(
        target: audit::TARGET,
        request_id = operator.request_id.as_str(),
        what = "decisions",
        contact,
        "cache inspected by operator"
    );
    Ok(Json(json))
}

/// The contact's digest in the query, the only parameter that there is.
fn wanted_contact(query: &str) -> Result<Option<&str>, ApiError> {
    if query.is_empty() {
        return Ok(None);
    }
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = |digest: &&str| digest.len() == DIGEST_LENGTH && digest.bytes().all(is_digit);
    let contact = query.strip_prefix("contact=").filter(is_digest);
    let detail = "The only parameter is contact: the digest of a contact, 16 hexadecimal digits in lower case.";
    let refusal = || ApiError::with_detail(Code::InvalidParameter, detail);
    contact.map(Some).ok_or_else(refusal)
}

impl DecisionJson {
    fn new(decision: &Decision, digester: &Digester) -> Self {
        let (parts, failure) = match &decision.cause {
            Cause::Parts(reasons) => {
                let parts = ByName::of_parts(|part| reasons[part].as_ref().map(PartJson::from));
                (Some(parts), None)
            }
            Cause::Failure(failure) => (None, Some(failure.to_string())),
        };
        let contact = decision.contact.map(|id| id.digest(digester).to_string());
        Self {
            at: format!("{:.3}", decision.at),
            request_id: decision.request_id.as_str().to_owned(),
            client: decision.client.as_str().to_owned(),
            by: decision.by.as_str(),
            contact,
            status: decision.status.as_u16(),
            code: decision.code,
            cache: decision.cache_status.map(CacheStatus::as_str),
            failure,
            parts,
        }
    }
}

impl From<&PartReason> for PartJson {
    fn from(reason: &PartReason) -> Self {
        Self {
            outcome: reason.outcome.as_str(),
            age_seconds: reason.age.as_ref().map(Duration::as_secs_f64),
            source: reason.source.map(FetchSource::as_str),
            why: reason.why.map(Why::as_str),
            failure: reason.failure.as_deref().map(str::to_owned),
            degraded: reason.is_degraded,
        }
    }
}
