//! A long outage: cached contacts are still served.

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{Endpoint, Fault};
use serde_json::json;

use super::{broken, ids};
use crate::harness::{TestApp, id};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn outage_serves_cached_contacts_degraded_except_invalidated_ones() {
    for fault in [broken(), Fault::ResetMidBody, Fault::TruncatedJson] {
        let app = TestApp::spawn().await;
        let ids = ids(&app);
        let (changed, part_changed) = (&ids[20], &ids[21]);
        for id in &ids[..22] {
            app.get(&format!("contactId={id}")).await.assert_ok();
        }
        app.engage.fault(Endpoint::All, fault.clone());
        app.customers
            .invalidate(id(changed), Part::Profile.into())
            .await
            .expect("there is no shared tier");
        app.customers
            .invalidate(id(part_changed), Part::Points.into())
            .await
            .expect("there is no shared tier");
        app.advance(2 * MINUTE);
        for minutes in [2, 30, 55] {
            let calls = app.engage.total_calls();
            for known in &ids[..20] {
                let answer = app.get(&format!("contactId={known}")).await;
                answer.assert_stale_if_error();
                assert_eq!(answer.at("/contactId"), known.as_str());
                assert_eq!(answer.header("age"), (minutes * 60).to_string());
                let parts = ["profile", "promotions", "vouchers", "points"];
                let degraded = answer.at("/degraded");
                for part in parts {
                    let is_listed = degraded.as_array().expect("a list").contains(&json!(part));
                    assert!(is_listed, "{part} in {degraded}");
                    assert!(!answer.at(&format!("/{part}")).is_null(), "{part}");
                }
            }
            let answer = app.get(&format!("contactId={changed}")).await;
            assert!([502, 503].contains(&answer.status), "{}", answer.text());
            let partly = app.get(&format!("contactId={part_changed}")).await;
            assert!(partly.assert_ok().at("/points").is_null());
            assert!(!partly.at("/profile").is_null());
            // Each of the three groups spends at most twenty calls at first, and later a probe.
            let spent = app.engage.total_calls() - calls;
            assert!(spent <= if minutes == 2 { 60 } else { 6 }, "{spent} calls");
            let until_next = if minutes == 2 { 28 } else { 25 };
            app.advance(until_next * MINUTE);
        }
        app.engage.clear_faults();
        for known in &ids[..22] {
            let answer = app.get(&format!("contactId={known}")).await;
            assert_eq!(answer.assert_ok().at("/degraded"), json!([]), "{fault:?}");
        }
    }
}
