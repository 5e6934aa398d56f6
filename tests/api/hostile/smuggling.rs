//! Requests that two parsers could read differently. A request with a body is followed by another request, which must
//! not be answered.

use engage_simulator::fixtures::ALVA;

use super::{
    Expected::{Closed, Harmless},
    MARK, Row, key,
};
use crate::wire::LIVEZ;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(transfer_codings());
    rows.extend(chunks());
    rows.extend(lines());
    rows
}

fn body() -> String {
    format!("{{\"contactId\":\"{}\"}}", ALVA.id)
}

fn chunked() -> String {
    let body = body();
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A look-up with these header lines and this body, followed by another request.
fn post(headers: &str, body: &str) -> Row {
    let key = key();
    let request = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\n{key}Content-Type: application/json\r\n\
         {headers}\r\n{body}{LIVEZ}"
    );
    Row::new(request, Closed)
}

/// Repeated or malformed lengths of a body.
fn lengths() -> Vec<Row> {
    let (body, chunked) = (body(), chunked());
    let length = body.len();
    let mut rows = Vec::new();
    for value in [
        format!("{length}, {length}"),
        format!("{length},0"),
        format!("+{length}"),
        format!("-{length}"),
        format!("{length}.0"),
        format!("{length}e0"),
        format!("0x{length:x}"),
        format!("{length:o}o"),
        format!("{length} {length}"),
        format!("\"{length}\""),
        format!("{length};{MARK}"),
        format!("{length}\u{b}"),
        format!("{length}\u{a0}"),
        String::new(),
        MARK.to_owned(),
        "-1".to_owned(),
        "18446744073709551616".to_owned(),
        "99999999999999999999999999".to_owned(),
        "\u{665}\u{660}".to_owned(),
    ] {
        rows.push(post(&format!("Content-Length: {value}\r\n"), &body));
    }
    for (first, second) in [(length, 0), (0, length), (length, length + 1), (1, 2)] {
        let two = format!("Content-Length: {first}\r\nContent-Length: {second}\r\n");
        rows.push(post(&two, &body));
    }
    for name in [
        "Content-Length ",
        "Content-Length\t",
        " Content-Length",
        "\tContent-Length",
        "Content-Length\0",
        "Content\u{2010}Length",
        "Content-Length\u{a0}",
        "Content-Length:",
        "X: y\r\n Content-Length",
        "X: y\rContent-Length",
        "(Content-Length)",
    ] {
        rows.push(post(&format!("{name}: {length}\r\n"), &body));
    }
    for both in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("transfer-encoding: CHUNKED\r\ncontent-length: {length}\r\n"),
        "Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
    ] {
        // The coding takes precedence, and nothing after the body is read (RFC 9112, 6.3).
        let row = post(&both, &chunked);
        rows.push(Row {
            expected: Harmless,
            ..row
        });
    }
    rows
}

/// Transfer codings that one parser knows and another does not.
fn transfer_codings() -> Vec<Row> {
    let chunked = chunked();
    let mut rows = Vec::new();
    for value in [
        "gzip",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "chunked, gzip",
        "chunked;q=1",
        "chunked; zq9mark=1",
        "chunked,",
        ", chunked",
        "gzip, chunked",
        "identity, chunked",
        "chunked, chunked",
        "zq9mark, chunked",
        "\"chunked\"",
        "'chunked'",
        "chunked\u{b}",
        "chunked\u{a0}",
        "\u{441}hunked",
        "chun\u{212a}ed",
        "chunked chunked",
        "[chunked]",
        "",
    ] {
        rows.push(post(&format!("Transfer-Encoding: {value}\r\n"), &chunked));
    }
    for lines in [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\n \r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    ] {
        rows.push(post(lines, &chunked));
    }
    let old = String::from_utf8(post("Transfer-Encoding: chunked\r\n", &chunked).request);
    let old = old.expect("text").replacen("HTTP/1.1", "HTTP/1.0", 1);
    rows.push(Row::new(old, Closed));
    rows
}

/// Chunks about whose size two parsers could disagree.
fn chunks() -> Vec<Row> {
    let body = body();
    let size = format!("{:x}", body.len());
    [
        format!("{size}\n{body}\r\n0\r\n\r\n"),
        format!("{size}\r{body}\r\n0\r\n\r\n"),
        format!("0x{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("+{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("-{size}\r\n{body}\r\n0\r\n\r\n"),
        format!(" {size}\r\n{body}\r\n0\r\n\r\n"),
        format!("{size},\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}_0\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}.0\r\n{body}\r\n0\r\n\r\n"),
        format!("\"{size}\"\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}\0\r\n{body}\r\n0\r\n\r\n"),
        format!("fffffffffffffff{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("10000000000000000{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("{size};{MARK}\n{body}\r\n0\r\n\r\n"),
        format!("{size};a=\"\n\"\r\n{body}\r\n0\r\n\r\n"),
        format!("{size};{}\r\n{body}\r\n0\r\n\r\n", MARK.repeat(5000)),
        format!("{size}\r\n{body}0\r\n\r\n"),
        format!("{size}\r\n{body}XX0\r\n\r\n"),
        format!("{size}\r\n{body}\n0\r\n\r\n"),
        format!("\r\n{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("{MARK}\r\n{body}\r\n0\r\n\r\n"),
        format!(
            "{size}\r\n{body}\r\n0\r\n{}\r\n",
            "X-Trailer: a\r\n".repeat(2000)
        ),
        format!("{size}\r\n{body}\r\n0\r\n X: folded\r\n\r\n"),
        format!("{size}\r\n{body}\r\n0\r\nX y: z\r\n\r\n"),
        format!("{size}\r\n{body}\r\n0\r\n{}", "a".repeat(20_000)),
        format!("{}\r\n", "0".repeat(20_000)),
        ";\r\n\r\n".to_owned(),
        "\r\n".to_owned(),
        "g\r\n\r\n".to_owned(),
    ]
    .iter()
    .map(|chunks| post("Transfer-Encoding: chunked\r\n", chunks))
    .collect()
}

/// Lines with other line endings, folded lines, and requests of other protocols.
fn lines() -> Vec<Row> {
    let key = key();
    let mut rows = Vec::new();
    for request in [
        "GET /livez\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/2\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/11\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez http/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1 zq9mark\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez\tHTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez  HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\r\nHost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\rHost: a\r\r".to_owned(),
        "GET /livez HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nHost: a\r\n b\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\n: zq9mark\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nHost: a\r\nzq9mark\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nHost: a\0b\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nH\u{e9}st: a\r\n\r\n".to_owned(),
        "\0GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "\u{feff}GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "EHLO zq9mark\r\n".to_owned(),
        "*1\r\n$4\r\nPING\r\n".to_owned(),
    ] {
        rows.push(Row::new(request, Closed));
    }
    // A bare LF may end a line (RFC 9112, 2.2): every parser must read one request.
    for request in [
        format!(
            "GET /customer?contactId={} HTTP/1.1\nHost: a\n{key}Connection: close\n\n",
            ALVA.id
        ),
        format!("\r\nGET /livez HTTP/1.1\r\nHost: a\r\nX: {MARK}\nConnection: close\r\n\r\n"),
    ] {
        rows.push(Row::new(request, Harmless));
    }
    rows
}
