//! Failed starts: events that were logged before the failure are written.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{MINIMAL, path, run, temp_file, text};

#[test]
fn failed_start_writes_its_events_and_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = temp_file(MINIMAL);
    let output = run(
        &["serve", "--config", path(&file)],
        &[
            ("BFF_SERVER__LISTEN", "127.0.0.1:0"),
            ("BFF_OPERATIONS__LISTEN", &address),
            ("BFF_ENGAGE__REPLICAS", "2"),
            (
                "BFF_WEBHOOKS__SECRETS",
                "whsec_VGhlIHNlY3JldCBvZiB0aGlzIHRlc3Qu",
            ),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let why = text(&output.stderr);
    assert!(why.starts_with("operations.listen: "), "{why}");
    let log = text(&output.stdout);
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [event] = &events[..] else {
        panic!("not one event: {log}");
    };
    assert_eq!(event["key"], "webhooks.secrets");
}
