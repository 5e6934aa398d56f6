//! Metrics of calls to Engage.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge, Histogram};

/// Around typical response times, the callers' time-out and the upstream time-out.
const CALL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 5.0, 10.0,
];

/// From a call that need not wait to nearly the longest wait.
const QUEUE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

families! {
    ENGAGE_CALLS = Counter, "engage_calls_total" [group: values::GROUPS, outcome: values::CALL_OUTCOMES]:
        "Calls to Engage that ended, by outcome",
        "`ok`; what the response says of the contact: `not_found`, `multiple_matches`, `rejected` (a 400), `not_calculated` (no purchases); and [failures](#upstream-errors): `failed` (its status), `invalid`, `identity_mismatch`, `unauthorized`, `forbidden`, `invalid_system_configuration`, `rate_limited`, `unreachable`, `timeout`";
    ENGAGE_CALL_DURATION = Histogram(CALL_SECONDS), "engage_call_duration_seconds" [group: values::GROUPS]:
        "Duration of calls to Engage", "";
    ENGAGE_QUEUE_DURATION = Histogram(QUEUE_SECONDS), "engage_queue_duration_seconds" [group: values::GROUPS]:
        "How long calls to Engage waited for the call budget and a slot before they were made", "";
    ENGAGE_RETRIES = Counter, "engage_retries_total" [group: values::GROUPS]:
        "Repeated calls to Engage: retries, and calls that were not processed", "";
    ENGAGE_CALLS_NOT_MADE = Counter, "engage_calls_not_made_total" [reason: values::NOT_MADE]:
        "Calls to Engage that were needed and not made, by reason",
        "`over_budget`, `overloaded` (the queue is full), `breaker_open`, `rate_limited` (a pause after a 429), `lost` (a defect)";
    ENGAGE_ITEMS_UNREADABLE = Counter, "engage_items_unreadable_total" [part: values::ALL_PARTS]:
        "Items left out of Engage's responses because they cannot be read, by part",
        "a list that was cut counts once";
    ENGAGE_BREAKER_OPENINGS = Counter, "engage_breaker_openings_total" [group: values::GROUPS]:
        "Openings of the circuit breaker of a group of endpoints", "";
    ENGAGE_BREAKER_STATE = Gauge, "engage_breaker_state" [group: values::GROUPS]:
        "State of the circuit breaker of a group of endpoints: 0 closed, 1 half open, 2 open",
        "half open: the next call is tried alone, or is being tried";
    ENGAGE_IN_FLIGHT = Gauge, "engage_in_flight" []:
        "Calls to Engage in flight", "";
    ENGAGE_QUEUED = Gauge, "engage_queued" []:
        "Calls to Engage that wait for the call budget", "";
    ENGAGE_PAUSED = Gauge, "engage_paused_seconds" []:
        "Seconds for which a 429 still pauses all calls to Engage", "";
    ENGAGE_BUDGET_RATE = Gauge, "engage_budget_calls_per_second" []:
        "Calls a second that this replica may make now",
        "with a shared tier those of all replicas, or its own share while the tier can't be used";
    ENGAGE_BUDGET_BURST = Gauge, "engage_budget_burst" []:
        "Calls that may start at once", "likewise";
    ENGAGE_CONCURRENCY_LIMIT = Gauge, "engage_concurrency_limit" []:
        "Limit on the calls to Engage in flight", "`engage.max_concurrency`";
    ENGAGE_BUDGET_SHARED = Gauge, "engage_budget_shared" []:
        "Whether calls to Engage use the budget that replicas share: 0 while this replica calls within its own share",
        "only with a shared tier";
    ENGAGE_BUDGET_REPLICAS = Gauge, "engage_budget_replicas" []:
        "Replicas that share the budget of calls to Engage, as far as this one knows",
        "only with a shared tier";
    ENGAGE_TOKENS = Counter, "engage_tokens_total" [outcome: values::TOKEN_OUTCOMES]:
        "Tokens of the shared budget of calls to Engage, by outcome",
        "`leased`, and of those `used` for a call, `returned`, or `lapsed` because the tier could not be reached; only with a shared tier";
    ENGAGE_POINT_DEFINITIONS_READ = Gauge, "engage_point_definitions_read_timestamp_seconds" []:
        "When the names of points were read, in seconds since 1970; 0 before the first time",
        "only with `engage.point_names`";
}
