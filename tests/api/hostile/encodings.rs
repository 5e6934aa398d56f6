//! Broken escapes, invalid UTF-8, control characters, double encoding and overlong values.

use super::{
    Expected::{Problem, Refused},
    MARK, Row, get, post_json,
};
use crate::harness::TILL;

/// Escapes that must be neither repaired nor skipped.
const BROKEN: [&str; 31] = [
    "%",
    "%4",
    "%%",
    "%zz",
    "%G1",
    "%1G",
    "%%41",
    "%-1",
    "%.1",
    "%0x41",
    "%u0041",
    "%U0041",
    "%u{41}",
    "%x41",
    "%&#65;",
    "%C0%AF",
    "%C0%80",
    "%C1%81",
    "%E0%80%AF",
    "%F0%80%80%AF",
    "%F8%80%80%80%AF",
    "%FC%80%80%80%80%AF",
    "%ED%A0%80",
    "%ED%A0%BD%ED%B8%80",
    "%F4%90%80%80",
    "%FF",
    "%FE%FF%00a",
    "%FF%FEa%00",
    "%80",
    "%C3%28",
    "%E4",
];

/// Control characters that no value may contain.
const CONTROLS: [&str; 12] = [
    "%00", "%01", "%08", "%0A", "%0D", "%0D%0A", "%1B", "%1F", "%7F", "%C2%80", "%C2%85", "%C2%9F",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = broken();
    rows.extend(controls());
    rows.extend(doubly_encoded());
    rows.extend(too_long());
    rows
}

fn broken() -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, broken) in BROKEN.iter().enumerate() {
        let mut name = ["email", "customKey", "contactType", "view"][index % 4];
        // `&` ends the value.
        if broken.contains('&') {
            name = "any";
        }
        let value = get(&format!("{name}={MARK}{broken}"));
        rows.push(Row::new(value, Problem(400, "InvalidParameter")).never(broken));
        let name = get(&format!("email=a%40example.com&{MARK}{broken}=1"));
        rows.push(Row::new(name, Problem(400, "InvalidParameter")).never(broken));
    }
    // Bytes that a request line must not contain unescaped.
    for bytes in [
        &b"\xc3\xa4"[..],
        b"\xff",
        b"\x00",
        b"\x01",
        b"\x7f",
        b"\t",
        b" ",
        b"\r",
        b"\n",
        b"\x80\x81",
    ] {
        let before = format!("GET /customer?customKey={MARK}");
        let after = format!(" HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\nConnection: close\r\n");
        let request = [before.as_bytes(), bytes, after.as_bytes(), b"\r\n"].concat();
        rows.push(Row::new(request, Refused));
    }
    rows
}

fn controls() -> Vec<Row> {
    let mut rows = Vec::new();
    for control in CONTROLS {
        for (query, code) in [
            (
                format!("email=a{control}{MARK}%40example.com"),
                "InvalidEmailAddress",
            ),
            (format!("customKey={MARK}{control}1"), "InvalidSearchQuery"),
            (
                format!("email=a%40example.com&contactType=Member{control}{MARK}"),
                "InvalidContactType",
            ),
        ] {
            rows.push(Row::new(get(&query), Problem(400, code)));
        }
    }
    rows
}

/// Percent-decoding happens once: the rest is a value with percent signs.
fn doubly_encoded() -> Vec<Row> {
    [
        (
            format!("email={MARK}%2540example.com"),
            "InvalidEmailAddress",
        ),
        (
            format!("email={MARK}%25252540example.com"),
            "InvalidEmailAddress",
        ),
        (
            format!("email={MARK}%40example%252Ecom"),
            "InvalidEmailAddress",
        ),
        (
            format!("mobilePhone=%252B46701740605{MARK}"),
            "InvalidPhoneNumber",
        ),
        ("mobilePhone=%252B46701740605".into(), "InvalidPhoneNumber"),
        ("mobilePhone=%2500701740605".into(), "InvalidPhoneNumber"),
        (
            "contactId=6f1d2c3a%252D4b5e-4f60-8a71-b2c300d41e01".into(),
            "InvalidContactId",
        ),
        (
            "contactId=6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01%2500".into(),
            "InvalidContactId",
        ),
        (
            "email=a%40example.com&contactType=%254Dember".into(),
            "InvalidContactType",
        ),
        (
            "email=a%40example.com&view=%2566ull".into(),
            "InvalidParameter",
        ),
        (
            "email=a%40example.com&parts=points%252Cvouchers".into(),
            "InvalidParameter",
        ),
        ("%2565mail=a%40example.com".to_owned(), "InvalidParameter"),
    ]
    .into_iter()
    .map(|(query, code)| Row::new(get(&query), Problem(400, code)))
    .collect()
}

fn too_long() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, code) in [
        ("contactId", "InvalidContactId"),
        ("email", "InvalidEmailAddress"),
        ("mobilePhone", "InvalidPhoneNumber"),
        ("customKey", "InvalidSearchQuery"),
        ("any", "InvalidSearchQuery"),
    ] {
        for (length, code) in [
            (255, code),
            (1024, code),
            (1025, "InvalidParameter"),
            (9000, "InvalidParameter"),
        ] {
            let value = format!("{MARK}{}", "1".repeat(length - MARK.len()));
            let query = get(&format!("{name}={value}"));
            rows.push(Row::new(query, Problem(400, code)));
            let body = post_json(&serde_json::json!({ name: value }));
            rows.push(Row::new(body, Problem(400, code)));
        }
    }
    let escaped = "%31".repeat(400);
    let query = get(&format!("customKey={MARK}{escaped}"));
    rows.push(Row::new(query, Problem(400, "InvalidParameter")));
    let name = get(&format!("{}=1", MARK.repeat(500)));
    rows.push(Row::new(name, Problem(400, "InvalidParameter")));
    for length in [16 * 1024, 70_000, 1 << 20] {
        let query = get(&format!("customKey={MARK}{}", "a".repeat(length)));
        rows.push(Row::new(query, Refused));
    }
    rows
}
