//! Metrics of the shared tier. They exist only with `redis.url`.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge, Histogram};

/// From a server on the same machine to twice the default time-out.
const OPERATION_SECONDS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1,
];

families! {
    SHARED_TIER_AVAILABLE = Gauge, "shared_tier_available" []:
        "Whether the shared tier is in use: 0 while it can't be", "";
    SHARED_TIER_OPERATIONS = Counter, "shared_tier_operations_total" [operation, outcome] from operations:
        "Operations of the shared tier that ended, by outcome",
        "`outcome` of a fetch: `hit`, `negative`, `leased`, `busy`, `unreadable`; of a store: `stored`, `overtaken`, `newer`; of others: `ok`, `written`, `repeated`, `granted`, `none`, `wrong_key`; of a failure: `timeout`, `unreachable`, `epoch`, `full`, `read_only`, `forbidden`, `unexpected`; `unavailable`: not tried";
    SHARED_TIER_OPERATION_DURATION = Histogram(OPERATION_SECONDS),
        "shared_tier_operation_duration_seconds" [operation: values::OPERATIONS]:
        "Duration of operations of the shared tier: round trips to the server",
        "`connect`, `open` and `advance` (an epoch), `rewrap` (its secret, with another key), `fetch`, `store`, `release` (a lease), `invalidate`, `read` (the stream), `beat` (a heartbeat), `lease_tokens`, `pause` (of all calls), `peek` (for an explanation), `sweep` (of ended epochs)";
    SHARED_TIER_VALUES_UNREADABLE = Counter, "shared_tier_values_unreadable_total" [kind: values::UNREADABLE]:
        "Stored values of the shared tier that count as absent, by kind",
        "`format` (another version stored them), `seal` (changed, moved, or another key), `content`, `mismatch` (another contact's), `too_old`, `missing`";
    SHARED_TIER_STREAM_ENTRIES = Counter, "shared_tier_stream_entries_total" [kind: values::STREAM_ENTRIES]:
        "Entries of the stream of invalidations that were read, by kind",
        "`heartbeat`, `invalidation`, `advance` (everything), `unknown`";
    SHARED_TIER_STREAM_GAPS = Counter, "shared_tier_stream_gaps_total" [reason: values::GAP_REASONS]:
        "Gaps in the stream of invalidations, after which memory is dropped, by reason",
        "`chain`, `epoch`, `rewound`, `unknown`, `unreadable`: as in [the log](#log-events)";
    SHARED_TIER_CAUGHT_UP = Gauge, "shared_tier_caught_up_seconds" []:
        "Seconds since the latest moment up to which all invalidations are known to be applied",
        "below 1 while all is well, from 2 on memory is distrusted; absent before the stream was first read";
    SHARED_TIER_ANNOUNCEMENTS = Counter, "shared_tier_announcements_total" [outcome: values::ANNOUNCEMENTS]:
        "Invalidations for all replicas, by outcome",
        "`written`, `repeated` (a webhook message that was announced before), `not_shared`";
    SHARED_TIER_REPLICAS = Gauge, "shared_tier_replicas" []:
        "Replicas that share the tier, this one included", "";
}

/// Every operation with its own outcomes and those of failures.
fn operations() -> Vec<Vec<&'static str>> {
    let outcomes = |operation: &&'static str| {
        let operation = *operation;
        let own: &[&str] = match operation {
            "connect" | "read" => &[],
            "open" => &["ok", "wrong_key"],
            "fetch" => &["hit", "negative", "leased", "busy", "unreadable"],
            "store" => &["stored", "overtaken", "newer"],
            "invalidate" => &["written", "repeated"],
            "advance" => &["written"],
            "lease_tokens" => &["granted", "none"],
            _ => &["ok"],
        };
        let all = own.iter().chain(values::FAULTS);
        all.map(move |outcome| vec![operation, *outcome])
    };
    values::OPERATIONS.iter().flat_map(outcomes).collect()
}
