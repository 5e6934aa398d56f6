//! Which upstream calls are made, and when: the queue, the budget, the circuit breakers and the single retry, as
//! callers see them (P7).

mod breaker;
mod fairness;
mod one_contact;
mod outage;
mod queue;
mod retry;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use engage_simulator::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::harness::TestApp;

/// A query for the contact's profile: one overview call if it is not cached.
pub(crate) fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

/// Contacts without special data.
pub(crate) fn ids(app: &TestApp) -> Vec<String> {
    app.engage.contact_ids().split_off(5)
}

pub(crate) fn broken() -> Fault {
    Fault::Status(500, json!("An error has occurred."))
}

/// Makes this many lookups fail in sequence, each by its own identifier, because a failed lookup has a back-off.
pub(crate) async fn fail(app: &TestApp, fault: Fault, times: usize) {
    static FAILED: AtomicUsize = AtomicUsize::new(0);
    app.engage
        .fault_times(Endpoint::Overview, fault.clone(), times);
    for _ in 0..times {
        let number = FAILED.fetch_add(1, Ordering::Relaxed);
        let query = format!("email=fails{number}@example.com&parts=none");
        assert_ne!(app.get(&query).await.status, 200, "{fault:?}");
    }
}

/// Makes one lookup of each contact fail, in sequence.
pub(crate) async fn fail_about(app: &TestApp, fault: Fault, ids: &[String]) {
    app.engage
        .fault_times(Endpoint::Overview, fault.clone(), ids.len());
    for id in ids {
        assert_ne!(app.get(&of(id)).await.status, 200, "{fault:?}");
    }
}

/// Waits until this many calls are queued.
pub(crate) async fn queued(app: &TestApp, calls: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for _ in 0..5000 {
        if app.operations("/readyz").await.at("/engage/queued") == calls {
            return;
        }
        ticks.tick().await;
    }
    panic!("the queue never held {calls} calls");
}

/// State and remaining seconds of a group's breaker, as operators see them. Asserts that the service stays ready.
async fn breaker(app: &TestApp, group: &str) -> (String, Option<f64>) {
    let ready = app.operations("/readyz").await;
    assert_eq!(ready.assert_ok().at("/ready"), true);
    assert_eq!(ready.at("/sharedTier"), Value::Null);
    let breakers = ready.at("/engage/breakers");
    let mut breakers = breakers.as_array().expect("a list").iter();
    let it = breakers.find(|breaker| breaker["group"] == group);
    let it: &Value = it.expect("a breaker for each group");
    let state = it["state"].as_str().expect("a text").to_owned();
    (state, it["refusesForSeconds"].as_f64())
}

async fn state(app: &TestApp) -> String {
    breaker(app, "overview").await.0
}

/// The value of a metric; 0 if it was never counted.
pub(crate) async fn metric(app: &TestApp, line: &str) -> f64 {
    let metrics = app.operations("/metrics").await;
    let mut lines = metrics.assert_ok().text().lines();
    let value = lines.find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}
