//! The binary with an invalid configuration, its warnings, and its listen addresses.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::ffi::OsStrExt,
    process::Command,
};

use serde_json::Value;

use crate::harness::{BINARY, MINIMAL, Service, path, run, temp_file, text};

#[test]
fn command_line_errors_print_no_backtrace() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let file = temp_file(MINIMAL);
    let broken = temp_file("[engage\n");
    for (arguments, pairs) in [
        (vec!["serve"], vec![]),
        (vec!["check-config"], vec![]),
        (vec!["serve", "--config", "/nowhere/at-all.toml"], vec![]),
        (vec!["check-config", "--config", path(&broken)], vec![]),
        (vec!["healthcheck", "--config", path(&broken)], vec![]),
        (
            vec!["serve", "--config", path(&file)],
            vec![("BFF_SERVER__LISTEN", &*taken)],
        ),
        (
            vec!["serve", "--config", path(&file)],
            vec![("BFF_SERVER__LISTEN", "203.0.113.9:0")],
        ),
        (
            vec!["check-config", "--config", path(&file)],
            vec![("BFF_ENGAGE__CA_FILE", "/nowhere/ca.pem")],
        ),
        (
            vec!["healthcheck"],
            vec![("BFF_SERVER__LISTEN", "127.0.0.1:1")],
        ),
    ] {
        let mut all = vec![("RUST_BACKTRACE", "1"), ("RUST_LIB_BACKTRACE", "1")];
        all.extend(pairs);
        let output = run(&arguments, &all);
        let error = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!error.trim().is_empty(), "{arguments:?}");
        for trace in ["stack backtrace", "panicked", ".rs:", "   0: "] {
            assert!(!error.contains(trace), "{arguments:?}: {error}");
        }
        assert_eq!(text(&output.stdout).matches("panicked").count(), 0);
    }
}

#[test]
fn check_config_refuses_too_low_a_limit_of_open_files() {
    let file = temp_file(MINIMAL);
    for command in ["check-config", "serve"] {
        let mut limited = Command::new("sh");
        let script = "ulimit -n 150; exec \"$@\"";
        limited.args(["-c", script, "sh", BINARY, command, "--config", path(&file)]);
        let output = limited.output().expect("it starts");
        assert!(!output.status.success(), "{command}");
        let error = text(&output.stderr);
        assert!(
            error.contains("150 open files") && error.contains("ulimit -n"),
            "{command}: {error}"
        );
        assert_eq!(text(&output.stdout), "", "{command}");
    }
}

#[test]
fn variable_that_is_not_utf8_is_reported() {
    let file = temp_file(MINIMAL);
    let output = Command::new(BINARY)
        .args(["check-config", "--config", path(&file)])
        .env_clear()
        .env("BFF_ENGAGE__USER_AGENT", OsStr::from_bytes(b"shop\xe5/1.0"))
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(
        error.starts_with("engage.user_agent: is not UTF-8; "),
        "{error}"
    );
}

#[test]
fn warnings_are_printed_by_check_config_and_logged_once_by_serve() {
    let file = temp_file(MINIMAL);
    let pairs = [
        ("BFF_CACHE__POINTS_LIFETIME", "6h"),
        ("BFF_ENGAGE__REQUESTS_PER_SECOND", "80"),
    ];
    let output = run(&["check-config", "--config", path(&file)], &pairs);
    let warned = text(&output.stderr);
    assert!(output.status.success(), "{warned}");
    let lines: Vec<_> = warned.lines().collect();
    assert_eq!(lines.len(), 2, "{warned}");
    assert!(
        lines[0].starts_with("warning: engage.requests_per_second: is more than 50; "),
        "{warned}"
    );
    assert!(
        lines[1].starts_with("warning: cache.points_lifetime: is an hour or more "),
        "{warned}"
    );
    let printed: toml::Table = text(&output.stdout).parse().expect("TOML");
    assert_eq!(printed["cache"]["points_lifetime"].as_str(), Some("6h"));

    let mut service = Service::new();
    for (name, value) in pairs {
        service = service.env(name, value);
    }
    let service = service.start();
    let logged: Vec<Value> = service
        .before
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let keys: Vec<_> = logged.iter().map(|event| event["key"].as_str()).collect();
    let expected = [
        Some("engage.requests_per_second"),
        Some("cache.points_lifetime"),
    ];
    assert_eq!(keys, expected, "{logged:?}");
    for event in &logged {
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["message"], "questionable setting");
    }
}

/// The status line of the response for a path.
fn status_at(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a response");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Whether the machine has IPv6; without it, the tests of IPv6 check nothing, and print why.
fn has_ipv6() -> bool {
    let bound = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    if let Err(error) = &bound {
        println!("not checked: this machine has no IPv6: {error}");
    }
    bound.is_ok()
}

#[test]
fn unspecified_ipv6_address_accepts_ipv4() {
    if !has_ipv6() {
        return;
    }
    let service = Service::new()
        .env("BFF_SERVER__LISTEN", "[::]:0")
        .env("BFF_OPERATIONS__LISTEN", "[::]:0")
        .env("BFF_OPERATIONS__TOKEN", "k7Qm2xW9pLr4tYzC")
        .start();
    for port in [service.data.port(), service.operations.port()] {
        for ip in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ] {
            let status = status_at(SocketAddr::new(ip, port), "/livez");
            assert_eq!(status, "HTTP/1.1 200 OK", "{ip}");
        }
    }
    let anywhere = format!("[::]:{}", service.operations.port());
    let output = run(&["healthcheck"], &[("BFF_OPERATIONS__LISTEN", &anywhere)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn ipv6_loopback_needs_no_token_and_answers() {
    if !has_ipv6() {
        return;
    }
    let service = Service::new()
        .env("BFF_SERVER__LISTEN", "[::1]:0")
        .env("BFF_OPERATIONS__LISTEN", "[::1]:0")
        .start();
    assert!(service.data.is_ipv6() && service.operations.is_ipv6());
    assert_eq!(status_at(service.data, "/livez"), "HTTP/1.1 200 OK");
    assert_eq!(status_at(service.operations, "/readyz"), "HTTP/1.1 200 OK");
    let address = service.operations.to_string();
    let output = run(&["healthcheck"], &[("BFF_OPERATIONS__LISTEN", &address)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn healthcheck_needs_only_the_address_of_the_operations_listener() {
    let service = Service::new().start();
    let address = service.operations.to_string();
    // The issuer's other settings are in the service's file, which an image's health check does not know.
    let incomplete = ("BFF_AUTH__JWT__JWKS_FILE", "/etc/jwks.json");
    let listen = ("BFF_OPERATIONS__LISTEN", &*address);
    let output = run(&["healthcheck"], &[incomplete, listen]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let invalid = ("BFF_OPERATIONS__LISTEN", "localhost");
    let output = run(&["healthcheck"], &[incomplete, invalid]);
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains("operations.listen"), "{error}");
    assert!(!error.contains("auth.jwt"), "{error}");
}
