//! `GET /readyz` of the operations listener: readiness with its details.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;

use super::{OperationsState, reload::ReloadStatus};
use crate::{
    customer::{CustomerService, Feed, SharedTierStatus},
    http::{auth::JwksStatus, probe},
};

/// The state of calls to Engage.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Upstream))]
#[serde(rename_all = "camelCase")]
pub struct UpstreamStatus {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait to be admitted.
    pub queued: usize,
    /// Seconds until a pause that Engage asked for (429) ends.
    pub paused_for_seconds: Option<f64>,
    /// The call budget that replicas share, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStatus>,
    /// The circuit breaker of each group of endpoints.
    pub breakers: Vec<BreakerStatus>,
}

/// The state of a call budget that replicas share.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Budget))]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// `shared`, or `own share` while no tokens can be leased.
    pub mode: &'static str,
    /// How many replicas share it, as far as this one knows.
    pub replicas: u32,
}

/// The state of one circuit breaker.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Breaker))]
#[serde(rename_all = "camelCase")]
pub struct BreakerStatus {
    /// The group of endpoints.
    pub group: &'static str,
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Seconds until it admits a call.
    pub refuses_for_seconds: Option<f64>,
}

impl JwksStatus {
    /// The value of `tokenKeys`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Loaded => "loaded",
            Self::Starting | Self::NotLoaded => "not loaded",
        }
    }
}

/// Readiness, with the state of other components, on which it does not depend once the replica has started.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Readiness))]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessJson {
    /// Whether this replica accepts traffic.
    ready: bool,
    /// The token issuer's keys.
    token_keys: &'static str,
    /// Calls to Engage.
    engage: UpstreamStatus,
    /// The cache.
    cache: CacheJson,
    /// The webhook feed.
    webhooks: WebhooksJson,
    /// `null` without `redis.url`.
    shared_tier: Option<SharedTierJson>,
    /// Settings that are valid and rarely intended.
    warnings: Vec<String>,
    /// The last reload of the configuration.
    reload: ReloadStatus,
}

/// The state of the webhook feed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Webhooks))]
#[serde(rename_all = "camelCase")]
struct WebhooksJson {
    /// Whether changes are reported; `off` where no secret is configured.
    state: &'static str,
    /// The time since the last delivery that could be read, at this replica or at another one.
    last_taken_seconds_ago: Option<f64>,
}

impl WebhooksJson {
    fn of(customers: &CustomerService) -> Self {
        let now = customers.clock().tick();
        let feed = customers.feed();
        let last = feed.and_then(Feed::last_received);
        Self {
            state: feed.map_or("off", |feed| feed.status(now).as_str()),
            last_taken_seconds_ago: last.map(|last| now.since(last).as_secs_f64()),
        }
    }
}

/// The state of the tier that replicas share.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SharedTier))]
#[serde(rename_all = "camelCase")]
struct SharedTierJson {
    /// `connected`, `catching up`, `changing epoch`, or why it cannot be used. Open.
    state: &'static str,
    /// Whether it is used.
    available: bool,
    /// How long it has been in this state.
    since_seconds: f64,
    /// `null` before the first.
    round_trip_milliseconds: Option<RoundTripJson>,
    /// How long ago its stream was last known to be read to its end; `null` before the first time.
    caught_up_seconds_ago: Option<f64>,
    /// How often memory was dropped because invalidations may have been missed.
    gaps: u64,
    /// How many share it, as far as this one knows.
    replicas: u32,
    /// Whether it has not been heard from for so long that lifetimes are shortened.
    memory_distrusted: bool,
}

/// How long an operation of the tier takes.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RoundTrip))]
struct RoundTripJson {
    /// The last one.
    last: f64,
    /// The exponential average of round trips.
    average: f64,
}

impl From<SharedTierStatus> for SharedTierJson {
    fn from(status: SharedTierStatus) -> Self {
        let tier = status.tier;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let round_trips = tier.round_trip.zip(tier.average_round_trip);
        Self {
            state: tier.state,
            available: tier.is_available,
            since_seconds: tier.since.as_secs_f64(),
            round_trip_milliseconds: round_trips.map(|(last, average)| RoundTripJson {
                last: milliseconds(last),
                average: milliseconds(average),
            }),
            caught_up_seconds_ago: tier.stream_age.as_ref().map(Duration::as_secs_f64),
            gaps: tier.gaps,
            replicas: tier.replicas,
            memory_distrusted: status.memory_is_distrusted,
        }
    }
}

/// How much is cached.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CacheSize))]
#[serde(rename_all = "camelCase")]
struct CacheJson {
    /// Whether it is in use.
    enabled: bool,
    /// Contacts.
    records: u64,
    /// Their size.
    record_bytes: u64,
    /// Aliases: identifiers that lead to a contact.
    names: u64,
    /// Identifiers that lead to no contact, or to several.
    negatives: u64,
}

/// Readiness, with the state of Engage, cache, webhooks and shared tier.
pub(in crate::http) async fn ready(State(state): State<OperationsState>) -> Response {
    let detail = detail(&state);
    let status = if detail.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(detail)).into_response()
}

/// The readiness now.
pub(super) fn detail(state: &OperationsState) -> ReadinessJson {
    let customers = &state.customers;
    let counts = customers.counts();
    let configuration = state.configuration.status();
    ReadinessJson {
        ready: probe::is_ready(&state.readiness, &state.credentials, customers),
        token_keys: state.credentials.now().authenticator.jwks_status().as_str(),
        engage: (state.upstream)(),
        cache: CacheJson {
            enabled: customers.cache_is_on(),
            records: counts.records,
            record_bytes: counts.record_bytes,
            names: counts.aliases,
            negatives: counts.negatives,
        },
        webhooks: WebhooksJson::of(customers),
        shared_tier: customers.shared_tier_status().map(SharedTierJson::from),
        warnings: configuration.warnings,
        reload: configuration.reload,
    }
}
