//! `check-config --online`: the checks, most of them with a fault that makes them fail or warn. The checks of Redis are
//! in `tests/redis_link/online.rs`.

mod collector;
mod engage;
mod issuer;
mod machine;
mod tls;

use std::process::{Command, Output};

use engage_simulator::{Endpoint, Simulator};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::harness::{BINARY, Engage, MINIMAL, path, run, temp_file, text};

/// The names of the checks, in order. Programs rely on them.
const NAMES: [&str; 31] = [
    "open-files",
    "memory",
    "webhooks",
    "engage-name",
    "engage-connection",
    "engage-tls",
    "engage-key",
    "engage-endpoints",
    "engage-contact-type",
    "engage-point-definitions",
    "engage-changes",
    "engage-rate",
    "engage-clock",
    "issuer-name",
    "issuer-connection",
    "issuer-tls",
    "issuer-keys",
    "issuer-clock",
    "redis-connection",
    "redis-tls",
    "redis-server",
    "redis-operations",
    "redis-latency",
    "redis-memory",
    "redis-eviction",
    "redis-persistence",
    "redis-failover",
    "collector-name",
    "collector-connection",
    "collector-tls",
    "collector-export",
];

/// A configuration to be checked.
struct Online {
    file: NamedTempFile,
    environment: Vec<(String, String)>,
    limit: Option<usize>,
}

impl Online {
    /// A configuration with this simulator as Engage, a default contact type and a default point definition.
    fn new(engage: &Simulator) -> Self {
        Self {
            file: temp_file(MINIMAL),
            environment: Vec::new(),
            limit: None,
        }
        .with("ENGAGE__BASE_URL", &engage.base_url())
        .with("ENGAGE__API_KEY", engage.api_key())
        .with("ENGAGE__DEFAULT_CONTACT_TYPE", "Member")
        .with("ENGAGE__DEFAULT_POINT_DEFINITION", "1")
    }

    /// Sets a key.
    fn with(mut self, key: &str, value: &str) -> Self {
        self.environment
            .push((format!("BFF_{key}"), value.to_owned()));
        self
    }

    /// Sets the limit of open files.
    fn limited(mut self, descriptors: usize) -> Self {
        self.limit = Some(descriptors);
        self
    }

    fn output(&self, more: &[&str]) -> Output {
        let mut arguments = vec!["check-config", "--online", "--config", path(&self.file)];
        arguments.extend(more);
        let pairs = self.environment.iter();
        let pairs: Vec<_> = pairs.map(|(name, value)| (&**name, &**value)).collect();
        let Some(limit) = self.limit else {
            return run(&arguments, &pairs);
        };
        let mut command = Command::new("prlimit");
        command.args([&format!("--nofile={limit}:{limit}"), "--", BINARY]);
        command.env_clear().envs(pairs).args(arguments);
        command.output().expect("prlimit runs")
    }

    /// Runs the checks; asserts that none is missing, and that the exit status is 1 if and only if one failed.
    #[track_caller]
    fn check(&self) -> Checks {
        let output = self.output(&["--json"]);
        let stderr = text(&output.stderr);
        let list = serde_json::from_slice(&output.stdout);
        let list: Vec<Value> = list.unwrap_or_else(|_| panic!("no JSON: {stderr}"));
        let names: Vec<_> = list.iter().map(|check| check["name"].clone()).collect();
        assert_eq!(names, NAMES);
        let has_failed = list.iter().any(|check| check["status"] == "failed");
        assert_eq!(
            output.status.code(),
            Some(i32::from(has_failed)),
            "{stderr}"
        );
        assert_eq!(
            stderr.contains("of the checks failed"),
            has_failed,
            "{stderr}"
        );
        Checks(list)
    }
}

/// The results.
struct Checks(Vec<Value>);

impl Checks {
    #[track_caller]
    fn of(&self, name: &str) -> &Value {
        let found = self.0.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no check {name}"))
    }

    /// Asserts that this check has this status and says this, and that it names a remedy if and only if it is `warning`
    /// or `failed`.
    #[track_caller]
    fn assert(&self, name: &str, status: &str, what: &str) -> &Self {
        let check = self.of(name);
        assert_eq!(check["status"], status, "{check}");
        let said = check["what"].as_str().expect("text");
        assert!(said.contains(what), "{check}");
        let has_remedy = check["remedy"].is_string();
        assert_eq!(
            has_remedy,
            matches!(status, "warning" | "failed"),
            "{check}"
        );
        self
    }

    /// Asserts that these checks were skipped because of that one.
    #[track_caller]
    fn assert_skipped(&self, names: &[&str], cause: &str) -> &Self {
        for name in names {
            self.assert(name, "skipped", &format!("{cause} failed"));
        }
        self
    }

    /// Asserts that only these checks failed or have a warning.
    #[track_caller]
    fn assert_only(&self, names: &[&str]) -> &Self {
        let poor = self.0.iter().filter(|check| check["remedy"].is_string());
        let poor: Vec<_> = poor.map(|check| check["name"].clone()).collect();
        assert_eq!(json!(poor), json!(names), "{:?}", self.0);
        self
    }
}

#[test]
fn working_configuration_passes_every_check_with_few_calls() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage);
    let checks = online.check();
    checks.assert_only(&[]);
    let ok = checks.0.iter().filter(|check| check["status"] == "ok");
    assert_eq!(ok.count(), 12, "{:?}", checks.0);
    assert_eq!(engage.total_calls(), 8);
    assert_eq!(engage.calls(Endpoint::Overview), 1);
    assert!(engage.unexpected().is_empty());
    assert!(engage.log().iter().all(|call| call.method == "GET"));
}

#[test]
fn text_is_aligned_within_80_columns_and_names_remedies() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__API_KEY", "another-key");
    let output = online.output(&[]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    let lines: Vec<_> = printed.lines().collect();
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{printed}"
    );
    let failed = "failed  engage-key                API key not accepted";
    let at = lines.iter().position(|line| *line == failed);
    let at = at.unwrap_or_else(|| panic!("{printed}"));
    assert!(
        lines[at + 1].starts_with(&format!("{:34}→ give the whole key", "")),
        "{printed}"
    );
    let none = "skipped redis-*                   redis.url is unset: replicas share nothing";
    assert!(lines.contains(&none), "{printed}");
    assert!(!printed.contains("another-key"), "{printed}");
    let summary = lines.last().expect("a summary");
    assert!(
        summary.ends_with(" ok, 0 warning, 1 failed, 23 skipped"),
        "{summary}"
    );
}

#[test]
fn operations_guide_lists_every_check() {
    let guide = include_str!("../../docs/OPERATIONS.md");
    for name in NAMES {
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
}
