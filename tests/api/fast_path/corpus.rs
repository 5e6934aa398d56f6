//! Generated requests, and which of them are plain.

use engage_bff::domain::IdentifierKind;
use engage_simulator::fixtures::{ALVA, BO};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
};

use crate::harness::{READER, SHOP, TILL, percent_encoded};

/// Every parameter except the identifiers, `wait`, `limit` and `before`, with valid values.
pub(super) const PARAMETERS: [(&str, &[&str]); 8] = [
    ("contactType", &["Member", "Contact"]),
    ("view", &["storefront", "full"]),
    ("channel", &["ECOM", "POS", "OTHER"]),
    ("expiringWithin", &["1d", "14d", "365d"]),
    (
        "parts",
        &["none", "points", "promotions,points", "vouchers"],
    ),
    ("fresh", &["all", "vouchers", "profile,points"]),
    ("onUnavailable", &["guest"]),
    ("prefer", &["Member"]),
];

/// The number of bytes that hyper reads at once: a longer request does not arrive whole.
const READ_SIZE: usize = 8192;

/// The fields that may not be repeated in a plain request.
const SINGLE: [&str; 5] = [
    "host",
    "x-api-key",
    "x-request-id",
    "if-none-match",
    "accept-encoding",
];

/// Header lines, and whether a plain request may have them.
type Lines = (String, bool);

/// A request, and the facts that decide whether the fast path may answer it.
#[derive(Clone, Debug)]
pub(super) struct Generated {
    pub(super) text: String,
    /// Whether its head has nothing but what the fast path understands.
    pub(super) is_plain: bool,
    /// Whether the response would be in the audited view, explicitly or by the client's default.
    pub(super) is_full_view: bool,
}

/// The value of this kind by which Alva is found.
pub(super) fn value_of(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::ContactId => ALVA.id,
        IdentifierKind::Email | IdentifierKind::Any => ALVA.email,
        IdentifierKind::MobilePhone => ALVA.phone,
        IdentifierKind::SocialSecurityNumber => ALVA.national_id,
        IdentifierKind::CustomKey => ALVA.member_number,
    }
}

fn identifiers() -> Vec<String> {
    let each = IdentifierKind::ALL.into_iter().flat_map(|kind| {
        let (name, value) = (kind.as_str(), value_of(kind));
        [
            format!("{name}={}", percent_encoded(value)),
            format!("{name}={value}"),
            format!("{name}={}", value.to_uppercase()),
        ]
    });
    let others = [
        format!("EMAIL={}", ALVA.email),
        format!("email=+{}", BO.email),
        format!("email={}&email={}", ALVA.email, BO.email),
        "email=unknown@example.com".to_owned(),
        "email=no%ff".to_owned(),
        "email=".to_owned(),
        String::new(),
    ];
    each.chain(others).collect()
}

fn queries() -> impl Strategy<Value = String> {
    let parameters = PARAMETERS.iter().flat_map(|(name, values)| {
        let of_value = |value: &&str| format!("&{name}={value}");
        values.iter().map(of_value).collect::<Vec<_>>()
    });
    let invalid = [
        "&parts=unknown",
        "&channel=",
        "&expiringWithin=3",
        "&unknown=1",
        "#fragment",
        "&",
    ];
    let parameters: Vec<_> = parameters.chain(invalid.map(str::to_owned)).collect();
    // Mostly by one of the usual identifiers, so that hits are frequent.
    let usual = select(vec![
        format!("email={}", ALVA.email),
        format!("contactId={}", ALVA.id),
        format!("mobilePhone={}", percent_encoded(ALVA.phone)),
        format!("customKey={}", ALVA.member_number),
    ]);
    let identifier = prop_oneof![3 => usual, 1 => select(identifiers())];
    (identifier, subsequence(parameters, 0..3))
        .prop_map(|(identifier, parameters)| format!("{identifier}{}", parameters.concat()))
}

fn fields(etag: &str) -> impl Strategy<Value = Vec<Lines>> + use<> {
    let plain = [
        "Accept-Encoding: gzip\r\n".to_owned(),
        "accept-encoding: br, gzip;q=0.5\r\n".to_owned(),
        "Accept-Encoding: gzip;q=0, *\r\n".to_owned(),
        "Accept-Encoding: \r\n".to_owned(),
        format!("If-None-Match: {etag}\r\n"),
        format!("if-none-match: \"other\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "Connection: keep-alive\r\n".to_owned(),
        "Keep-Alive: timeout=5\r\n".to_owned(),
        "X-Request-Id: shop-4711\r\n".to_owned(),
        "X-Request-ID: not well formed\r\n".to_owned(),
        "x-request-id:\t shop-4712 \t\r\n".to_owned(),
        "Origin: https://shop.example.com\r\n".to_owned(),
        "Host: other\r\n".to_owned(),
        format!("X-Api-Key: {SHOP}\r\n"),
        format!("X-Long: {}\r\n", "a".repeat(3_000)),
    ];
    let others = [
        "If-None-Match: \"\u{e5}\"\r\n".to_owned(),
        format!("If-Match: {etag}\r\n"),
        "Cache-Control: no-cache\r\n".to_owned(),
        "Cache-Control: only-if-cached\r\n".to_owned(),
        "Cache-Control: max-age=0\r\n".to_owned(),
        "Connection: close\r\n".to_owned(),
        "Connection: Keep-Alive, X-Api-Key\r\n".to_owned(),
        "Authorization: Bearer nothing\r\n".to_owned(),
        "Content-Length: 0\r\n".to_owned(),
        "Content-Length: 2\r\n".to_owned(),
        "Content-Type: application/json\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Expect: 100-continue\r\n".to_owned(),
        "Upgrade: h2c\r\n".to_owned(),
        "Cookie: \u{1}\r\n".to_owned(),
        "No-Colon\r\n".to_owned(),
        "Space : before\r\n".to_owned(),
        " folded: line\r\n".to_owned(),
        "X-Many: a\r\n".repeat(101),
    ];
    let plain = plain.map(|lines| (lines, true));
    let others = others.map(|lines| (lines, false));
    let field = prop_oneof![4 => select(plain.to_vec()), 1 => select(others.to_vec())];
    proptest::collection::vec(field, 0..4)
}

fn is_plain_query(query: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%=&,@:".contains(&byte);
    query.bytes().all(is_plain)
}

/// Whether a field that may be given once is repeated.
fn is_repeated(lines: &str) -> bool {
    let is_named = |line: &&str, name: &str| {
        let found = line.split(':').next().unwrap_or_default();
        found.eq_ignore_ascii_case(name)
    };
    SINGLE
        .iter()
        .any(|name| lines.lines().filter(|line| is_named(line, name)).count() > 1)
}

/// Requests, most of them nearly plain. `etag` is that of the usual response.
pub(super) fn requests(etag: &str) -> impl Strategy<Value = Generated> + use<> {
    let method =
        prop_oneof![30 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST"), 1 => Just("get")];
    let path = prop_oneof![
        30 => Just("/customer"), 1 => Just("/customer/"), 1 => Just("//customer"), 1 => Just("http://bff/customer")
    ];
    let version = prop_oneof![30 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0")];
    let line_end = prop_oneof![15 => Just("\r\n"), 1 => Just("\n")];
    let host = prop_oneof![30 => Just("Host: bff\r\n"), 1 => Just("")];
    let key = prop_oneof![
        12 => Just(SHOP), 2 => Just(TILL), 2 => Just(READER), 1 => Just("unknown"), 1 => Just("")
    ];
    let line = (method, path, queries(), version, line_end);
    (line, host, key, fields(etag)).prop_map(|(line, host, key, fields)| {
        let (method, path, query, version, line_end) = line;
        let mut lines = host.to_owned();
        if !key.is_empty() {
            lines.extend(["X-Api-Key: ", key, "\r\n"]);
        }
        lines.extend(fields.iter().map(|(lines, _)| &**lines));
        let text = format!("{method} {path}?{query} {version}{line_end}{lines}\r\n");
        let is_plain = (method, path, version) == ("GET", "/customer", "HTTP/1.1")
            && is_plain_query(&query)
            && fields.iter().all(|(_, is_plain)| *is_plain)
            && !is_repeated(&lines)
            && text.len() <= READ_SIZE;
        Generated {
            text,
            is_plain,
            is_full_view: query.contains("view=full") || key == TILL,
        }
    })
}
