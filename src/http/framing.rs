//! Request framing. Requests that a proxy and this service could read differently are refused before anything else: a
//! missing, repeated or invalid `Host`, two lengths of a body, a transfer coding other than chunked, repeated singleton
//! fields, and targets without a path.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::Scheme};

use super::error::{ApiError, Code};

/// The largest head of a request, in bytes.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// Fields that must not be repeated.
const SINGLE: [HeaderName; 7] = [
    header::HOST,
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    HeaderName::from_static("x-request-id"),
];

/// The characters of a registered name except `%` (RFC 3986, 3.2.2).
const IN_REG_NAME: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let is_mark = matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        );
        allowed[byte as usize] = byte.is_ascii_alphanumeric() || is_mark;
        byte += 1;
    }
    allowed
};

/// Refuses an ambiguous request.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let headers = request.headers();
    let Some(named) = headers.get(header::HOST) else {
        return Err(refused("Host: missing"));
    };
    // Most requests repeat no field, which the map knows without a search.
    let repeats = headers.len() != headers.keys_len();
    if repeats && SINGLE.iter().any(|name| is_repeated(headers, name)) {
        return Err(refused("a header that must not be repeated is repeated"));
    }
    // Also where the target has a host of its own, which takes precedence (RFC 9112, 3.2).
    if !is_host(named.as_bytes()) {
        return Err(refused("Host: not a host"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // hyper drops the length and closes after the response; this is for an HTTP server that would pass on both.
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(refused("the body's length is given twice"));
        }
        if !is_plainly_chunked(headers) {
            return Err(refused("Transfer-Encoding: only chunked is supported"));
        }
    }
    let names_a_host = host(request.uri(), headers).is_some_and(|host| is_host(host.as_bytes()));
    if !names_a_path(request.uri()) || !names_a_host {
        return Err(refused(
            "the request's target is neither a path nor an http(s) URL with a host",
        ));
    }
    Ok(())
}

/// The host and port that the request names: those of an absolute target, whatever `Host` says (RFC 9112, 3.2.2), else
/// those of `Host`.
pub(super) fn host<'a>(target: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match target.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST)?.to_str().ok(),
    }
}

/// Whether this is a host with an optional port (RFC 9110, 7.2). An empty one is not.
pub(super) fn is_host(value: &[u8]) -> bool {
    let end = value
        .iter()
        .position(|byte| !IN_REG_NAME[usize::from(*byte)]);
    match end.map(|end| (end, value[end])) {
        None => !value.is_empty(),
        Some((1.., b':')) => is_port(&value[end.unwrap_or_default() + 1..]),
        Some((0, b'[')) => is_bracketed_host(value),
        Some((_, b'%')) => is_escaped_host(value),
        Some(_) => false,
    }
}

/// The port may be empty (RFC 3986, 3.2.3).
fn is_port(port: &[u8]) -> bool {
    let is_number = || str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok());
    port.is_empty() || (port.iter().all(u8::is_ascii_digit) && is_number())
}

/// An IPv6 address in brackets.
fn is_bracketed_host(value: &[u8]) -> bool {
    let text = str::from_utf8(value).ok();
    let parts = text.and_then(|text| text.strip_prefix('[')?.split_once(']'));
    parts.is_some_and(|(address, rest)| {
        let port = rest.strip_prefix(':').map(str::as_bytes);
        address.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || port.is_some_and(is_port))
    })
}

/// A registered name with percent-encoded bytes.
fn is_escaped_host(value: &[u8]) -> bool {
    let colon = value.iter().position(|byte| *byte == b':');
    let (mut name, port) = value.split_at(colon.unwrap_or(value.len()));
    while let Some((first, rest)) = name.split_first() {
        name = match rest {
            [high, low, rest @ ..]
                if *first == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            _ if IN_REG_NAME[usize::from(*first)] => rest,
            _ => return false,
        };
    }
    is_port(port.get(1..).unwrap_or_default())
}

fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Whether the body is not encoded except by chunks. hyper decodes the chunks whatever coding precedes them, which
/// would leave the body encoded.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// Whether the target is a path or an absolute URL (RFC 9112, 3.2.1 and 3.2.2). TLS is terminated in front of this
/// service, so either scheme may be right.
fn names_a_path(target: &Uri) -> bool {
    let is_web = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    let is_form_allowed = match (target.scheme(), target.authority()) {
        (None, None) => true,
        (Some(scheme), Some(_)) => is_web(scheme),
        _ => false,
    };
    is_form_allowed && target.path().starts_with('/')
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::with_detail(Code::InvalidParameter, detail)
}
