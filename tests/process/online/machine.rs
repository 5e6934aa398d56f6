//! Open files, memory, webhooks.

use super::Online;
use crate::harness::{Engage, MINIMAL, path, run, temp_file, text};

#[test]
fn few_descriptors_warn_and_too_few_fail() {
    let server = Engage::start();
    let engage = &server.simulator;
    let few = Online::new(engage).limited(300).check();
    few.assert("open-files", "warning", "server.max_connections is 108");
    few.assert_only(&["open-files"]);
    let too_few = Online::new(engage).limited(200).check();
    too_few.assert("open-files", "failed", "does not start");
    too_few.assert_only(&["open-files"]);
}

#[test]
fn cache_larger_than_the_memory_fails() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("CACHE__MAX_SIZE", "1TiB");
    let checks = online.check();
    checks.assert("memory", "failed", "up to 1.5 TiB are needed");
    checks.assert_only(&["memory"]);
}

#[test]
fn webhooks_that_reach_one_replica_of_several_warn() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage)
        .with(
            "WEBHOOKS__SECRETS",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        )
        .with("ENGAGE__REPLICAS", "2");
    let checks = online.check();
    checks.assert("webhooks", "warning", "one of 2 replicas");
    checks.assert_only(&["webhooks"]);
}

#[test]
fn connections_beyond_the_open_files_limit_warn_without_online_too() {
    let file = temp_file(MINIMAL);
    let mut command = std::process::Command::new("prlimit");
    command.args(["--nofile=300:300", "--", crate::harness::BINARY]);
    command.args(["check-config", "--config", path(&file)]);
    let output = command.env_clear().output().expect("prlimit runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let warning = text(&output.stderr);
    assert!(
        warning.contains("warning: server.max_connections: is more than"),
        "{warning}"
    );
    let roomy = run(
        &["check-config", "--config", path(&file)],
        &[("BFF_SERVER__MAX_CONNECTIONS", "50")],
    );
    assert_eq!(text(&roomy.stderr), "");
}
