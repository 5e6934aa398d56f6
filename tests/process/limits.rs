//! The machine's limits: descriptors, of which idle callers may not use what Engage and operators need.

use std::process::Command;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    harness::{BINARY, LEAST, Service, Started, engage, path, temp_file, text},
    wire::{ask, customer, get},
};

/// The binary with those soft and hard limits of open files.
fn limited(soft: usize, hard: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.args([&format!("--nofile={soft}:{hard}"), "--", BINARY]);
    command
}

/// What the event `serving` says of a number.
fn serving(service: &Started, field: &str) -> u64 {
    let number = service.serving[field].as_u64();
    number.unwrap_or_else(|| panic!("no {field} in {}", service.serving))
}

/// Opens so many connections that say nothing, and asks for what is not cached meanwhile.
async fn idle_callers_leave_room(soft: usize, hard: usize, callers: usize) -> Started {
    let engage = engage().await;
    let service = Service::new().asks(&engage).start_as(limited(soft, hard));
    let mut idle = Vec::with_capacity(callers);
    for _ in 0..callers {
        idle.push(TcpStream::connect(service.data).await.expect("accepted"));
    }
    let answer = ask(service.data, &customer("")).await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    for probe in ["/livez", "/readyz"] {
        let answer = ask(service.data, &get(probe)).await.expect("an answer");
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
async fn idle_callers_leave_descriptors_for_engage_and_operators_where_there_are_few() {
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
async fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let service = idle_callers_leave_room(256, 4096, 4300).await;
    let most = serving(&service, "max_connections");
    assert!((3500..4096).contains(&most), "{most}");
}

#[tokio::test]
async fn descriptors_that_suffice_are_not_worth_a_warning() {
    let service = Service::new()
        .env("BFF_SERVER__MAX_CONNECTIONS", "100")
        .start_as(limited(256, 1024));
    assert_eq!(serving(&service, "max_connections"), 100);
    assert!(service.before.is_empty(), "{:?}", service.before);
}

#[test]
fn with_hardly_any_descriptor_the_service_does_not_start_and_says_why() {
    let file = temp_file(LEAST);
    let mut command = limited(64, 64);
    command.args(["serve", "--config", path(&file)]);
    let output = command.env_clear().output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("64 open files"), "{told}");
    assert!(told.contains("ulimit -n"), "{told}");
}
