//! Status and header fields of an error response.

use std::num::NonZeroU32;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{AcceptedBody, ApiError, Code, Guarded, RateLimit, whole_seconds};

pub(in crate::http) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(in crate::http) const RATE_LIMIT_POLICY: HeaderName =
    HeaderName::from_static("ratelimit-policy");

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
