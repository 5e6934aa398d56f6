//! The body of an error response.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{ApiError, Missing, whole_seconds};
use crate::domain::{ContactId, RequestId};

/// Why a request is not answered (RFC 9457).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Problem<'a> {
    /// `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The reason phrase of the status.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// A text for people: programs use `code`.
    detail: &'a str,
    /// For programs.
    code: &'a str,
    /// As in `X-Request-Id`.
    request_id: &'a str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// In seconds; only in a line of a batch, which has no header fields of its own.
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

/// One of several contacts that share an identifier.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Candidate))]
#[serde(rename_all = "camelCase")]
pub(super) struct CandidateJson {
    /// Engage's id of the customer.
    #[cfg_attr(test, schema(value_type = String, format = "uuid"))]
    pub(super) contact_id: ContactId,
    /// `null` where the profile cannot be read in time, or shows no readable type.
    pub(super) contact_type: Option<Box<str>>,
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

/// Writes the problem of one look-up of several that share a response. The problem contains as `retryAfter` what a
/// response of its own has as `Retry-After`.
pub(in crate::http) fn write_problem_of_line(
    error: &ApiError,
    request_id: &RequestId,
    line: &mut Vec<u8>,
) {
    let problem = Problem {
        retry_after: error.retry_after.map(whole_seconds),
        ..Problem::of(error, request_id)
    };
    serde_json::to_writer(line, &problem).expect("the problem's types have a JSON form");
}

/// The reason phrase of the status in RFC 9110; the library has older ones of two.
pub(in crate::http) fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

/// Writes the problem body of a response made from an [`ApiError`].
pub(in crate::http) fn write_problem(response: &mut Response, request_id: &RequestId) {
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
