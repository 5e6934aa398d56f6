//! The limit of open files: idle callers leave enough descriptors for Engage and operators.

use std::process::Command;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    harness::{BINARY, MINIMAL, Service, Started, engage, path, temp_file, text},
    wire::{ask, customer, get},
};

/// The binary with those soft and hard limits of open files.
fn limited(soft: usize, hard: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.args([&format!("--nofile={soft}:{hard}"), "--", BINARY]);
    command
}

/// A numeric field of the event `serving`.
fn serving(service: &Started, field: &str) -> u64 {
    let number = service.serving[field].as_u64();
    number.unwrap_or_else(|| panic!("no {field} in {}", service.serving))
}

/// Opens that many silent connections, then asserts that a contact that is not cached, the probes and the metrics are
/// answered.
async fn idle_callers_leave_room(soft: usize, hard: usize, callers: usize) -> Started {
    let engage = engage().await;
    let service = Service::new().asks(&engage).start_as(limited(soft, hard));
    let mut idle = Vec::with_capacity(callers);
    for _ in 0..callers {
        idle.push(TcpStream::connect(service.data).await.expect("accepted"));
    }
    let answer = ask(service.data, &customer("")).await.expect("a response");
    assert_eq!(answer.status, 200, "{answer:?}");
    for probe in ["/livez", "/readyz"] {
        let answer = ask(service.data, &get(probe)).await.expect("a response");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = ask(service.operations, &get(path)).await.expect("one");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(!engage.log().is_empty());
    service
}

#[tokio::test]
async fn idle_callers_leave_descriptors_for_engage_and_operators() {
    let service = idle_callers_leave_room(256, 256, 600).await;
    let most = serving(&service, "max_connections");
    assert!((16..256).contains(&most), "{most}");
    let capped: Value = serde_json::from_str(&service.before[0]).expect("JSON");
    assert_eq!(capped["level"], "WARN", "{capped}");
    assert_eq!(capped["max_connections"], most, "{capped}");
    assert_eq!(capped["configured"], 10_000, "{capped}");
    assert_eq!(capped["descriptors"], 256, "{capped}");
    assert!(capped["remedy"].is_string(), "{capped}");
}

#[tokio::test]
async fn soft_limit_of_open_files_is_raised_to_the_hard_limit() {
    let service = idle_callers_leave_room(256, 4096, 4300).await;
    let most = serving(&service, "max_connections");
    assert!((3500..4096).contains(&most), "{most}");
}

#[tokio::test]
async fn sufficient_descriptors_cause_no_warning() {
    let service = Service::new()
        .env("BFF_SERVER__MAX_CONNECTIONS", "100")
        .start_as(limited(256, 1024));
    assert_eq!(serving(&service, "max_connections"), 100);
    assert!(service.before.is_empty(), "{:?}", service.before);
}

#[test]
fn too_few_descriptors_stop_the_start_with_an_explanation() {
    let file = temp_file(MINIMAL);
    let mut command = limited(64, 64);
    command.args(["serve", "--config", path(&file)]);
    let output = command.env_clear().output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("64 open files"), "{error}");
    assert!(error.contains("ulimit -n"), "{error}");
}
