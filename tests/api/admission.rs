//! Which call to Engage is made, and when: the queue, the budget, the breakers and the one retry, as
//! callers notice them (P7).

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

/// That contact's profile: one call of the overview where it is not held.
fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

/// Contacts about whom no test knows anything special.
fn ids(app: &TestApp) -> Vec<String> {
    app.engage.contact_ids().split_off(5)
}

fn broken() -> Fault {
    Fault::Status(500, json!("An error has occurred."))
}

/// Lets that many look-ups fail, one after the other, each by an identifier of its own: what failed is not asked for again
/// at once.
async fn fail(app: &TestApp, fault: Fault, times: usize) {
    static FAILED: AtomicUsize = AtomicUsize::new(0);
    app.engage
        .fault_times(Endpoint::Overview, fault.clone(), times);
    for _ in 0..times {
        let number = FAILED.fetch_add(1, Ordering::Relaxed);
        let query = format!("email=fails{number}@example.com&parts=none");
        assert_ne!(app.get(&query).await.status, 200, "{fault:?}");
    }
}

/// Lets a look-up of each of the contacts fail, one after the other.
async fn fail_about(app: &TestApp, fault: Fault, ids: &[String]) {
    app.engage
        .fault_times(Endpoint::Overview, fault.clone(), ids.len());
    for id in ids {
        assert_ne!(app.get(&of(id)).await.status, 200, "{fault:?}");
    }
}

/// Waits until so many calls wait for their turn.
pub(crate) async fn queued(app: &TestApp, calls: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for _ in 0..5000 {
        if app.operations("/readyz").await.at("/engage/queued") == calls {
            return;
        }
        ticks.tick().await;
    }
    panic!("there never were {calls} in the queue");
}

/// How the breaker of a group stands, as operators see it. Readiness is never lost over it.
async fn breaker(app: &TestApp, group: &str) -> (String, Option<f64>) {
    let ready = app.operations("/readyz").await;
    assert_eq!(ready.assert_ok().at("/ready"), true);
    let breakers = ready.at("/engage/breakers");
    let mut breakers = breakers.as_array().expect("a list").iter();
    let it = breakers.find(|breaker| breaker["group"] == group);
    let it: &Value = it.expect("one for each group");
    let state = it["state"].as_str().expect("a text").to_owned();
    (state, it["refusesForSeconds"].as_f64())
}

async fn state(app: &TestApp) -> String {
    breaker(app, "overview").await.0
}

/// The value of a metric's line; 0 where it was never counted.
async fn metric(app: &TestApp, line: &str) -> f64 {
    let metrics = app.operations("/metrics").await;
    let mut lines = metrics.assert_ok().text().lines();
    let value = lines.find_map(|told| told.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}
