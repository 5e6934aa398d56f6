//! Methods that a path does not allow, and headers that try to override the method.

use super::{
    Expected::{Harmless, Problem, Refused},
    MARK, Row, bare, cached, key,
};

const METHODS: [&str; 30] = [
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "TRACK",
    "DEBUG",
    "PURGE",
    "BAN",
    "LINK",
    "UNLINK",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "MKCOL",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "SEARCH",
    "QUERY",
    "get",
    "Get",
    "gET",
    "head",
    "GETS",
    "GET1",
    "G-E-T",
    "!#$%&'*+.^_`|~",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let customer = format!("/customer?{}", cached());
    for method in METHODS {
        let expected = Problem(405, "MethodNotAllowed");
        rows.push(Row::new(bare(method, &customer, &key()), expected));
        let unauthenticated = bare(method, &customer, "");
        rows.push(Row::new(unauthenticated, Problem(401, "Unauthorized")));
        let lookup = bare(method, "/customer/lookup", &key());
        if method != "POST" {
            rows.push(Row::new(lookup, expected));
        }
    }
    for method in ["GET", "HEAD"] {
        let request = bare(method, "/customer/lookup", &key());
        rows.push(Row::new(request, Refused));
    }
    let long = bare(&"A".repeat(2000), &customer, &key());
    rows.push(Row::new(long, Refused));
    for method in [
        "",
        " GET",
        "GET\t",
        "G\u{e9}T",
        "GET,POST",
        "GET/",
        "\"GET\"",
        "GET\0",
        "(GET)",
        "\u{ff27}ET",
        "CONNECT",
    ] {
        rows.push(Row::new(bare(method, &customer, &key()), Refused));
    }
    rows.extend(overrides());
    rows
}

/// Headers with which other servers override the method or the path.
fn overrides() -> Vec<Row> {
    let customer = format!("/customer?{}", cached());
    let mut rows = Vec::new();
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-Method",
    ] {
        for method in ["DELETE", MARK] {
            let headers = format!("{}{name}: {method}\r\n", key());
            rows.push(Row::new(bare("GET", &customer, &headers), Harmless));
        }
        let headers = format!("{}{name}: GET\r\n", key());
        let post = bare("POST", &customer, &headers);
        rows.push(Row::new(post, Problem(405, "MethodNotAllowed")));
    }
    for line in [
        "X-Original-URL: /livez",
        "X-Rewrite-URL: /livez",
        "X-Forwarded-Prefix: /livez",
        "X-Forwarded-Uri: /livez",
        "X-Accel-Redirect: /livez",
        "Destination: /livez",
    ] {
        let headers = format!("{}{line}\r\n", key());
        let nowhere = bare("GET", "/nowhere", &headers);
        rows.push(Row::new(nowhere, Problem(404, "NotFound")));
        let unauthenticated = bare("GET", &customer, &format!("{line}\r\n"));
        rows.push(Row::new(unauthenticated, Problem(401, "Unauthorized")));
    }
    rows
}
