//! Metrics of the cache's contents.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge};

families! {
    CACHE_ENABLED = Gauge, "cache_enabled" []:
        "Whether the cache is in use: 0 if an operator switched it off", "";
    CACHE_RECORDS = Gauge, "cache_records" []:
        "Cached contacts", "";
    CACHE_RECORD_BYTES = Gauge, "cache_record_bytes" []:
        "Estimated bytes of the cached contacts", "";
    CACHE_RECORD_MAX_BYTES = Gauge, "cache_record_max_bytes" []:
        "Limit on the estimated bytes of the cached contacts", "about two thirds of `cache.max_size`; beyond it contacts are evicted";
    CACHE_MAX_BYTES = Gauge, "cache_max_bytes" []:
        "Limit on the bytes of everything that is cached", "`cache.max_size`";
    CACHE_EVICTIONS = Counter, "cache_evictions_total" [cause: values::EVICTION_CAUSES]:
        "Contacts that the cache removed by itself, by cause",
        "`size` (there was no room), `expired` (too old for anything)";
    CACHE_COMPRESSION_INPUT = Counter, "cache_compression_input_bytes_total" []:
        "Bytes of parts that were compressed to be cached", "";
    CACHE_COMPRESSION_OUTPUT = Counter, "cache_compression_output_bytes_total" []:
        "Bytes of those parts after compression", "";
    CACHE_INVALIDATIONS = Counter, "cache_invalidations_total" [cause: values::INVALIDATION_CAUSES]:
        "Invalidations of what is cached, by what caused them",
        "`webhook`, `purge` (by an operator), `report` (`POST /customer/changed`), `poll` (`/contacts/changes`), `stream` (announced by another replica)";
    CACHE_ALIASES = Gauge, "cache_aliases" []:
        "Cached identifiers that lead to a contact", "";
    CACHE_NEGATIVES = Gauge, "cache_negatives" []:
        "Cached identifiers that lead to no single contact", "";
    CACHE_FAILURES = Gauge, "cache_failures" []:
        "Calls that failed for one contact and are within their back-off", "";
    CACHE_HISTORIES = Gauge, "cache_histories" []:
        "Cached parts of contacts' histories", "";
    CACHE_HISTORY_BYTES = Gauge, "cache_history_bytes" []:
        "Estimated bytes of the cached parts of contacts' histories", "";
    UNIQUE_IDENTIFIER_CONFLICTS = Counter, "unique_identifier_conflicts_total" [kind]:
        "Identifiers of a kind that is configured as unique that two contacts had, by kind",
        "only the kinds in `identifiers.unique`";
}
