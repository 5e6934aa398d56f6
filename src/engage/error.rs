//! What can go wrong upstream. Every status is read once, here. No message holds a URL, a body or a
//! value: they would carry somebody's name into the logs.

use std::time::Duration;

/// Why Engage gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 400 with a code of Engage's.
    #[error("engage refused the request: {code}")]
    Rejected {
        /// Engage's code.
        code: Box<str>,
    },
    /// 404 `ContactNotFound`.
    #[error("engage knows no such contact")]
    NotFound,
    /// 409: several contacts share the identifier. Engage lists their ids; they are not kept.
    #[error("several contacts match")]
    MultipleMatches,
    /// The answer is about somebody else.
    #[error("engage answered about another contact than the one asked for")]
    IdentityMismatch,
    /// 401: our API key is not accepted.
    #[error("engage does not accept the API key")]
    Unauthorized,
    /// 403: our API key lacks a right, or our address is not on its list.
    #[error("engage forbids the request")]
    Forbidden,
    /// 500 `InvalidSystemConfiguration`: for instance, the tenant has no `customKey`.
    #[error("engage is not configured for the request")]
    InvalidSystemConfiguration,
    /// Any other failing status.
    #[error("engage failed with status {status}")]
    Failed {
        /// The status.
        status: u16,
        /// When Engage wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
    /// The answer can't be read.
    #[error("engage's answer is invalid at {path}")]
    Invalid {
        /// Where, as a path of keys without values.
        path: Box<str>,
    },
    /// 429: the key's calls are paused.
    #[error("engage limits the API key's calls")]
    RateLimited {
        /// When they may be tried again, where that is known.
        retry_after: Option<Duration>,
    },
    /// Calls of these endpoints mostly failed lately: for a while none is made.
    #[error("engage mostly fails, and is left alone")]
    BreakerOpen {
        /// When the next will be tried.
        retry_after: Duration,
    },
    /// Our own budget of calls is spent.
    #[error("the budget of upstream calls is spent")]
    OverBudget {
        /// When there will be room.
        retry_after: Duration,
    },
    /// Too many upstream calls are under way or waiting.
    #[error("too many upstream calls are under way")]
    Overloaded,
    /// No connection, or it broke.
    #[error("engage can't be reached: {what}")]
    Unreachable {
        /// At which step.
        what: &'static str,
    },
    /// The call took too long.
    #[error("engage took too long")]
    Timeout,
    /// The answer came too late: what it was asked for was dropped meanwhile. Never told to anybody; who
    /// waits asks again.
    #[error("the answer was overtaken by an invalidation")]
    Overtaken,
    /// The task that made the call ended without an answer: a defect of this service.
    #[error("the upstream call was lost")]
    Lost,
}

impl Error {
    /// Whether Engage has spoken about the identifier itself: nobody, several, malformed. Then there
    /// is nothing to show, however much is held.
    pub fn is_about_the_identifier(&self) -> bool {
        match self {
            Error::NotFound | Error::MultipleMatches => true,
            Error::Rejected { code } => IDENTIFIER_CODES.contains(&&**code),
            _ => false,
        }
    }

    /// Whether what is held may stand in for the answer.
    pub fn allows_stale(&self) -> bool {
        !self.is_about_the_identifier() && *self != Error::IdentityMismatch
    }

    /// Whether an answer came and was bad: then it is charged to what was asked for, and that is not asked for again at
    /// once. What kept an answer from coming (a time-out, a broken connection, a 429, the budget) concerns every call.
    pub fn is_about_the_call(&self) -> bool {
        match self {
            Error::Failed { .. }
            | Error::Invalid { .. }
            | Error::IdentityMismatch
            | Error::Unauthorized
            | Error::Forbidden
            | Error::InvalidSystemConfiguration => true,
            Error::Rejected { .. } => !self.is_about_the_identifier(),
            _ => false,
        }
    }

    /// Whether the answer was larger than what is read.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Error::Invalid { path } if &**path == SIZE)
    }

    /// When Engage wants to be asked again, where it says so of this call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Failed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same failure, remembered, where Engage said when to come back: `left` of that is left.
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

    /// The answer is larger than is read.
    pub(super) fn too_large() -> Self {
        Self::invalid(SIZE)
    }

    /// Whether the request was certainly not processed, or went over a connection that had died: asking once more costs
    /// Engage no more than the first attempt should have.
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(self, Error::Unreachable { what } if UNPROCESSED_STEPS.contains(what))
    }

    /// Whether another try may help: not one byte of an answer came, or a proxy in between had none.
    /// Of a time-out it would only add to the load [Voyado: client time-outs].
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Error::Unreachable { what } => !matches!(*what, READING | SECURING),
            Error::Failed {
                status,
                retry_after,
            } => matches!(status, 502..=504) && retry_after.is_none(),
            _ => false,
        }
    }

    /// Whether an operator must know: our key, the tenant's set-up, answers about somebody else, of
    /// another shape, or from somebody else, are mended by people.
    pub fn needs_an_operator(&self) -> bool {
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

    /// What kind of failure it is, as metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Error::Rejected { .. } => "rejected",
            Error::NotFound => "not_found",
            Error::MultipleMatches => "multiple_matches",
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

/// What is invalid of an answer that is too large.
const SIZE: &str = "size";

/// The step at which an answer had begun to come.
pub(super) const READING: &str = "reading the answer";

/// The step at which the other side has to prove that it is Engage: mended by people.
pub(super) const SECURING: &str = "securing the connection";

/// The step at which there is no address to connect to.
pub(super) const RESOLVING: &str = "resolving the name";

/// The request was not sent, or Engage said that it did not process it.
pub(super) const UNPROCESSED: &str = "asking: it was not processed";

/// A connection that had answered before ended without a byte of an answer.
pub(super) const KEPT: &str = "asking over a kept connection, which ended";

/// The kept connections were given up before a byte of an answer came.
pub(super) const LEFT: &str = "asking over kept connections, which were given up";

/// No connection was made, and there are other addresses to try.
pub(super) const MOVED: &str = "connecting: there are other addresses";

const UNPROCESSED_STEPS: [&str; 4] = [UNPROCESSED, KEPT, LEFT, MOVED];

/// The 400s that speak of the identifier's value [Voyado: find contact].
const IDENTIFIER_CODES: [&str; 6] = [
    "InvalidEmailAddress",
    "InvalidPhoneNumber",
    "InvalidSocialSecurityNumber",
    "InvalidContactType",
    "InvalidContactId",
    "InvalidSearchQuery",
];
