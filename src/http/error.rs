//! Error responses: `application/problem+json` (RFC 9457) with a stable `code`. Every failure gets its status and body
//! here. Texts are fixed: of a caller's input only a parameter's name is echoed, if it is a plain word, and of Engage's
//! response only its error code. The one exception is the problem of a refused reload, which lists the mistakes of the
//! configuration.

mod code;
mod from_customer;
mod missing;
mod problem;
mod response;

use std::{borrow::Cow, num::NonZeroU32, time::Duration};

pub use self::code::Code;
use self::problem::CandidateJson;
#[cfg(test)]
pub(super) use self::problem::{Problem, title};
pub(super) use self::{
    missing::Missing,
    problem::{write_problem, write_problem_of_line},
    response::{RATE_LIMIT, RATE_LIMIT_POLICY},
};
use crate::{customer::Candidate, domain::IdentifierError};

const API_KEY_CHALLENGE: &str = "ApiKey realm=\"engage-bff\", header=\"X-Api-Key\"";

/// What a 415 response says that a body must be (RFC 9110, 15.5.16).
#[derive(Clone, Copy, Debug)]
pub(super) enum AcceptedBody {
    /// JSON: the media type is wrong.
    Json,
    /// Without a content coding: the body has one.
    Identity,
}

/// A limit of a client's or a shopper's, by its name in `RateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RateLimit {
    Requests,
    Changes,
}

impl RateLimit {
    const fn as_str(self) -> &'static str {
        match self {
            RateLimit::Requests => "requests",
            RateLimit::Changes => "changes",
        }
    }
}

/// A failure, with what its caller may know of it.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Option<Box<str>>,
    accepts: Option<AcceptedBody>,
    challenge: &'static str,
    /// What the credential lacks.
    missing: Option<Missing>,
    /// The name of the limit that was exceeded, and what it admits a second.
    rate: Option<(RateLimit, NonZeroU32)>,
    /// Whether the client's enumeration guard is the reason.
    is_guarded: bool,
    /// Boxed, to keep this type small.
    members: Option<Box<Members>>,
}

/// The members that few problems have.
#[derive(Clone, Debug, Default)]
struct Members {
    /// The name of the parameter that is refused.
    parameter: Option<Box<str>>,
    /// The contacts that share an identifier.
    candidates: Option<Box<[CandidateJson]>>,
}

/// Marks, in the extensions of a response, that the client's enumeration guard is its reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded;

impl ApiError {
    /// A failure with the code's detail.
    pub fn new(code: Code) -> Self {
        let detail = Cow::Borrowed(code.detail());
        Self {
            code,
            detail,
            retry_after: None,
            allow: None,
            accepts: None,
            challenge: API_KEY_CHALLENGE,
            missing: None,
            rate: None,
            is_guarded: false,
            members: None,
        }
    }

    /// A failure with its own detail.
    pub(super) fn with_detail(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::new(code)
        }
    }

    /// A failure of a parameter. The problem names it where its name is a plain word.
    pub(super) fn parameter(name: &str, what: &str) -> Self {
        let is_plain_word = (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let shown = if is_plain_word { name } else { "a parameter" };
        let error = Self::with_detail(Code::InvalidParameter, format!("{shown}: {what}"));
        if is_plain_word {
            error.of_parameter(name)
        } else {
            error
        }
    }

    /// A failure of the identifier in a parameter.
    pub(super) fn identifier(error: IdentifierError, parameter: &'static str) -> Self {
        let error = match error {
            IdentifierError::InvalidContactId => Self::new(Code::InvalidContactId),
            IdentifierError::InvalidEmailAddress => Self::new(Code::InvalidEmailAddress),
            IdentifierError::EmailNotAscii => Self::with_detail(
                Code::InvalidEmailAddress,
                format!("{parameter}: an e-mail address must be ASCII."),
            ),
            IdentifierError::EmailDomainNotAscii => Self::with_detail(
                Code::InvalidEmailAddress,
                format!(
                    "{parameter}: an e-mail address must be ASCII; write the domain in its xn-- form."
                ),
            ),
            IdentifierError::InvalidPhoneNumber => Self::new(Code::InvalidPhoneNumber),
            IdentifierError::InvalidSocialSecurityNumber => {
                Self::new(Code::InvalidSocialSecurityNumber)
            }
            IdentifierError::InvalidSearchQuery => Self::with_detail(
                Code::InvalidSearchQuery,
                format!("{parameter}: empty, too long or not text."),
            ),
        };
        error.of_parameter(parameter)
    }

    /// With another detail.
    pub(super) fn detailed(mut self, detail: &'static str) -> Self {
        self.detail = detail.into();
        self
    }

    /// With the name of the parameter that is refused, a plain word.
    pub(super) fn of_parameter(mut self, name: &str) -> Self {
        self.members.get_or_insert_default().parameter = Some(name.into());
        self
    }

    /// With the name of the parameter that contains the identifier, where Engage refuses its value.
    pub(super) fn of_identifier(self, parameter: Option<&'static str>) -> Self {
        match (&self.code, parameter) {
            (
                Code::InvalidContactId
                | Code::InvalidEmailAddress
                | Code::InvalidPhoneNumber
                | Code::InvalidSocialSecurityNumber
                | Code::InvalidSearchQuery,
                Some(parameter),
            ) => self.of_parameter(parameter),
            _ => self,
        }
    }

    /// With the path's methods, for `Allow`.
    pub(super) fn allow(mut self, methods: String) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// A request that the credential does not allow, because it lacks this.
    pub(super) fn forbidden(missing: Missing) -> Self {
        Self {
            missing: Some(missing),
            ..Self::with_detail(Code::Forbidden, missing.detail())
        }
    }

    /// A body of an unsupported media type or content coding.
    pub(super) fn unsupported(accepts: AcceptedBody) -> Self {
        Self {
            accepts: Some(accepts),
            ..Self::new(Code::UnsupportedMediaType)
        }
    }

    /// With a challenge other than that for an API key.
    pub(super) fn challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = challenge;
        self
    }

    /// With the contacts that share the identifier: for a caller that may know them.
    pub(super) fn candidates(mut self, candidates: &[Candidate]) -> Self {
        let json = |candidate: &Candidate| CandidateJson {
            contact_id: candidate.id,
            contact_type: candidate.contact_type.as_ref().map(|of| of.as_str().into()),
        };
        let named = candidates.iter().map(json).collect();
        self.members.get_or_insert_default().candidates = Some(named);
        self
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    /// With the rate limit, its name and what it admits a second, and the time until it admits the next.
    pub(super) fn rate_limited(mut self, limit: RateLimit, rate: u32, wait: Duration) -> Self {
        self.rate = NonZeroU32::new(rate).map(|rate| (limit, rate));
        self.retry_after(wait)
    }

    /// Because the client's enumeration guard is tripped.
    pub(super) fn guarded(mut self) -> Self {
        self.is_guarded = true;
        self
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

#[cfg(fuzzing)]
impl ApiError {
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

/// The seconds of a `Retry-After`: rounded up, at least one.
fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1)
}
