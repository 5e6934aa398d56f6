//! Invalid keys and tokens, and valid ones in wrong or repeated headers.

use serde_json::{Value, json};

use super::{
    Expected::{Problem, Refused},
    MARK, Row, bare, cached,
};
use crate::{
    harness::{SHOP, TILL},
    issuer::{AUDIENCE, ISSUER, Issuer},
};

fn get(headers: &str) -> String {
    bare("GET", &format!("/customer?{}", cached()), headers)
}

fn with_bytes(name: &str, value: &[u8]) -> Vec<u8> {
    let request = get(&format!("{name}: {MARK}\r\n"));
    let (before, after) = request.split_once(MARK).expect("the mark");
    [before.as_bytes(), value, after.as_bytes()].concat()
}

pub(super) fn keys() -> Vec<Row> {
    let mut rows = Vec::new();
    for value in [
        String::new(),
        " ".to_owned(),
        MARK.to_owned(),
        "a".repeat(8000),
        format!("{TILL}x"),
        format!("x{TILL}"),
        TILL[1..].to_owned(),
        TILL.to_uppercase(),
        format!("{TILL} {MARK}"),
        format!("{TILL},{TILL}"),
        format!("{TILL}, {SHOP}"),
        format!("{TILL};{MARK}"),
        format!("\"{TILL}\""),
        format!("'{TILL}'"),
        format!("Bearer {TILL}"),
        format!("ApiKey {TILL}"),
        format!("key={TILL}"),
        TILL.replace('-', "%2D"),
        TILL.replace('-', "\u{2010}"),
        TILL.replace('e', "\u{435}"),
        format!("{TILL}\u{200b}"),
        "*".to_owned(),
        "null".to_owned(),
        "undefined".to_owned(),
        "true".to_owned(),
        "' OR 1=1 --".to_owned(),
        "${env:KEY}".to_owned(),
        "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11".to_owned(),
    ] {
        let request = with_bytes("X-Api-Key", value.as_bytes());
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    for value in [&b"\xff\xfe"[..], b"\x80", b"te\xe9st", b"a\tb"] {
        let request = with_bytes("X-Api-Key", value);
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    for value in [&b"a\0b"[..], b"\x01", b"\x1b[31m", b"a\x7f", b"a\rb"] {
        rows.push(Row::new(with_bytes("X-Api-Key", value), Refused));
    }
    for name in [
        "X-Api_Key",
        "X_Api_Key",
        "Api-Key",
        "X-Api-Key-",
        "X-ApiKey",
        "Cookie",
    ] {
        let request = get(&format!("{name}: {TILL}\r\n"));
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    for (first, second) in [
        (TILL, TILL),
        (TILL, MARK),
        (MARK, TILL),
        ("", TILL),
        (TILL, SHOP),
    ] {
        let request = get(&format!("X-Api-Key: {first}\r\nx-api-key: {second}\r\n"));
        rows.push(Row::new(request, Problem(400, "InvalidParameter")));
    }
    let good = format!("X-Api-Key: {TILL}\r\n");
    for authorization in [
        "",
        MARK,
        "Bearer",
        "Basic dGlsbDp6cTltYXJr",
        "Digest username=zq9mark",
    ] {
        let request = get(&format!("{good}Authorization: {authorization}\r\n"));
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    rows
}

/// Rows for a service that accepts the issuer's tokens.
pub(super) fn tokens(issuer: &Issuer) -> Vec<Row> {
    let good = issuer.sign(&claims());
    let mut rows = Vec::new();
    let mut values = malformed(&good);
    values.extend(wrong_headers(issuer, &good));
    values.extend(wrong_claims(issuer));
    for value in values {
        let request = with_bytes("Authorization", value.as_bytes());
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    for bytes in [&b"Bearer \xff\xfe"[..], b"Bearer a.\x80.c", b"Bearer\t\xe9"] {
        let request = with_bytes("Authorization", bytes);
        rows.push(Row::new(request, Problem(401, "Unauthorized")));
    }
    for bytes in [&b"Bearer a\0b"[..], b"Bearer \x1b", b"Bearer a\x7f"] {
        rows.push(Row::new(with_bytes("Authorization", bytes), Refused));
    }
    for (first, second) in [(&*good, &*good), (&*good, MARK), (MARK, &*good)] {
        let line = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let request = get(&format!("{}{}", line(first), line(second)));
        rows.push(Row::new(request, Problem(400, "InvalidParameter")));
    }
    rows
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": 4_000_000_000_i64,
        "scope": "customer:read:self", "email": format!("{MARK}@example.com"),
        "email_verified": true,
    })
}

fn malformed(good: &str) -> Vec<String> {
    let dots = ".".repeat(4000);
    let mut values: Vec<String> = [
        "Bearer ",
        "Bearer .",
        "Bearer ..",
        "Bearer ...",
        "Bearer a",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer a.b.c.d.e",
        "Bearer e30.e30.e30",
        "Bearer e30.e30.",
        "Bearer null",
        "Bearer {}",
        "Bearer e30=.e30=.AA==",
        "Bearer ====.====.====",
        "Bearer -_-._-_.-_-",
    ]
    .map(str::to_owned)
    .to_vec();
    values.extend([
        format!("Bearer {dots}"),
        format!("Bearer {}", "a".repeat(8 * 1024)),
        format!("Bearer {}", "a".repeat(8 * 1024 + 1)),
        format!(
            "Bearer {}.{}.{}",
            "e".repeat(2600),
            "e".repeat(2600),
            "e".repeat(2600)
        ),
        format!("Bearer {good}."),
        format!("Bearer .{good}"),
        format!("Bearer {good}="),
        format!("Bearer {good}%00"),
        format!("Bearer {good} {MARK}"),
        format!("Bearer  {good}"),
        format!("Bearer,{good}"),
        format!("Bearer={good}"),
        format!("Bearer: {good}"),
        format!("Bearer\t{good}"),
        format!("Bearer \"{good}\""),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer Bearer {good}"),
        format!("B\u{435}arer {good}"),
        format!("Token {good}"),
        format!("JWT {good}"),
        format!("Basic {good}"),
        good.to_owned(),
        format!("Bearer {}", good.to_lowercase()),
        format!("Bearer {}", good.replace('.', "%2E")),
        format!("Bearer {}", good.replace('.', "\u{3002}")),
        format!("Bearer {}", &good[..good.len() - 1]),
    ]);
    values
}

fn wrong_headers(issuer: &Issuer, good: &str) -> Vec<String> {
    let rest = good.split_once('.').expect("three parts").1;
    let url = "https://zq9mark.example.com/keys";
    [
        json!({"alg": "none"}),
        json!({"alg": "NONE", "kid": "one"}),
        json!({"alg": "", "kid": "one"}),
        json!({"alg": null, "kid": "one"}),
        json!({"alg": ["ES256"], "kid": "one"}),
        json!({"alg": "es256", "kid": "one"}),
        json!({"alg": "HS256", "kid": "one"}),
        json!({"alg": "HS512", "kid": "shared"}),
        json!({"alg": "RS256", "kid": "one"}),
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": ""}),
        json!({"alg": "ES256", "kid": 1}),
        json!({"alg": "ES256", "kid": "../../zq9mark"}),
        json!({"alg": "ES256", "kid": "one\u{0}"}),
        json!({"alg": "ES256", "kid": "' UNION SELECT 1 --"}),
        json!({"alg": "ES256", "kid": "a".repeat(4000)}),
        json!({"alg": "ES256", "kid": "two", "jku": url}),
        json!({"alg": "ES256", "kid": "two", "x5u": url}),
        json!({"alg": "ES256", "kid": "one", "crit": [MARK], MARK: 1}),
        json!({"alg": "ES256", "kid": "one", "crit": []}),
        json!({"alg": "ES256", "kid": "one", "jwk": {"kty": "oct", "k": "AA"}}),
        json!({"alg": "ES256", "kid": "one", "zip": "DEF"}),
        json!([]),
        json!("ES256"),
        json!(null),
    ]
    .iter()
    .map(|header| format!("Bearer {}.{rest}", Issuer::header(header)))
    .chain([format!(
        "Bearer {}.{rest}",
        issuer.sign(&json!({"deep": nested()})).replace('.', "")
    )])
    .collect()
}

fn nested() -> Value {
    (0..60).fold(json!(MARK), |inner, _| json!([inner]))
}

fn wrong_claims(issuer: &Issuer) -> Vec<String> {
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        format!("Bearer {}", issuer.sign(&claims))
    };
    vec![
        changed("iss", json!([ISSUER, MARK])).replace("Bearer ", "bearer  "),
        changed("iss", json!(ISSUER.to_uppercase())),
        changed("iss", json!("https://login.example.com")),
        changed("aud", json!([])),
        changed("aud", json!({"engage-bff": true})),
        changed("aud", json!("ENGAGE-BFF")),
        changed("exp", json!("4000000000")),
        changed("exp", json!(true)),
        changed("exp", json!(-1)),
        changed("exp", json!(-1e300)),
        changed("exp", json!(null)),
        changed("exp", json!([4_000_000_000_i64])),
        changed("nbf", json!(1e300)),
        changed("nbf", json!(i64::MAX)),
        changed("nbf", json!(u64::MAX)),
        changed("nbf", json!("now")),
        changed("contactId", json!([MARK])),
        changed("contactId", json!({})),
        changed("contactId", json!("")),
        changed(
            "contactId",
            json!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01\u{0}"),
        ),
        changed("email", json!("\u{212a}im@example.com")),
        changed("email", json!([MARK])),
        changed(
            "email",
            json!(format!("{MARK}@example.com\r\n,b@example.com")),
        ),
    ]
}
