//! Reads the body of a response, and checks whether its head makes the body unreadable.

use bytes::{Buf, Bytes, BytesMut};
use reqwest::{
    Response,
    header::{self, HeaderMap, HeaderName},
};

use crate::engage::{
    error::{Error, READING},
    wire::replace_lone_surrogates,
};

/// U+FEFF, which some writers put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The header field that makes the body unreadable, if any.
pub(super) fn unreadable(headers: &HeaderMap) -> Option<&'static str> {
    if !elements(headers, &header::CONTENT_TYPE).all(is_json) {
        return Some("content-type");
    }
    // No coding is accepted, so that a body cannot expand beyond the size limit.
    let is_plain = |coding: &str| coding.eq_ignore_ascii_case("identity");
    if !elements(headers, &header::CONTENT_ENCODING).all(is_plain) {
        return Some("content-encoding");
    }
    None
}

/// Elements of a field that may be a list or repeated. Empty elements are skipped (RFC 9110, 5.6.1), commas in quoted
/// strings do not separate, and a value with bytes outside ASCII becomes one unknown element.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .flat_map(|value| {
            let mut is_quoted = false;
            let value = value.to_str().unwrap_or("?");
            value.split(move |character| {
                is_quoted ^= character == '"';
                character == ',' && !is_quoted
            })
        })
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// Whether the media type is JSON. Without a type the body is inspected (RFC 9110, 8.3).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let suffixed = essence
        .strip_prefix("application/")
        .and_then(|subtype| subtype.strip_suffix("+json"));
    matches!(&*essence, "application/json" | "text/json")
        || suffixed.is_some_and(|subtype| !subtype.is_empty())
}

/// Reads the body. Removes a byte order mark, and replaces lone surrogates.
pub(super) async fn read(mut response: Response, max_body: usize) -> Result<Bytes, Error> {
    if response
        .content_length()
        .is_some_and(|length| length > max_body as u64)
    {
        return Err(Error::too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > max_body {
            return Err(Error::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        body.advance(BYTE_ORDER_MARK.len());
    }
    replace_lone_surrogates(&mut body);
    Ok(body.freeze())
}

fn broken(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    Error::Unreachable { what: READING }
}
