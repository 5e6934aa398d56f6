//! Errors of upstream calls. No message contains a URL, a body or a value, because they may contain personal data and
//! end up in logs.

use std::time::Duration;

use crate::domain::Matches;

/// Why a call has no usable response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 400 with an error code.
    #[error("request rejected: {code}")]
    Rejected {
        /// Engage's error code.
        code: Box<str>,
    },
    /// 404 `ContactNotFound`.
    #[error("contact not found")]
    NotFound,
    /// 404 `RetailKpiNotCalculated`: Engage has not computed the summary of the contact's purchases.
    #[error("purchase summary not calculated")]
    NotCalculated,
    /// 409: several contacts share the identifier. The contacts are those that Engage lists.
    #[error("several contacts match the identifier")]
    MultipleMatches(Matches),
    /// The response is about another contact.
    #[error("response is about another contact")]
    IdentityMismatch,
    /// 401: the API key is not accepted.
    #[error("API key not accepted")]
    Unauthorized,
    /// 403: the API key lacks a right, or our address is not on its allow-list.
    #[error("request forbidden")]
    Forbidden,
    /// 500 `InvalidSystemConfiguration`: for instance, the tenant has no `customKey`.
    #[error("tenant not configured for the request")]
    InvalidSystemConfiguration,
    /// Any other failing status.
    #[error("upstream status {status}")]
    Failed {
        /// The status.
        status: u16,
        /// How long not to repeat the call, if a 5xx had a `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The response is unreadable.
    #[error("invalid response at {path}")]
    Invalid {
        /// Where: a path of keys without values.
        path: Box<str>,
    },
    /// 429: calls with the API key are paused.
    #[error("upstream rate limit exceeded")]
    RateLimited {
        /// Remaining pause, if known.
        retry_after: Option<Duration>,
    },
    /// The circuit breaker of these endpoints is open.
    #[error("circuit breaker open")]
    BreakerOpen {
        /// Time until a call about the same subject may be made.
        retry_after: Duration,
    },
    /// Our own call budget is exhausted.
    #[error("call budget exhausted")]
    OverBudget {
        /// Time until a call may be made.
        retry_after: Duration,
    },
    /// The call left the queue while the concurrency limit had no permit for it, or too many flights are under way.
    #[error("too many upstream calls")]
    Overloaded,
    /// No connection could be made, or it broke.
    #[error("upstream unreachable: {what}")]
    Unreachable {
        /// The step that failed.
        what: &'static str,
    },
    /// The call took too long.
    #[error("upstream timeout")]
    Timeout,
    /// An invalidation arrived while the call was in flight. Internal: the waiting requests fetch again.
    #[error("response overtaken by an invalidation")]
    Overtaken,
    /// The task of the call ended without a result: a defect of this service.
    #[error("upstream call lost")]
    Lost,
}

impl Error {
    /// Whether the error is about the identifier itself: unknown contact, ambiguous or malformed identifier, unknown
    /// contact type. No cached data may be served then.
    pub fn is_about_the_identifier(&self) -> bool {
        match self {
            Error::NotFound | Error::MultipleMatches(_) => true,
            Error::Rejected { code } => IDENTIFIER_CODES.contains(&&**code),
            _ => false,
        }
    }

    /// Whether Engage does not know the contact type.
    pub fn is_about_the_contact_type(&self) -> bool {
        matches!(self, Error::Rejected { code } if &**code == CONTACT_TYPE)
    }

    /// Whether stale data may be served instead.
    pub fn allows_stale(&self) -> bool {
        !self.is_about_the_identifier() && *self != Error::IdentityMismatch
    }

    /// Whether a response arrived and was bad. Such a failure is charged to this call, which is not repeated until its
    /// back-off ends. What prevents a response (a time-out, a broken connection, a 429, the budget) concerns every
    /// call.
    pub fn is_about_the_call(&self) -> bool {
        match self {
            Error::Failed { .. }
            | Error::Invalid { .. }
            | Error::IdentityMismatch
            | Error::Unauthorized
            | Error::Forbidden
            | Error::InvalidSystemConfiguration
            | Error::NotCalculated => true,
            Error::Rejected { .. } => !self.is_about_the_identifier(),
            _ => false,
        }
    }

    /// Whether no call was made because the call budget, the concurrency limit or the queue had no room for it.
    pub fn is_for_lack_of_budget(&self) -> bool {
        matches!(self, Error::OverBudget { .. } | Error::Overloaded)
    }

    /// Whether the response exceeded the size limit.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Error::Invalid { path } if &**path == SIZE)
    }

    /// `Retry-After` of this call, if sent.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Failed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same error, served from memory: a `Retry-After` is reduced to `left`.
    #[must_use]
    pub fn remembered(self, left: Duration) -> Self {
        match self {
            Error::Failed {
                status,
                retry_after: Some(_),
            } => Error::Failed {
                status,
                retry_after: Some(left),
            },
            error => error,
        }
    }

    /// The response exceeds the size limit.
    pub(super) fn too_large() -> Self {
        Self::invalid(SIZE)
    }

    /// Whether the request was certainly not processed, or was sent over a dead connection: repeating it adds no load.
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(self, Error::Unreachable { what } if UNPROCESSED_STEPS.contains(what))
    }

    /// Whether a retry may help: no byte of a response arrived, or a proxy had no response. A retry after a time-out
    /// would only add load [Voyado: client time-outs].
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { what } => !matches!(*what, READING | SECURING),
            Error::Failed {
                status,
                retry_after,
            } => matches!(status, 502..=504) && retry_after.is_none(),
            _ => false,
        }
    }

    /// Whether only an operator can fix it: the API key, the tenant's configuration, a response about another contact
    /// or of another shape, TLS.
    pub(super) fn needs_an_operator(&self) -> bool {
        match self {
            Error::IdentityMismatch
            | Error::Unauthorized
            | Error::Forbidden
            | Error::InvalidSystemConfiguration
            | Error::Invalid { .. } => true,
            Error::Unreachable { what } => *what == SECURING,
            _ => false,
        }
    }

    /// The metric label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Error::Rejected { .. } => "rejected",
            Error::NotFound => "not_found",
            Error::NotCalculated => "not_calculated",
            Error::MultipleMatches(_) => "multiple_matches",
            Error::IdentityMismatch => "identity_mismatch",
            Error::Unauthorized => "unauthorized",
            Error::Forbidden => "forbidden",
            Error::InvalidSystemConfiguration => "invalid_system_configuration",
            Error::Failed { .. } => "failed",
            Error::Invalid { .. } => "invalid",
            Error::RateLimited { .. } => "rate_limited",
            Error::BreakerOpen { .. } => "breaker_open",
            Error::OverBudget { .. } => "over_budget",
            Error::Overloaded => "overloaded",
            Error::Unreachable { .. } => "unreachable",
            Error::Timeout => "timeout",
            Error::Overtaken => "overtaken",
            Error::Lost => "lost",
        }
    }

    pub(super) fn invalid(path: &str) -> Self {
        Error::Invalid { path: path.into() }
    }
}

/// The `path` of a response that is too large.
const SIZE: &str = "size";

/// The response had begun to arrive.
pub(super) const READING: &str = "reading the response";

/// The TLS handshake failed, for instance because the server could not prove its identity.
pub(super) const SECURING: &str = "TLS handshake";

/// No address is known.
pub(super) const RESOLVING: &str = "name resolution";

/// The request was not sent, or was refused unprocessed.
pub(super) const UNPROCESSED: &str = "request not processed";

/// A reused connection ended before the first byte of the response.
pub(super) const REUSED_CLOSED: &str = "reused connection closed";

/// The connection pool was abandoned before the first byte of the response.
pub(super) const ABANDONED: &str = "connection pool abandoned";

/// No connection was made; there are other addresses to try.
pub(super) const OTHER_ADDRESSES: &str = "connecting; other addresses left";

const UNPROCESSED_STEPS: [&str; 4] = [UNPROCESSED, REUSED_CLOSED, ABANDONED, OTHER_ADDRESSES];

/// The code of a 400 for a contact type that Engage does not know.
const CONTACT_TYPE: &str = "InvalidContactType";

/// Codes of a 400 that are about the identifier's value or its contact type [Voyado: find contact].
const IDENTIFIER_CODES: [&str; 6] = [
    "InvalidEmailAddress",
    "InvalidPhoneNumber",
    "InvalidSocialSecurityNumber",
    CONTACT_TYPE,
    "InvalidContactId",
    "InvalidSearchQuery",
];
