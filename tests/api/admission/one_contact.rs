//! Failures of any kind for one contact refuse no other contact.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::json;

use super::{broken, fail_about, ids, metric, of, state};
use crate::{
    faults::busy,
    harness::{TestApp, let_requests_arrive, wait_until},
};

const SECOND: Duration = Duration::from_secs(1);
const OPENINGS: &str = "engage_bff_engage_breaker_openings_total{group=\"overview\"}";

/// Faults with which a call for one contact fails immediately, without a timeout.
fn faults() -> Vec<Fault> {
    let unreadable = json!({"id": ALVA.id, "attributes": null}).to_string();
    vec![
        broken(),
        Fault::Status(503, json!("An error has occurred.")),
        Fault::Status(403, json!("Forbidden")),
        Fault::Body(unreadable),
        Fault::TruncatedJson,
        Fault::ResetBeforeBody,
        Fault::ResetMidBody,
        Fault::HtmlOk200,
        Fault::Raw(busy("1").into()),
    ]
}

#[tokio::test]
async fn repeated_failures_of_one_contact_open_no_breaker() {
    for fault in faults() {
        let app = TestApp::spawn().await;
        // A failed call may be retried a little later.
        let _clock = app.run_clock();
        let ids = ids(&app);
        let by_email = format!("email={}&parts=none", ALVA.email);
        for query in [of(ALVA.id), by_email] {
            for _ in 0..20 {
                app.engage.fault(Endpoint::Overview, fault.clone());
                assert_ne!(app.get(&query).await.status, 200, "{fault:?}");
                app.engage.clear_faults();
                app.advance(SECOND / 4);
            }
            app.advance(10 * SECOND);
        }
        for id in &ids {
            app.get(&of(id)).await.assert_ok();
        }
        assert!(metric(&app, OPENINGS).await < 0.1, "{fault:?}");
    }
}

#[tokio::test]
async fn hanging_calls_for_one_contact_open_no_breaker() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    for _ in 0..25 {
        app.engage.fault_times(Endpoint::Overview, Fault::Hang, 1);
        let pending = app.spawn_get(&of(ALVA.id));
        wait_until(|| app.engage.in_flight() == 1).await;
        // Slow after five seconds, timed out after ten.
        for _ in 0..4 {
            app.advance(5 * SECOND / 2);
            let_requests_arrive().await;
        }
        assert_ne!(pending.await.expect("an answer").status, 200);
        wait_until(|| app.engage.in_flight() == 0).await;
    }
    for id in &ids {
        app.get(&of(id)).await.assert_ok();
    }
    assert!(metric(&app, OPENINGS).await < 0.1);
}

#[tokio::test]
async fn one_failing_contact_does_not_keep_the_breaker_open() {
    for fault in faults() {
        let app = TestApp::spawn().await;
        // A failed call may be retried a little later.
        let _clock = app.run_clock();
        let ids = ids(&app);
        fail_about(&app, broken(), &ids[..19]).await;
        fail_about(&app, broken(), &[ALVA.id.to_owned()]).await;
        assert_eq!(state(&app).await, "open");
        // From now on only that contact fails, and it is always requested first.
        for _ in 0..4 {
            app.advance(5 * SECOND);
            app.engage.fault(Endpoint::Overview, fault.clone());
            assert_ne!(app.get(&of(ALVA.id)).await.status, 200, "{fault:?}");
            app.engage.clear_faults();
            app.advance(SECOND / 2);
            app.get(&of(&ids[20])).await;
        }
        for id in &ids[20..] {
            app.get(&of(id)).await.assert_ok();
        }
        assert_eq!(state(&app).await, "closed", "{fault:?}");
    }
}
