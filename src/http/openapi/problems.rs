//! The problems of each operation, by status.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::headers;
use crate::http::error::Code;

/// The codes of a look-up by identifier.
pub(super) const OF_IDENTIFIER: &[Code] = &[
    Code::MissingIdentifier,
    Code::AmbiguousIdentifier,
    Code::MissingContactType,
    Code::InvalidEmailAddress,
    Code::InvalidPhoneNumber,
    Code::InvalidSocialSecurityNumber,
    Code::InvalidContactId,
    Code::InvalidSearchQuery,
];

/// The codes of every request with a credential.
const OF_CALLERS: &[Code] = &[
    Code::InvalidParameter,
    Code::InvalidContactType,
    Code::Unauthorized,
    Code::Forbidden,
    Code::ContactNotFound,
    Code::RateLimited,
    Code::Internal,
    Code::UpstreamUnavailable,
    Code::Overloaded,
];

/// The codes of an answer about one customer.
const OF_LOOKUPS: &[Code] = &[
    Code::InvalidEmailAddress,
    Code::InvalidPhoneNumber,
    Code::InvalidSocialSecurityNumber,
    Code::InvalidContactId,
    Code::InvalidSearchQuery,
    Code::MultipleMatches,
    Code::PreconditionFailed,
    Code::InvalidSystemConfiguration,
    Code::UpstreamUnauthorized,
    Code::UpstreamForbidden,
    Code::UpstreamFailed,
    Code::UpstreamInvalid,
    Code::IdentityMismatch,
    Code::UpstreamTimeout,
    Code::NotCached,
];

/// The codes of a body.
pub(super) const OF_BODIES: &[Code] = &[Code::PayloadTooLarge, Code::UnsupportedMediaType];

/// The codes of an operation.
fn codes(path: &str) -> Vec<&'static Code> {
    let lists: &[&[Code]] = match path {
        "/customer" => &[
            OF_IDENTIFIER,
            OF_CALLERS,
            OF_LOOKUPS,
            &[Code::NationalIdInUrl],
        ],
        "/customer/me" => &[OF_CALLERS, OF_LOOKUPS, &[Code::MissingContactType]],
        "/customer/lookup" => &[OF_IDENTIFIER, OF_CALLERS, OF_LOOKUPS, OF_BODIES],
        "/customer/prefetch" => &[OF_IDENTIFIER, OF_CALLERS, OF_BODIES],
        "/customer/changed" => &[OF_IDENTIFIER, OF_CALLERS, OF_BODIES, &[Code::NotShared]],
        "/customer/batch" => &[OF_CALLERS, OF_BODIES],
        "/webhooks/engage" => &[&[
            Code::InvalidParameter,
            Code::Unauthorized,
            Code::NotFound,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
            Code::Internal,
            Code::Overloaded,
            Code::WebhookUnreadable,
            Code::NotShared,
        ]],
        _ => &[&[Code::Overloaded]],
    };
    lists.iter().flat_map(|list| list.iter()).collect()
}

/// The responses with an operation's problems, by status. A look-up's 400 may have a code of Engage's.
pub(super) fn responses(path: &str, has_codes_of_engage: bool) -> Map<String, Value> {
    of_codes(&codes(path), has_codes_of_engage)
}

/// The responses with these problems, by status.
pub(super) fn of_codes(codes: &[&Code], has_codes_of_engage: bool) -> Map<String, Value> {
    let mut by_status = BTreeMap::<StatusCode, Vec<&str>>::new();
    for code in codes {
        let named = by_status.entry(code.status()).or_default();
        if !named.contains(&code.as_str()) {
            named.push(code.as_str());
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| {
            let is_open = has_codes_of_engage && status == StatusCode::BAD_REQUEST;
            (
                status.as_str().to_owned(),
                response(status, &codes, is_open),
            )
        })
        .collect()
}

fn response(status: StatusCode, codes: &[&str], is_open: bool) -> Value {
    let own: &[&str] = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => &["WWW-Authenticate"],
        StatusCode::TOO_MANY_REQUESTS => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &["Accept", "Accept-Encoding"],
        StatusCode::SERVICE_UNAVAILABLE => &["Retry-After"],
        _ => &[],
    };
    let (mut named, code) = (codes.join(", "), json!({"enum": codes}));
    let code = if is_open {
        named.push_str(", or a code of Engage's");
        json!({"type": "string"})
    } else {
        code
    };
    let status_member = json!({"const": status.as_u16()});
    json!({
        "description": named,
        "headers": headers::of_response(own),
        "content": {"application/problem+json": {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"type": "object", "properties": {"code": code, "status": status_member}},
            ]},
            "example": example(status, codes[0]),
        }},
    })
}

fn example(status: StatusCode, code: &str) -> Value {
    let known = Code::OWN.iter().find(|known| known.as_str() == code);
    let known = known.expect("one of this service's codes");
    json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": known.detail(),
        "code": code,
        "requestId": "04ff3a7c-3285-4143-80a5-caf3991a8076",
        "retryable": known.is_retryable(),
    })
}
