//! Header fields of responses.

use serde_json::{Map, Value, json};

/// Each field: its name, what it says, and a value.
const FIELDS: [(&str, &str, &str); 19] = [
    (
        "Accept",
        "What a body must be, where its media type is wrong.",
        "application/json",
    ),
    (
        "Accept-Encoding",
        "What a body must be, where it has a content coding.",
        "identity",
    ),
    (
        "Content-Encoding",
        "`gzip` of 1 KiB and more, to callers that accept it, once the compressed form exists.",
        "gzip",
    ),
    (
        "X-Content-Type-Options",
        "The media type is the one that is named.",
        "nosniff",
    ),
    (
        "Age",
        "The age of the oldest part, in seconds. Not of a guest.",
        "12",
    ),
    (
        "Cache-Control",
        "No cache may store a customer.",
        "private, no-store",
    ),
    (
        "Cache-Status",
        "What the cache did (RFC 9211). Not for shoppers.",
        "engage-bff; hit; ttl=41",
    ),
    (
        "CDN-Cache-Control",
        "No cache may store a customer.",
        "no-store",
    ),
    (
        "Content-Security-Policy",
        "The page loads nothing.",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (
        "ETag",
        "Of everything in the body but `freshness`, one per coding. Not of a guest.",
        "\"3b1e23ef0dd373dd51813415\"",
    ),
    (
        "RateLimit",
        "The limit that is exceeded (draft-ietf-httpapi-ratelimit-headers-10).",
        "\"requests\";r=0;t=1",
    ),
    (
        "RateLimit-Policy",
        "What the limit admits.",
        "\"requests\";q=50;w=1",
    ),
    (
        "Referrer-Policy",
        "URLs may contain personal data.",
        "no-referrer",
    ),
    (
        "Retry-After",
        "After how many seconds the request may be sent again.",
        "1",
    ),
    (
        "Server-Timing",
        "What the cache did, and the milliseconds spent. Not for shoppers.",
        "cache;desc=hit, total;dur=0.084",
    ),
    (
        "Vary",
        "What the response depends on.",
        "Accept-Encoding, Authorization, X-Api-Key",
    ),
    (
        "WWW-Authenticate",
        "Which credential is wanted.",
        "ApiKey realm=\"engage-bff\", header=\"X-Api-Key\"",
    ),
    (
        "X-Accel-Buffering",
        "Asks nginx not to hold the events back.",
        "no",
    ),
    (
        "X-Request-Id",
        "The caller's, if it is 1 to 64 letters, digits, `-`, `_`, `.`; else a new one.",
        "04ff3a7c-3285-4143-80a5-caf3991a8076",
    ),
];

/// The fields that are numbers.
const NUMBERS: [&str; 2] = ["Age", "Retry-After"];

/// The fields of every response.
const COMMON: [&str; 7] = [
    "Cache-Control",
    "CDN-Cache-Control",
    "Referrer-Policy",
    "Server-Timing",
    "Vary",
    "X-Content-Type-Options",
    "X-Request-Id",
];

/// The components.
pub(super) fn all() -> Map<String, Value> {
    let component = |(name, description, example): (&str, &str, &str)| {
        let header = if NUMBERS.contains(&name) {
            let number: u64 = example.parse().expect("a number");
            let schema = json!({"type": "integer", "minimum": 0});
            json!({"description": description, "schema": schema, "example": number})
        } else {
            let schema = json!({"type": "string"});
            json!({"description": description, "schema": schema, "example": example})
        };
        (name.to_owned(), header)
    };
    FIELDS.into_iter().map(component).collect()
}

/// References to the fields of a response: those that all have, and these.
pub(super) fn of_response(own: &[&str]) -> Map<String, Value> {
    let reference = |name: &&str| {
        let reference = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), reference)
    };
    COMMON.iter().chain(own).map(reference).collect()
}
