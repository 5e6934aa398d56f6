//! The values of labels. Debug builds compare each list with the names that the code uses: when a series is created, or
//! at the scrape.

/// What the cache did for a response.
pub const CACHE_STATUSES: &[&str] = &[
    "hit",
    "shared",
    "stale-if-error",
    "stale-if-slow",
    "stale",
    "miss",
    "request",
    "bypass",
    "guest",
];
/// Groups of Engage's endpoints.
pub const GROUPS: &[&str] = &[
    "overview",
    "contacts",
    "promotions",
    "vouchers",
    "points",
    "point_definitions",
    "point_transactions",
    "redeemed_vouchers",
    "purchases",
    "changes",
];
/// The result of a call to Engage.
pub const CALL_OUTCOMES: &[&str] = &[
    "ok",
    "rejected",
    "not_found",
    "not_calculated",
    "multiple_matches",
    "identity_mismatch",
    "unauthorized",
    "forbidden",
    "invalid_system_configuration",
    "failed",
    "invalid",
    "rate_limited",
    "unreachable",
    "timeout",
];
/// Why a call to Engage was not made.
pub const NOT_MADE: &[&str] = &[
    "over_budget",
    "overloaded",
    "breaker_open",
    "rate_limited",
    "lost",
];
/// The parts of a customer.
pub const PARTS: &[&str] = &["profile", "audiences", "promotions", "vouchers", "points"];
/// The parts of a customer and of its history.
pub const ALL_PARTS: &[&str] = &[
    "profile",
    "audiences",
    "promotions",
    "vouchers",
    "points",
    "pointTransactions",
    "redeemedVouchers",
    "purchases",
];
/// Why the cache evicts a contact.
pub const EVICTION_CAUSES: &[&str] = &["size", "expired"];
/// What causes an invalidation.
pub const INVALIDATION_CAUSES: &[&str] = &["webhook", "purge", "report", "poll", "stream"];
/// The result of a read of the token issuer's keys.
pub const READ_RESULTS: &[&str] = &["ok", "failed"];
/// How a part was served.
pub const PART_OUTCOMES: &[&str] = &[
    "fresh",
    "stale",
    "shared",
    "fetched",
    "stale_if_error",
    "stale_if_slow",
    "missing",
];
/// Whether the caller or the service is at fault, by the problem's status.
pub const PROBLEM_CLASSES: &[&str] = &["4xx", "5xx"];
/// The result of a client's request.
pub const CLIENT_OUTCOMES: &[&str] = &[
    "answered",
    "not_modified",
    "not_found",
    "refused",
    "limited",
    "guarded",
    "failed",
];
/// The result of a prefetch.
pub const PREFETCH_OUTCOMES: &[&str] = &[
    "fresh", "fetched", "joined", "unknown", "dropped", "guarded", "failed",
];
/// The result of a look-up of a batch.
pub const BATCH_OUTCOMES: &[&str] = &[
    "held",
    "fetched",
    "unknown",
    "late",
    "refused",
    "limited",
    "failed",
    "abandoned",
];
/// The result of a report of a change.
pub const CHANGE_OUTCOMES: &[&str] = &[
    "taken",
    "unknown",
    "limited",
    "refused",
    "not-shared",
    "owing",
];
/// Why a token is refused.
pub const TOKEN_REFUSALS: &[&str] = &[
    "issuer",
    "audience",
    "expired",
    "not_yet_valid",
    "lifetime",
    "key",
    "signature",
    "algorithm",
    "type",
    "claim",
    "malformed",
    "too_large",
    "crit",
];
/// The result of a reload.
pub const RELOADS: &[&str] = &["succeeded", "failed"];
/// The listeners.
pub const LISTENERS: &[&str] = &["data", "operations"];
/// The states of the webhook feed.
pub const FEED_STATES: &[&str] = &["unknown", "working", "silent", "failing"];
/// Levels of log events.
pub const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// The message of each log event that has `alarm = true`.
pub const ALARMS: &[&str] = &[
    "announcement unreadable; cache dropped",
    "applying an announcement failed",
    "audit events dropped",
    "cache maintenance failed",
    "cached entry damaged or of another contact",
    "changes unknown; cache invalidated",
    "configuration reload failed; nothing changed",
    "default contact type refused",
    "default point definition unknown",
    "dictionary training failed",
    "distinct contacts limit exceeded",
    "engage API key not accepted",
    "engage TLS handshake failed",
    "engage request forbidden",
    "engage response about another contact",
    "engage response unreadable",
    "engage tenant not configured",
    "enumeration guard tripped",
    "shared tier key unknown",
    "shared tier value is about another contact",
    "token issuer keys unavailable",
    "unique identifier of two contacts",
    "unreadable item left out",
    "webhook feed failing; lifetimes shortened",
];
/// The kinds of events that the log may drop.
pub const LOGS: &[&str] = &["events", "audit", "strangers"];
/// What happened to a token of the shared budget.
pub const TOKEN_OUTCOMES: &[&str] = &["leased", "used", "returned", "lapsed"];
/// Why a value of the shared tier counts as absent.
pub const UNREADABLE: &[&str] = &[
    "format", "seal", "content", "mismatch", "too_old", "missing",
];
/// Entries of the stream of invalidations.
pub const STREAM_ENTRIES: &[&str] = &["heartbeat", "invalidation", "advance", "unknown"];
/// Why invalidations may have been missed.
pub const GAP_REASONS: &[&str] = &["chain", "unknown", "unreadable", "epoch", "rewound"];
/// The result of an announcement.
pub const ANNOUNCEMENTS: &[&str] = &["written", "repeated", "not_shared"];
/// Operations of the shared tier.
pub const OPERATIONS: &[&str] = &[
    "connect",
    "open",
    "rewrap",
    "fetch",
    "store",
    "release",
    "invalidate",
    "advance",
    "read",
    "beat",
    "lease_tokens",
    "pause",
    "peek",
    "sweep",
];
/// The ways in which an operation of the shared tier fails.
pub const FAULTS: &[&str] = &[
    "timeout",
    "unreachable",
    "epoch",
    "read_only",
    "full",
    "forbidden",
    "unexpected",
    "unavailable",
];
/// The event label of a delivery that was not verified and parsed: its event is not known.
pub const UNREAD: &str = "(unread)";
/// Events of Engage's webhooks.
pub const EVENTS: &[&str] = &[
    "contact.created",
    "contact.updated",
    "contact.deleted",
    "contact.acceptsEmail.changed",
    "contact.acceptsSms.changed",
    "contact.acceptsPostal.changed",
    "contact.consent.changed",
    "point.balance.updated",
    "loyalty.addPoints",
    "reward.voucher.created",
    "promotion.multichannel.assigned",
    "(other)",
];
/// The result of a delivery that was verified and parsed.
pub const READ_OUTCOMES: &[&str] = &["taken", "repeated", "unaddressed", "not-shared"];
/// Why a delivery was not verified and parsed.
pub const UNREAD_OUTCOMES: &[&str] = &[
    "unsigned",
    "untimely",
    "forged",
    "not-json",
    "sealed",
    "too-large",
    "incomplete",
    "overloaded",
];
/// The code of a problem, and its status.
pub const PROBLEMS: &[(&str, &str)] = &[
    ("MissingIdentifier", "400"),
    ("AmbiguousIdentifier", "400"),
    ("MissingContactType", "400"),
    ("InvalidParameter", "400"),
    ("NationalIdInUrl", "400"),
    ("InvalidEmailAddress", "400"),
    ("InvalidPhoneNumber", "400"),
    ("InvalidSocialSecurityNumber", "400"),
    ("InvalidContactType", "400"),
    ("InvalidContactId", "400"),
    ("InvalidSearchQuery", "400"),
    ("(engage's)", "400"),
    ("Unauthorized", "401"),
    ("Forbidden", "403"),
    ("ContactNotFound", "404"),
    ("NotFound", "404"),
    ("MethodNotAllowed", "405"),
    ("MultipleMatches", "409"),
    ("PreconditionFailed", "412"),
    ("PayloadTooLarge", "413"),
    ("UnsupportedMediaType", "415"),
    ("InvalidConfiguration", "422"),
    ("RateLimited", "429"),
    ("HeadTooLarge", "431"),
    ("Internal", "500"),
    ("InvalidSystemConfiguration", "502"),
    ("UpstreamUnauthorized", "502"),
    ("UpstreamForbidden", "502"),
    ("UpstreamFailed", "502"),
    ("UpstreamInvalid", "502"),
    ("IdentityMismatch", "502"),
    ("UpstreamUnavailable", "503"),
    ("Overloaded", "503"),
    ("WebhookUnreadable", "503"),
    ("NotShared", "503"),
    ("UpstreamTimeout", "504"),
    ("NotCached", "504"),
];
