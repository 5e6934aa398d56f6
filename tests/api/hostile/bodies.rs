//! Bodies that are not a lookup: malformed, deeply nested, huge, with repeated names, wrong types, content types and
//! encodings.

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use super::{
    Expected::{Harmless, Problem},
    MARK, Row, cached, post, post_json, post_with,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = broken();
    rows.extend(deep_and_huge());
    rows.extend(repeated_names());
    rows.extend(wrong_types());
    rows.extend(hostile_values());
    rows.extend(wrong_content_types());
    rows
}

fn refused(body: &[u8]) -> Row {
    Row::new(post(body), Problem(400, "InvalidParameter"))
}

fn broken() -> Vec<Row> {
    let good = json!({"contactId": ALVA.id}).to_string();
    let texts = [
        String::new(),
        " ".to_owned(),
        "\0".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "0".to_owned(),
        "-".to_owned(),
        "NaN".to_owned(),
        "Infinity".to_owned(),
        "undefined".to_owned(),
        format!("\"{MARK}\""),
        "[]".to_owned(),
        format!("[{good}]"),
        "{".to_owned(),
        "}".to_owned(),
        "{}}".to_owned(),
        format!("{good}{good}"),
        format!("{good},"),
        format!("{good}\0"),
        format!("{good};"),
        format!("\u{feff}\u{feff}{good}"),
        format!(")]}}',\n{good}"),
        format!("while(1);{good}"),
        format!("{MARK}({good})"),
        format!("// {MARK}\n{good}"),
        format!("/* {MARK} */{good}"),
        good.replace('"', "'"),
        good.replace('"', ""),
        good.replace('"', "\u{201d}"),
        good.replace('}', ",}"),
        good.replace(':', "="),
        good.replace(':', ":+"),
        good.replace(":\"", ":\"\\uzz"),
        good.replace(":\"", ":\"\\x41"),
        good.replace(":\"", ":\"\n"),
        good.replace(":\"", ":\"\u{1}"),
        format!("{{\"contactId\":\"\\ud800{MARK}\"}}"),
        format!("{{\"contactId\":\"\\udc00\\ud800{MARK}\"}}"),
        format!("{{\"contactId\":01{MARK}}}"),
        "{\"contactId\":0x10}".to_owned(),
        "{\"contactId\":1e999999999}".to_owned(),
        "{\"contactId\":.5}".to_owned(),
        "{null:1}".to_owned(),
        "{1:1}".to_owned(),
        "{\"contactId\"}".to_owned(),
        "{\"contactId\":}".to_owned(),
        format!("contactId={}", ALVA.id),
        format!("<contactId>{}</contactId>", ALVA.id),
        format!("<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///{MARK}\">]><a/>"),
        format!("contactId: {}", ALVA.id),
    ];
    let mut rows: Vec<Row> = texts.iter().map(|text| refused(text.as_bytes())).collect();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    rows.push(refused(&utf16));
    rows.push(refused(&[b"\xff\xfe", &*utf16].concat()));
    let utf32: Vec<u8> = good
        .chars()
        .flat_map(|c| u32::from(c).to_be_bytes())
        .collect();
    rows.push(refused(&utf32));
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe4",
    ] {
        rows.push(refused(&[b"{\"email\":\"", bytes, b"\"}"].concat()));
    }
    rows
}

fn deep_and_huge() -> Vec<Row> {
    let nested = |open: &str, depth: usize, close: &str| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!("{{\"contactId\":{open}1{close}}}")
    };
    let mut rows = Vec::new();
    for body in [
        nested("[", 120, "]"),
        nested("[", 4000, "]"),
        nested("[", 8000, ""),
        nested("{\"a\":", 100, "}"),
        nested("{\"a\":", 2000, "}"),
        nested("[{\"a\":", 1500, "}]"),
        format!("{{\"contactId\":{}}}", "9".repeat(8000)),
        format!("{{\"contactId\":\"{MARK}{}\"}}", "a".repeat(8000)),
        format!("{{\"{MARK}{}\":1}}", "a".repeat(8000)),
        format!("{{{}\"a\":1}}", "\"b\":1,".repeat(1000)),
        format!("{{\"parts\":[{}\"points\"]}}", "\"points\",".repeat(1000)),
        format!("{{\"email\":\"{}\"}}", "\\u0061".repeat(1200)),
    ] {
        rows.push(refused(body.as_bytes()));
    }
    for size in [17_000, 100_000, 1 << 20] {
        let body = format!("{{\"contactId\":\"{MARK}{}\"}}", "a".repeat(size));
        rows.push(Row::new(
            post(body.as_bytes()),
            Problem(413, "PayloadTooLarge"),
        ));
    }
    rows
}

fn repeated_names() -> Vec<Row> {
    let (alva, bo) = (ALVA.id, BO.id);
    [
        format!("{{\"contactId\":\"{alva}\",\"contactId\":\"{alva}\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"contactId\":\"{bo}\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"contact\\u0049d\":\"{bo}\"}}"),
        format!("{{\"contactId\":null,\"contactId\":\"{bo}\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"contactId\":null}}"),
        format!("{{\"contactId\":\"{alva}\",\"view\":\"full\",\"view\":\"full\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"parts\":[],\"parts\":[]}}"),
        format!("{{\"contactId\":\"{alva}\",\"contactId\\u0000\":\"{bo}\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"\":\"{bo}\"}}"),
        format!("{{\"contactId\":\"{alva}\",\"__proto__\":{{\"view\":\"full\"}}}}"),
        format!("{{\"contactId\":\"{alva}\",\"ContactId\":\"{bo}\"}}"),
    ]
    .iter()
    .map(|body| refused(body.as_bytes()))
    .collect()
}

fn wrong_types() -> Vec<Row> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5e-7),
        json!([]),
        json!([ALVA.id]),
        json!({}),
        json!({"$ne": MARK}),
        json!({"contactId": ALVA.id}),
        json!(""),
    ];
    let mut rows = Vec::new();
    for value in &values {
        for name in ["contactId", "email", "socialSecurityNumber"] {
            rows.push(refused(json!({ name: value }).to_string().as_bytes()));
        }
        for name in ["contactType", "view", "expiringWithin"] {
            let body = json!({"contactId": ALVA.id, name: value});
            rows.push(refused(body.to_string().as_bytes()));
        }
    }
    for value in [
        json!("points"),
        json!("none"),
        json!("all"),
        json!([["points"]]),
        json!([null]),
        json!([1]),
        json!(["points", {}]),
        json!(["points", "points"]),
        json!(["points\u{0}"]),
        json!(["POINTS"]),
        json!([""]),
        json!({"0": "points"}),
    ] {
        for name in ["parts", "fresh"] {
            let body = json!({"contactId": ALVA.id, name: value});
            rows.push(refused(body.to_string().as_bytes()));
        }
    }
    rows
}

fn hostile_values() -> Vec<Row> {
    let mut rows = Vec::new();
    for value in [
        format!("{MARK}' OR '1'='1"),
        format!("{MARK}\r\nX-Injected: 1"),
        format!("{MARK}\0"),
        format!("${{jndi:ldap://{MARK}.example.com}}"),
        format!("<script>{MARK}</script>"),
        format!("../../{MARK}"),
        format!("{}/../../contacts?{MARK}", ALVA.id),
        format!("{}?apikey={MARK}", ALVA.id),
        format!("{}#{MARK}", ALVA.id),
        format!("{{{}}}", ALVA.id),
        ALVA.id.replace('-', ""),
        format!("urn:uuid:{}", ALVA.id),
    ] {
        let expected = Problem(400, "InvalidContactId");
        rows.push(Row::new(post_json(&json!({"contactId": value})), expected));
        let body = post_json(&json!({"contactId": ALVA.id, "contactType": value}));
        // Only values with the mark: a contact id without hyphens, for one, is a valid contact type.
        if value.contains(|c: char| !c.is_ascii_alphanumeric()) && value.contains(MARK) {
            rows.push(Row::new(body, Problem(400, "InvalidContactType")));
        }
    }
    rows
}

fn wrong_content_types() -> Vec<Row> {
    let body = json!({"contactId": ALVA.id}).to_string();
    let mut rows = Vec::new();
    for headers in [
        "",
        "Content-Type:\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/json\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=zq9mark\r\n",
        "Content-Type: application/xml\r\n",
        "Content-Type: application/jsonp\r\n",
        "Content-Type: application/json5\r\n",
        "Content-Type: application/ld+json\r\n",
        "Content-Type: application/problem+json\r\n",
        "Content-Type: application\r\n",
        "Content-Type: json\r\n",
        "Content-Type: */*\r\n",
        "Content-Type: application/*\r\n",
        "Content-Type: application /json\r\n",
        "Content-Type: application/json/zq9mark\r\n",
        "Content-Type: application/json, text/plain\r\n",
        "Content-Type: text/plain, application/json\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json; charset=utf-7\r\n",
        "Content-Type: application/json; charset=iso-8859-1\r\n",
        "Content-Type: application/json; charset=utf-8; charset=utf-16\r\n",
        "Content-Type: application/json; zq9mark=1\r\n",
        "Content-Type: application/json;;\r\n",
        "Content-Type: application/json\u{e9}\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br\r\n",
        "Content-Type: application/json\r\nContent-Encoding: deflate\r\n",
        "Content-Type: application/json\r\nContent-Encoding: zq9mark\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip, gzip\r\n",
    ] {
        let request = post_with(headers, body.as_bytes());
        rows.push(Row::new(request, Problem(415, "UnsupportedMediaType")));
    }
    for headers in [
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
    ] {
        let request = post_with(headers, body.as_bytes());
        rows.push(Row::new(request, Problem(400, "InvalidParameter")));
    }
    // A query next to a body is ignored, and gzip bytes without a `Content-Encoding` are not JSON.
    let plain = "Content-Type: application/json\r\n";
    let with_query = String::from_utf8(post_with(plain, body.as_bytes())).expect("text");
    let with_query = with_query.replace("/lookup ", &format!("/lookup?{}&{MARK}=1 ", cached()));
    rows.push(Row::new(with_query, Harmless));
    rows.push(refused(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(100)));
    rows
}
