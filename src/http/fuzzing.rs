//! Entry points of the fuzz targets in `fuzz/` into private modules, with the invariants that they check. Compiled by
//! `scripts/fuzz` only.

use std::{fmt::Write, sync::LazyLock, time::Duration};

use http::{HeaderMap, HeaderValue};
use jiff::{Timestamp, tz::TimeZone};
use phonenumber::country;
use serde_json::{Map, Value as Json};

use super::{
    auth::{Caller, FuzzedTokens},
    directives::Directives,
    error::ApiError,
    lookup::{LookupRules, ParamLocation},
    params::{MAX_PARAMETERS, ParamValue, Params},
};
use crate::{
    clock::{Clock, ManualClock},
    config::{self, JwtAlgorithm},
    domain::{
        ContactId, ContactType, Digester, Identifier, IdentifierRules, PartSet,
        identifier::AnyIdentifier,
    },
    webhook::WebhookReader,
};

/// The time in all targets, in seconds since 1970.
const NOW: i64 = 1_795_435_200;

static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
    let now = Timestamp::from_second(NOW).expect("a time");
    Clock::from(ManualClock::new(now))
});

static RULES: LazyLock<LookupRules> = LazyLock::new(|| LookupRules {
    identifiers: IdentifierRules {
        phone_region: country::SE,
        check_digits: true,
        national_id_country: None,
    },
    default_contact_type: ContactType::parse("Member"),
    expiring_within: Duration::from_secs(14 * 24 * 60 * 60),
    allow_national_id_in_url: false,
    digester: Digester::with_key(b"a key of fuzz targets"),
    time_zone: TimeZone::UTC,
    request_timeout: Duration::from_secs(1),
    max_body: 16 * 1024,
    body_timeout: Duration::from_secs(1),
});

static TOKENS: LazyLock<FuzzedTokens> = LazyLock::new(|| {
    let jwt = config::JwtConfig {
        issuer: "https://login.example.com/".to_owned(),
        audience: "engage-bff".to_owned(),
        algorithms: vec![JwtAlgorithm::Es256, JwtAlgorithm::Rs256],
        jwks_url: None,
        jwks_file: Some("keys-that-are-never-read".into()),
        contact_id_claim: Some("contactId".to_owned()),
        email_claim: Some("email".to_owned()),
        email_verified_claim: "email_verified".to_owned(),
        scope_claim: Some("scope".to_owned()),
        leeway: Duration::from_secs(30),
        types: vec!["JWT".to_owned(), "at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(24 * 60 * 60),
        requests_per_second: None,
    };
    FuzzedTokens::new(&jwt, &CLOCK).expect("tokens")
});

/// Parses a query. Its parameters, encoded again, parse to the same.
pub fn query(query: &str) {
    let params = match Params::from_query(query) {
        Ok(params) => params,
        Err(error) => return has_no_input(&error),
    };
    let mut again = String::new();
    let mut is_too_long = false;
    for (name, value) in &params.0 {
        // A repeated name stays repeated, whatever its value.
        let text = match value {
            ParamValue::Text(text) => text,
            ParamValue::Repeated => "",
            ParamValue::List(_) | ParamValue::Number(_) | ParamValue::Other => {
                unreachable!("the values of a query are text")
            }
        };
        if !again.is_empty() {
            again.push('&');
        }
        escape(&mut again, name);
        again.push('=');
        escape(&mut again, text);
        // Escapes count, so a value may be too long once every byte is escaped.
        is_too_long |= text.len() * 3 > 1024;
    }
    if !is_too_long && !query.is_empty() {
        let read = Params::from_query(&again).expect("the encoded query parses");
        assert_eq!(format!("{:?}", read.0), format!("{:?}", params.0));
    }
    check_lookup(params, ParamLocation::Url);
}

/// Follows the bytes of a connection: the number of requests, and the missing bytes of the last, must not depend on
/// where the bytes are split.
pub fn heads(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    super::fast_path::assert_independent_of_cuts(bytes, usize::from(*cut));
}

/// Reads the body as a look-up, and as a report of a change.
pub fn body(body: &[u8]) {
    match Params::from_json(body) {
        Ok(params) => {
            // serde_json must read the same object, where its nesting is within its limit.
            let seen: Map<String, Json> = serde_json::from_slice(body).unwrap_or_default();
            for (name, value) in &params.0 {
                if let ParamValue::Text(text) = value
                    && let Some(other) = seen.get(&**name)
                    && !is_repeated(&params, name)
                {
                    assert_eq!(other.as_str(), Some(&**text));
                }
            }
            check_lookup(params, ParamLocation::Body);
        }
        Err(error) => return has_no_input(&error),
    }
    if let Ok(params) = Params::from_json(body) {
        check_change(params);
    }
}

/// A parsed report names at least one part, and none that an invalidation leaves out.
fn check_change(params: Params<'_>) {
    let caller = Caller::unrestricted(&CLOCK);
    match RULES.read_change(params, &caller, CLOCK.now()) {
        Ok((_, parts)) => assert!(!parts.is_empty() && parts.is_subset(PartSet::INVALIDATABLE)),
        Err(error) => has_no_input(&error),
    }
}

/// Whether the name is repeated, or may be among the parameters beyond the limit.
fn is_repeated(params: &Params<'_>, name: &str) -> bool {
    let is_cut = params.0.len() == MAX_PARAMETERS;
    is_cut || params.0.iter().filter(|(given, _)| given == name).count() > 1
}

/// A parsed look-up is consistent, has no national id from a URL, and its identifier is in canonical form.
fn check_lookup(params: Params<'_>, location: ParamLocation) {
    let caller = Caller::unrestricted(&CLOCK);
    let has_repeated = params
        .0
        .iter()
        .any(|(_, v)| matches!(v, ParamValue::Repeated));
    let now = CLOCK.now();
    let lookup = match RULES.read(params, location, &caller, &Directives::default(), now) {
        Ok(lookup) => lookup,
        Err(error) => return has_no_input(&error),
    };
    assert!(!has_repeated);
    assert!(lookup.fresh.is_subset(lookup.shape.requested));
    assert!(PartSet::ALWAYS.is_subset(lookup.shape.requested));
    let days = lookup.shape.expiring_within.as_secs() / (24 * 60 * 60);
    assert!((1..=365).contains(&days));
    let identifier = &lookup.lookup.identifier;
    let is_national_id = matches!(
        identifier,
        Identifier::SocialSecurityNumber(_) | Identifier::Any(AnyIdentifier::NationalId(_))
    );
    assert!(location == ParamLocation::Body || !is_national_id);
    let today = now.wall.to_zoned(TimeZone::UTC).date();
    let again = Identifier::parse(
        identifier.kind(),
        &identifier.expose(),
        &RULES.identifiers,
        today,
    );
    assert_eq!(again.as_ref(), Ok(identifier));
}

/// Parses the text as a token, as a token's header, and as claims.
pub fn token(text: &str) {
    TOKENS.token(text);
    TOKENS.token(&format!("{}.e30.AA", base64url(text.as_bytes())));
    if let Ok(claims) = serde_json::from_str(text) {
        TOKENS.claims(&claims);
    }
}

/// A detail consists of fixed texts and at most one plain word of the input.
fn has_no_input(error: &ApiError) {
    let detail = error.detail();
    if detail == ApiError::new(error.code().clone()).detail() {
        return;
    }
    let (name, what) = detail.split_once(": ").unwrap_or(("a parameter", detail));
    let is_plain_word = (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    assert!(is_plain_word || name == "a parameter", "{name:?}");
    assert!(DETAILS.contains(&what), "{what:?}");
}

/// The details of errors other than those of their codes.
const DETAILS: [&str; 28] = [
    "the body is not a JSON object",
    "too long",
    "an unescaped + means a space: write %2B",
    "not percent-encoded UTF-8",
    "repeated",
    "unknown parameter",
    "empty",
    "not a string",
    "storefront or full",
    "ECOM, POS or OTHER",
    "whole days from 1d to 365d",
    "a comma-separated list of points, promotions, vouchers, pointTransactions, redeemedVouchers, purchases, or none; in a body an array, [] for none",
    "a comma-separated list of points, promotions, vouchers, profile, pointTransactions, redeemedVouchers, purchases, or all; in a body an array",
    "pointTransactions, redeemedVouchers and purchases need the view full",
    "only with pointTransactions, redeemedVouchers or purchases in parts",
    "a whole number from 1 to 100",
    "an RFC 3339 time, such as 2026-11-23T12:00:00Z",
    "contains a part that is not in parts",
    "not with contactType",
    "not with a contact id",
    "not a contact type",
    "guest",
    "whole milliseconds from 100 to 1000",
    "an array of points, promotions, vouchers, profile: each once, at least one",
    "an e-mail address must be ASCII.",
    "an e-mail address must be ASCII; write the domain in its xn-- form.",
    "not a phone number; write it with its country code, such as %2B46701740699.",
    "empty, too long or not text.",
];

fn escape(into: &mut String, text: &str) {
    for byte in text.bytes() {
        write!(into, "%{byte:02x}").expect("writing to a String does not fail");
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

static WEBHOOKS: LazyLock<WebhookReader> = LazyLock::new(|| {
    WebhookReader::new(&config::WebhookConfig {
        secrets: vec!["whsec_YSBzZWNyZXQgb2YgZnV6eiB0YXJnZXRz".into()],
        secrets_file: None,
        tolerance: Duration::from_secs(300),
        max_body: bytesize::ByteSize::kib(256),
        encryption_key: Some("0123456789abcdef0123456789abcdef".into()),
        encryption_key_file: None,
        silence: Duration::from_secs(3600),
        fallback_lifetime: Duration::from_secs(60),
        changes_poll: None,
    })
    .expect("a secret and a key")
    .expect("a secret")
});

/// Reads the bytes as a webhook's signature headers and as its body.
pub fn webhook(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    for name in ["svix-id", "svix-timestamp", "svix-signature"] {
        if let Some(Ok(value)) = lines.next().map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    if let Ok(claim) = WEBHOOKS.signature_headers(&headers, CLOCK.now().wall) {
        let mut verifier = WEBHOOKS.verifier(claim);
        verifier.update(bytes);
        assert!(!verifier.is_genuine(), "forged");
    }
    if let Ok(news) = WEBHOOKS.read(bytes) {
        // A contact id that serde_json finds in the payload must be found.
        let seen: Json = serde_json::from_slice(bytes).unwrap_or_default();
        if seen["isEncrypted"] != Json::Bool(false) {
            return;
        }
        let id = seen["payload"]["contactId"]
            .as_str()
            .and_then(ContactId::parse);
        let is_repeated = bytes.contains(&b'\\')
            || bytes
                .windows(7)
                .filter(|text| text.eq_ignore_ascii_case(b"payload"))
                .count()
                > 1;
        if let Some(id) = id.filter(|id| !id.as_uuid().is_nil() && !is_repeated) {
            let is_found = news.change.contacts.contains(&id);
            assert!(is_found || news.change.contacts.len() >= 1000);
        }
    }
}
