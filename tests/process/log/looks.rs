//! The pretty format of the log.

use std::{fs::File, process::Command};

use tempfile::NamedTempFile;

use crate::harness::{BINARY, MINIMAL, path, temp_file};

const ESCAPE: char = '\u{1b}';

/// The output of a start that logs an event and fails, run by a shell line in which `$SERVE` is the command.
fn written(line: &str, no_color: bool) -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = temp_file(MINIMAL);
    let output = NamedTempFile::new().expect("a writable directory");
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SERVE", format!("{BINARY} serve --config {}", path(&file)))
        .env("BFF_SERVER__LISTEN", &address)
        .env("BFF_ENGAGE__REPLICAS", "2")
        .env(
            "BFF_WEBHOOKS__SECRETS",
            "whsec_VGhlIHNlY3JldCBvZiB0aGlzIHRlc3Qu",
        )
        .env("BFF_TELEMETRY__LOG_FORMAT", "pretty")
        .stdout(File::create(output.path()).expect("a file"));
    if no_color {
        command.env("NO_COLOR", "1");
    }
    command.status().expect("it runs");
    let text = std::fs::read_to_string(output.path()).expect("text");
    assert!(text.contains("questionable setting"), "{text}");
    text
}

#[test]
fn pretty_log_has_colours_on_a_terminal_only_and_honours_no_color() {
    let in_file = written("exec $SERVE", false);
    assert!(!in_file.contains(ESCAPE), "{in_file:?}");
    // `script` runs it on a terminal and copies the output.
    let on_terminal = "exec script -qec \"$SERVE\" /dev/null";
    let shown = written(on_terminal, false);
    assert!(shown.contains(ESCAPE), "{shown:?}");
    let plain = written(on_terminal, true);
    assert!(!plain.contains(ESCAPE), "{plain:?}");
}
