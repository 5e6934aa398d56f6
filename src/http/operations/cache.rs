//! An operator's actions on the cache: purge a contact, the contacts with an identifier, or everything, at every replica
//! where they share a tier; switch the cache of this replica off and on; read its statistics.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{OperationsState, Operator};
use crate::{
    customer::NotShared,
    domain::{ContactId, KeyedDigest},
    http::{
        audit,
        body::{read_body, read_json_body},
        error::{ApiError, Code},
        params::Params,
    },
};

/// `DELETE /cache/contacts/{contactId}`: purges the contact. Data that was fetched before is never served again.
pub(in crate::http) async fn purge_contact(
    operator: Operator,
    State(state): State<OperationsState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = ContactId::parse(&id).ok_or_else(|| ApiError::new(Code::InvalidContactId))?;
    let purged = state.customers.purge(id).await;
    let contact = id.digest(&state.rules.digester);
    answer(purged, &operator, "a contact", Some(contact))
}

/// Logs the purge, and answers it.
fn answer(
    purged: Result<(), NotShared>,
    operator: &Operator,
    what: &'static str,
    contact: Option<KeyedDigest>,
) -> Result<StatusCode, ApiError> {
    let request_id = operator.request_id.as_str();
    let contact = contact.map(tracing::field::display);
    if purged.is_ok() {
        tracing::warn!(target: audit::TARGET, request_id, what, contact, "cache purged by operator");
        return Ok(StatusCode::NO_CONTENT);
    }
    tracing::warn!(
        target: audit::TARGET,
        request_id,
        what,
        contact,
        "cache purged by operator at this replica alone"
    );
    let detail = "Other replicas could not be reached: the purge took effect at this replica only. Repeat it.";
    Err(ApiError::with_detail(Code::NotShared, detail))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeAllJson {
    all: bool,
}

/// `POST /cache/purge`: purges everything (`{"all": true}`), or every contact with the identifier in the body.
pub(in crate::http) async fn purge(
    operator: Operator,
    State(state): State<OperationsState>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let customers = &state.customers;
    let body = read_json_body(&state.rules, customers.clock(), &headers, body).await?;
    let purge_all = serde_json::from_slice::<PurgeAllJson>(&body);
    if purge_all.is_ok_and(|body| body.all) {
        // It frees what was cached: seconds, with a million contacts.
        let purged = state
            .run_blocking(|customers| Handle::current().block_on(customers.purge_everything()))
            .await?;
        return answer(purged, &operator, "everything", None);
    }
    let params = Params::from_json(&body)?;
    let lookup = state
        .rules
        .read_identifier(params, customers.clock().now())?;
    let what = lookup.identifier.kind().as_str();
    let purged = state
        .run_blocking(move |customers| Handle::current().block_on(customers.purge_by(&lookup)))
        .await?;
    answer(purged, &operator, what, None)
}

/// `GET /cache/enabled`: whether the cache is on.
pub(in crate::http) async fn is_on(
    _operator: Operator,
    State(state): State<OperationsState>,
) -> Json<bool> {
    Json(state.customers.cache_is_on())
}

/// `PUT /cache/enabled`: `false` empties this replica's cache and turns it off, `true` turns it on again.
pub(in crate::http) async fn switch(
    operator: Operator,
    State(state): State<OperationsState>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let clock = state.customers.clock();
    let body = read_body(&state.rules, clock, &headers, body).await?;
    let enabled = serde_json::from_slice::<bool>(&body).map_err(|_| {
        ApiError::with_detail(Code::InvalidParameter, "the body must be true or false")
    })?;
    // Switching it off frees what was cached, as a purge does.
    state
        .run_blocking(move |customers| customers.switch_cache(enabled))
        .await?;
    let request_id = operator.request_id.as_str();
    tracing::warn!(target: audit::TARGET, request_id, enabled, "cache switched by operator");
    Ok(StatusCode::NO_CONTENT)
}

/// The size of everything that is bounded.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CacheStats))]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct StatsJson {
    /// Whether the cache is in use.
    enabled: bool,
    /// `cache.max_size`.
    max_bytes: u64,
    /// Contacts.
    records: u64,
    /// Their size.
    record_bytes: u64,
    /// Aliases: identifiers that lead to a contact.
    names: u64,
    /// Identifiers that lead to no contact, or to several.
    negatives: u64,
    /// Remembered failures of calls.
    failures: u64,
    /// Parts of contacts' histories that are cached.
    histories: u64,
    /// Their size.
    history_bytes: u64,
    /// Invalidations that keep out what was fetched before.
    fences: FenceCountsJson,
    /// Shared calls, running or waiting.
    flights: FlightCountsJson,
}

/// How many fences there are.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = FenceCounts))]
struct FenceCountsJson {
    /// About one contact.
    contacts: usize,
    /// About one identifier.
    names: usize,
}

/// How many shared calls run or wait.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = FlightCounts))]
struct FlightCountsJson {
    /// Of overviews.
    overviews: usize,
    /// Of identifiers.
    resolutions: usize,
    /// Of parts.
    parts: usize,
    /// Of the history.
    histories: usize,
}

/// `GET /cache/stats`: the size of everything that is bounded.
pub(in crate::http) async fn stats(
    _operator: Operator,
    State(OperationsState { customers, .. }): State<OperationsState>,
) -> Json<StatsJson> {
    let stats = customers.stats();
    Json(StatsJson {
        enabled: customers.cache_is_on(),
        max_bytes: stats.max_bytes,
        records: stats.counts.records,
        record_bytes: stats.counts.record_bytes,
        names: stats.counts.aliases,
        negatives: stats.counts.negatives,
        failures: stats.counts.failures,
        histories: stats.counts.histories,
        history_bytes: stats.counts.history_bytes,
        fences: FenceCountsJson {
            contacts: stats.fenced_contacts,
            names: stats.fenced_aliases,
        },
        flights: FlightCountsJson {
            overviews: stats.overviews,
            resolutions: stats.resolutions,
            parts: stats.parts,
            histories: stats.histories,
        },
    })
}
