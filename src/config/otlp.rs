//! Where traces go: the collector's URL, and the header fields that it requires.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use secrecy::ExposeSecret;

use super::{TelemetryConfig, hosts::is_host};

/// The path that OTLP over HTTP has for traces.
const PATH: &str = "/v1/traces";

/// The fields that the exporter writes itself, or that belong to the connection.
const RESERVED: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl TelemetryConfig {
    /// The URL that traces are sent to, with OTLP's own path if the URL has none; `None` if traces are off. The error
    /// says what is wrong with the URL.
    pub fn otlp_url(&self) -> Option<Result<Url, &'static str>> {
        self.otlp_endpoint.as_deref().map(url)
    }

    /// The header fields of `otlp_headers`, all sensitive. The error says what is wrong with it.
    pub fn otlp_fields(&self) -> Result<HeaderMap, &'static str> {
        let mut fields = HeaderMap::new();
        let Some(text) = &self.otlp_headers else {
            return Ok(fields);
        };
        for pair in text.expose_secret().split(',') {
            let (name, value) = pair
                .split_once('=')
                .ok_or("has an entry that is not name=value")?;
            let name = HeaderName::try_from(name.trim())
                .map_err(|_| "has an entry whose name is not one of a header field")?;
            if RESERVED.contains(&name) {
                return Err("names a field that the exporter or the connection sets itself");
            }
            let value = decoded(value.trim()).and_then(|bytes| HeaderValue::try_from(bytes).ok());
            let mut value = value.ok_or("has an entry whose value can't be sent")?;
            value.set_sensitive(true);
            if fields.insert(name, value).is_some() {
                return Err("names a field twice");
            }
        }
        Ok(fields)
    }
}

fn url(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if url.domain().is_some_and(|name| !is_host(name)) {
        return Err("has an invalid host name");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a credential");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if url.port() == Some(0) {
        return Err("has port 0");
    }
    if matches!(url.path(), "" | "/") {
        url.set_path(PATH);
    }
    Ok(url)
}

/// The bytes of a percent-encoded value.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = str::from_utf8(digits).ok()?;
        // Not a sign, which the conversion would accept.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    (!bytes.is_empty()).then_some(bytes)
}
