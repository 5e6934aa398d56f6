//! The events in the log.

use serde_json::Value;

use super::logs;

/// The logged events with this message.
pub(crate) fn events(message: &str) -> Vec<Value> {
    let log = logs();
    let events = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    events
        .filter(|event: &Value| event["message"] == message)
        .collect()
}

/// The number of logged alarms.
pub(crate) fn alarms() -> usize {
    logs().matches("\"alarm\":true").count()
}
