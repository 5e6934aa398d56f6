//! Error responses: `application/problem+json` (RFC 9457) with a stable `code`. Every failure gets its status and body
//! here. Texts are fixed: of a caller's input only a parameter's name is echoed, where it is a plain word, and of
//! Engage's response only its error code.

mod code;
mod missing;

use std::{borrow::Cow, num::NonZeroU32, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

pub use self::code::Code;
pub(super) use self::missing::Missing;
use crate::{
    customer::{self, Candidate},
    domain::{ContactId, IdentifierError, RequestId},
    engage,
};

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const API_KEY_CHALLENGE: &str = "ApiKey realm=\"engage-bff\", header=\"X-Api-Key\"";

/// What a 415 response says that a body must be (RFC 9110, 15.5.16).
#[derive(Clone, Copy, Debug)]
pub(super) enum AcceptedBody {
    /// JSON: the media type is wrong.
    Json,
    /// Without a content coding: it has one.
    Identity,
}

/// A limit of a client's or a shopper's, by its name in `RateLimit`.
#[derive(Clone, Copy, Debug)]
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
/// In the extensions of a response: the client's enumeration guard is its reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded;

/// One of several contacts that share an identifier.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Candidate))]
#[serde(rename_all = "camelCase")]
struct CandidateJson {
    /// Engage's id of the customer.
    #[cfg_attr(test, schema(value_type = String, format = "uuid"))]
    contact_id: ContactId,
    /// `null` where the profile cannot be read in time, or shows no readable type.
    contact_type: Option<Box<str>>,
}

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

impl From<customer::Error> for ApiError {
    fn from(error: customer::Error) -> Self {
        use engage::Error as E;
        let upstream = match error {
            customer::Error::TooLate => return Self::new(Code::UpstreamTimeout),
            customer::Error::Damaged => return Self::new(Code::Internal),
            customer::Error::NotCached => return Self::new(Code::NotCached),
            customer::Error::Upstream(upstream) => upstream,
        };
        match upstream {
            E::Rejected { code } => Self::new(match &*code {
                "InvalidEmailAddress" => Code::InvalidEmailAddress,
                "InvalidPhoneNumber" => Code::InvalidPhoneNumber,
                "InvalidSocialSecurityNumber" => Code::InvalidSocialSecurityNumber,
                "InvalidContactType" => Code::InvalidContactType,
                "InvalidContactId" => Code::InvalidContactId,
                "InvalidSearchQuery" => Code::InvalidSearchQuery,
                _ => Code::Rejected(code),
            }),
            E::NotFound => Self::new(Code::ContactNotFound),
            E::MultipleMatches(_) => Self::new(Code::MultipleMatches),
            E::IdentityMismatch => Self::new(Code::IdentityMismatch),
            E::Unauthorized => Self::new(Code::UpstreamUnauthorized),
            E::Forbidden => Self::new(Code::UpstreamForbidden),
            E::InvalidSystemConfiguration => Self::new(Code::InvalidSystemConfiguration),
            E::Failed {
                retry_after: Some(retry_after),
                ..
            } => Self::new(Code::UpstreamUnavailable).retry_after(retry_after),
            E::Failed { .. } | E::Unreachable { .. } | E::NotCalculated => {
                Self::new(Code::UpstreamFailed)
            }
            E::Invalid { .. } => Self::new(Code::UpstreamInvalid),
            E::RateLimited { retry_after } => Self::new(Code::UpstreamUnavailable)
                .retry_after(retry_after.unwrap_or(Duration::from_secs(1))),
            E::OverBudget { retry_after } | E::BreakerOpen { retry_after } => {
                Self::new(Code::UpstreamUnavailable).retry_after(retry_after)
            }
            E::Overloaded => Self::new(Code::Overloaded).retry_after(Duration::from_secs(1)),
            E::Timeout => Self::new(Code::UpstreamTimeout),
            E::Lost | E::Overtaken => Self::new(Code::Internal),
        }
    }
}

impl IntoResponse for ApiError {
    /// Status and headers; `write_problem` adds the body, which contains the request id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = whole_seconds(wait);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if let Some((limit, rate)) = self.rate {
                write_rate(headers, limit, rate, seconds);
            }
        }
        if let Some(allow) = &self.allow {
            let allow = HeaderValue::from_str(allow).expect("methods make a header value");
            headers.insert(header::ALLOW, allow);
        }
        if let Some(accepts) = self.accepts {
            let (name, value) = match accepts {
                AcceptedBody::Json => (header::ACCEPT, "application/json"),
                AcceptedBody::Identity => (header::ACCEPT_ENCODING, "identity"),
            };
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.code == Code::Unauthorized {
            let challenge = HeaderValue::from_static(self.challenge);
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(missing) = self.missing {
            headers.insert(header::WWW_AUTHENTICATE, missing.challenge());
        }
        if self.is_guarded {
            response.extensions_mut().insert(Guarded);
        }
        response.extensions_mut().insert(self.code.clone());
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the rate limit in the fields of draft-ietf-httpapi-ratelimit-headers-10.
fn write_rate(headers: &mut HeaderMap, limit: RateLimit, rate: NonZeroU32, seconds: u64) {
    let limit = limit.as_str();
    let text = |text: String| HeaderValue::try_from(text).expect("digits make a header value");
    headers.insert(RATE_LIMIT, text(format!("\"{limit}\";r=0;t={seconds}")));
    headers.insert(RATE_LIMIT_POLICY, text(format!("\"{limit}\";q={rate};w=1")));
}

/// Why a request is not answered (RFC 9457).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem<'a> {
    /// `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The reason phrase of the status.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// For people.
    detail: &'a str,
    /// For programs.
    code: &'a str,
    /// As in `X-Request-Id`.
    request_id: &'a str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// In seconds; of a problem that has no header fields of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// The scope or the kind of identifier that the caller lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'static str>,
    /// The name of the parameter that is refused, where it is a plain word.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    /// The customers that share the identifier; only of `MultipleMatches`, to callers that may know them.
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<&'a [CandidateJson]>,
}

impl<'a> Problem<'a> {
    fn of(error: &'a ApiError, request_id: &'a RequestId) -> Self {
        let status = error.code.status();
        let members = error.members.as_deref();
        Self {
            kind: "about:blank",
            title: title(status),
            status: status.as_u16(),
            detail: &error.detail,
            code: error.code.as_str(),
            request_id: request_id.as_str(),
            retryable: error.code.is_retryable(),
            retry_after: None,
            missing: error.missing.map(Missing::name),
            parameter: members.and_then(|members| members.parameter.as_deref()),
            candidates: members.and_then(|members| members.candidates.as_deref()),
        }
    }
}

/// Writes the problem of one look-up of several that share a response. What a response of its own has in header fields is
/// in the problem.
pub(super) fn write_problem_of_line(error: &ApiError, request_id: &RequestId, line: &mut Vec<u8>) {
    let problem = Problem {
        retry_after: error.retry_after.map(whole_seconds),
        ..Problem::of(error, request_id)
    };
    serde_json::to_writer(line, &problem).expect("the problem's types have a JSON form");
}

/// The seconds of a `Retry-After`: rounded up, at least one.
fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1)
}

/// The reason phrase of the status in RFC 9110.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

/// Writes the problem body of a response made from an [`ApiError`].
pub(super) fn write_problem(response: &mut Response, request_id: &RequestId) {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return;
    };
    let problem = Problem::of(&error, request_id);
    let body = serde_json::to_vec(&problem).expect("the problem's types have a JSON form");
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    // The router has set the length of the empty body.
    headers.remove(header::CONTENT_LENGTH);
    // It also sets Allow on a 405, before the caller's credential is checked.
    if error.allow.is_none() {
        headers.remove(header::ALLOW);
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
}
