//! The token issuer: each check with its fault.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

use super::Online;
use crate::harness::{Engage, path, temp_file};

/// RFC 7515, appendix A.3.
const ES256: &str = r#"{"kty":"EC","crv":"P-256","kid":"ec-one",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// RFC 8037, appendix A.2.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed-one",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn set(keys: &[&str]) -> String {
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// An issuer that answers every request like this.
fn issuer(status: &'static str, fields: &'static str, body: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut line = String::new();
            // A connection that is closed at once checked only whether it can be opened.
            while line != "\r\n" && reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                if line != "\r\n" {
                    line.clear();
                }
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{fields}connection: close\r\n");
            // The client may have disconnected.
            let _ = write!(stream, "{head}content-length: {length}\r\n\r\n{body}");
        }
    });
    address
}

fn with_keys_at(engage: &Engage, url: &str, algorithms: &str) -> Online {
    Online::new(&engage.simulator)
        .with("AUTH__JWT__ISSUER", "https://login.example.com")
        .with("AUTH__JWT__AUDIENCE", "engage-bff")
        .with("AUTH__JWT__CONTACT_ID_CLAIM", "contact")
        .with("AUTH__JWT__ALGORITHMS", algorithms)
        .with("AUTH__JWT__JWKS_URL", url)
}

#[test]
fn unknown_name_refused_connection_and_missing_tls_fail() {
    let engage = Engage::start();
    let checks = with_keys_at(&engage, "https://login.example.invalid/jwks", "ES256").check();
    checks.assert("issuer-name", "failed", "has no address");
    let after = [
        "issuer-connection",
        "issuer-tls",
        "issuer-keys",
        "issuer-clock",
    ];
    checks
        .assert_skipped(&after, "issuer-name")
        .assert_only(&["issuer-name"]);
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let checks = with_keys_at(&engage, &format!("https://{address}/jwks"), "ES256").check();
    checks.assert("issuer-connection", "failed", "nothing listens there");
    checks.assert_skipped(&after[1..], "issuer-connection");
    let plain = issuer("200 OK", "", set(&[ES256]));
    let checks = with_keys_at(&engage, &format!("https://{plain}/jwks"), "ES256").check();
    checks.assert("issuer-tls", "failed", "TLS");
    checks
        .assert_skipped(&after[2..], "issuer-tls")
        .assert_only(&["issuer-tls"]);
}

#[test]
fn keys_are_named_and_compared_with_the_algorithms() {
    let engage = Engage::start();
    for (keys, algorithms, status, what) in [
        (
            &[ES256][..],
            "ES256",
            "ok",
            "1 key for auth.jwt.algorithms: kid ec-one",
        ),
        (
            &[ES256, ED25519],
            "ES256,EdDSA",
            "ok",
            "kid ec-one, kid ed-one",
        ),
        (&[ES256], "ES256,RS256", "warning", "none for RS256"),
        (
            &[ES256, ED25519],
            "ES256",
            "warning",
            "1 for other algorithms",
        ),
        (&[ES256], "RS256", "failed", "1 key, none for"),
        (&[], "ES256", "failed", "contains no key"),
    ] {
        let address = issuer("200 OK", "", set(keys));
        let checks = with_keys_at(&engage, &format!("http://{address}/jwks"), algorithms).check();
        checks.assert("issuer-keys", status, what);
        let poor: &[_] = if status == "ok" {
            &[]
        } else {
            &["issuer-keys"]
        };
        checks.assert_only(poor);
        checks.assert("issuer-clock", "skipped", "no response had a date");
    }
    for (status, body, what) in [
        ("404 Not Found", "", "status 404"),
        ("200 OK", "<html>", "is not a JWK set"),
    ] {
        let address = issuer(status, "", body.to_owned());
        let checks = with_keys_at(&engage, &format!("http://{address}/jwks"), "ES256").check();
        checks.assert("issuer-keys", "failed", what);
    }
}

#[test]
fn clock_beyond_the_leeway_fails() {
    let engage = Engage::start();
    let past = "date: Mon, 02 Nov 2026 10:00:00 GMT\r\n";
    let address = issuer("200 OK", past, set(&[ES256]));
    let checks = with_keys_at(&engage, &format!("http://{address}/jwks"), "ES256").check();
    checks
        .assert("issuer-clock", "failed", "tokens are refused")
        .assert_only(&["issuer-clock"]);
}

#[test]
fn keys_in_a_file_are_compared_too() {
    let engage = Engage::start();
    let file = temp_file(&set(&[ES256, ED25519]));
    let mut online = with_keys_at(&engage, "", "ES256");
    online.environment.pop();
    let checks = online.with("AUTH__JWT__JWKS_FILE", path(&file)).check();
    checks.assert("issuer-name", "skipped", "auth.jwt.jwks_file");
    checks
        .assert("issuer-keys", "warning", "1 for other algorithms")
        .assert_only(&["issuer-keys"]);
}
