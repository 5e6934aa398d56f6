//! Metrics of responses about customers, and of the clients that request them.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge, Histogram};

/// From a hit, about ten microseconds, through a call to Engage, to a caller's time-out.
const RESPONSE_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0,
];

/// From data that was just fetched to data that is served while Engage fails.
const AGE_SECONDS: &[f64] = &[
    0.0, 1.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];

families! {
    CUSTOMER_REQUEST_DURATION = Histogram(RESPONSE_SECONDS), "customer_request_duration_seconds"
        [cache: values::CACHE_STATUSES]:
        "Duration of responses about customers, by what the cache did",
        "`hit`, `shared` (another replica had fetched it), `stale-if-error`, `stale-if-slow`, `stale`, `miss`, `request` (requested fresh), `bypass` (the cache is off), `guest` (about no customer, since Engage was unavailable)";
    CUSTOMER_NOT_MODIFIED = Counter, "customer_not_modified_total" []:
        "Responses about customers that were a 304", "";
    CUSTOMER_FAST_PATH = Counter, "customer_fast_path_total" []:
        "Responses about customers that the fast path wrote",
        "a small share of the hits means that clients send header fields which [it](#the-fast-path) does not understand";
    CUSTOMER_DEGRADED = Counter, "customer_degraded_total" []:
        "Responses about customers with anything in degraded", "";
    PARTS_SERVED = Counter, "parts_served_total" [part: values::PARTS, outcome: values::PART_OUTCOMES]:
        "Parts in responses about customers, by how they were served",
        "from memory: `fresh`, or `stale` (beyond its lifetime, and refreshed in the background); `shared` (another replica had fetched it), `fetched` (Engage was called); beyond what may be stale: `stale_if_error`, `stale_if_slow`; `missing` (`null` and degraded)";
    PART_AGE = Histogram(AGE_SECONDS), "part_age_seconds" [part: values::PARTS]:
        "Age of the parts in responses about customers, when the request arrived", "";
    PROBLEMS_TOTAL = Counter, "problems_total" [code, status] from problems:
        "Requests answered with a problem, by its code",
        "the codes are in [API.md](API.md#errors); `(engage's)` are those of Engage that are not ours";
    PROBLEM_DURATION = Histogram(RESPONSE_SECONDS), "problem_duration_seconds" [class: values::PROBLEM_CLASSES]:
        "Duration of requests answered with a problem, by the class of its status",
        "`4xx`, `5xx`";
    PREFETCHES = Counter, "prefetches_total" [outcome: values::PREFETCH_OUTCOMES]:
        "Requests to have a customer cached, by outcome",
        "`fresh` (it was), `fetched`, `joined` (another request's call), `unknown` (no such contact, or several), `dropped` (too many at once, or the cache is off), `guarded` (the client's enumeration guard is tripped), `failed` (Engage failed, or the budget had no room in time)";
    BATCH_LOOKUPS = Counter, "batch_lookups_total" [outcome: values::BATCH_OUTCOMES]:
        "Look-ups of batches, by outcome",
        "`held` (cached), `fetched`, `unknown`, `late` (not there at the deadline), `refused` (malformed, or not allowed), `limited` (the client's rate or enumeration guard), `failed`, `abandoned` (the caller had left)";
    CHANGES = Counter, "changes_total" [client, outcome: values::CHANGE_OUTCOMES]:
        "Changes that callers reported, by client and outcome",
        "`taken`, `unknown` (the identifier is cached for no contact); not accepted: `limited` (beyond `changes_per_second`), `refused` (a shopper about another contact), `not-shared` (it took effect at this replica alone), `owing` (the others have been out of reach for long: nothing was done)";
    TOKEN_REFUSALS = Counter, "token_refusals_total" [why: values::TOKEN_REFUSALS]:
        "Refused tokens of shoppers, by reason", "`issuer`, `audience`, `expired`, `not_yet_valid`, `lifetime`, `key`, `signature`, `algorithm`, `type`, `claim`, `malformed`, `too_large`, `crit`: [what each means](#refused-tokens)";
    TOKEN_KEYS_READ = Gauge, "token_keys_read_timestamp_seconds" []:
        "When the token issuer's keys were last read, in seconds since 1970; 0 before the first time", "";
    TOKEN_KEYS_READS = Counter, "token_keys_reads_total" [outcome: values::READ_RESULTS]:
        "Reads of the token issuer's keys, by outcome",
        "`ok`, `failed`";
    CLIENT_REQUESTS = Counter, "client_requests_total" [client, outcome: values::CLIENT_OUTCOMES]:
        "Requests of a client, by outcome",
        "`answered`, `not_modified` (a 304), `not_found` (no such customer), `refused` (another 4xx), `limited` (beyond its rate or concurrency), `guarded` (its enumeration guard is tripped), `failed` (a 5xx)";
    CLIENT_LAST_SEEN = Gauge, "client_last_seen_timestamp_seconds" [client]:
        "When a client's last request was answered, in seconds since 1970; 0 before the first", "";
    CLIENT_KEY_LAST_USED = Gauge, "client_key_last_used_timestamp_seconds" [client, key]:
        "When a client's key was last used, in seconds since 1970; 0 before the first time",
        "`key`: the first eight digits of its digest in `key_sha256`; a key that stays unused may be removed";
    CLIENT_GUARD_TRIPPED = Gauge, "client_guard_tripped" [client]:
        "Whether a client's enumeration guard is tripped: 1 while it is answered from memory alone", "";
    CLIENT_GUARD_TRIPS = Counter, "client_guard_trips_total" [client]:
        "Minutes in which a client's enumeration guard tripped", "";
    CLIENT_PEOPLE_ALARMS = Counter, "client_people_alarms_total" [client]:
        "Hours in which a client was sent more distinct contacts than its limit", "`people_per_hour`";
}

fn problems() -> Vec<Vec<&'static str>> {
    let rows = values::PROBLEMS.iter();
    rows.map(|(code, status)| vec![*code, *status]).collect()
}
