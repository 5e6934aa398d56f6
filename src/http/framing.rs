//! Requests that proxies and servers might read differently are refused before anything else looks at
//! them: no host or several, a body announced twice or in a coding beside chunks, single headers repeated.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

use super::error::{ApiError, Code};

/// Headers that a request may bear once.
const SINGLE: [HeaderName; 7] = [
    header::HOST,
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    HeaderName::from_static("x-request-id"),
];

/// Refuses what is ambiguous.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let headers = request.headers();
    if !headers.contains_key(header::HOST) {
        return Err(refused("Host: missing"));
    }
    // Most requests repeat nothing, which the map can tell at once.
    let repeats = headers.len() != headers.keys_len();
    if repeats && SINGLE.iter().any(|name| is_repeated(headers, name)) {
        return Err(refused("a header that may be given once is repeated"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // hyper drops the length and closes after the answer; this is for a server that shows both.
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(refused("the body's length is given twice"));
        }
        if !is_plainly_chunked(headers) {
            return Err(refused("Transfer-Encoding: nothing but chunked"));
        }
    }
    if !is_origin_form(request.uri()) {
        return Err(refused("the request's target is not a path"));
    }
    Ok(())
}

fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Whether the body comes as it is or in chunks. hyper takes the chunks off whatever stands before them,
/// which would leave another coding on what is read as the body.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

fn is_origin_form(uri: &Uri) -> bool {
    uri.scheme().is_none() && uri.authority().is_none() && uri.path().starts_with('/')
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::because(Code::InvalidParameter, detail)
}
