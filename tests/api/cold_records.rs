//! Cold records lose their rendered responses. Callers get the same responses as before.

use engage_bff::domain::{Part, PartSet};
use engage_simulator::fixtures::{ALL_CONTACTS, ALVA, BO, CIM, DORA};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{SHOP, TILL, TestApp, id},
    operators::operate,
};

/// Two rounds of maintenance: after the first, no record counts as read.
fn cool(app: &TestApp) {
    app.customers.maintain();
    app.customers.maintain();
}

fn bytes(app: &TestApp) -> u64 {
    app.customers.counts().record_bytes
}

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

#[tokio::test]
async fn cold_record_is_served_byte_for_byte_without_a_call() {
    let app = TestApp::spawn().await;
    let mut requests = Vec::new();
    for person in ALL_CONTACTS {
        for (key, more) in [
            (TILL, ""),
            (TILL, "&channel=POS"),
            (SHOP, ""),
            (SHOP, "&parts=points"),
        ] {
            let query = format!("contactId={}{more}", person.id);
            app.get_as(key, &query).await.assert_ok();
            requests.push((key, query));
        }
    }
    let mut before = Vec::new();
    for (key, query) in &requests {
        before.push(app.get_as(key, query).await);
    }
    let (warm, calls) = (bytes(&app), app.engage.total_calls());
    cool(&app);
    assert!(bytes(&app) * 3 < warm, "{} of {warm}", bytes(&app));
    for ((key, query), before) in requests.iter().zip(before) {
        // Each is the first request after the sweeps.
        cool(&app);
        let after = app.get_as(key, query).await;
        after.assert_hit();
        assert_eq!(after.body, before.body, "{query}");
        assert_eq!(after.header("etag"), before.header("etag"), "{query}");
        assert_eq!(app.get_as(key, query).await.body, before.body, "{query}");
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn invalidation_reaches_a_cold_record() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    for (part, points) in [(Part::Points, 742.25), (Part::Profile, 743.5)] {
        cool(&app);
        app.engage
            .contact(ALVA.id)
            .points(&points.to_string())
            .attribute("firstName", json!("Alvina"));
        app.customers
            .invalidate(id(ALVA.id), PartSet::from(part))
            .await
            .expect("there is no shared tier");
        let after = app.get(&by_email()).await;
        after.assert_ok();
        // The other part is served as it was cached.
        let (balance, name) = match part {
            Part::Points => (points, "Alva"),
            _ => (742.25, "Alvina"),
        };
        assert_eq!(after.at("/points/balance"), json!(balance));
        assert_eq!(after.at("/profile/firstName"), json!(name));
    }
}

#[tokio::test]
async fn fresh_part_replaces_a_cold_one() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    cool(&app);
    app.engage.contact(ALVA.id).points("742.25");
    let fresh = app.get(&format!("{}&fresh=points", by_email())).await;
    assert_eq!(fresh.at("/points/balance"), json!(742.25));
    cool(&app);
    let after = app.get(&by_email()).await;
    after.assert_hit();
    assert_eq!(after.body, fresh.body);
}

#[tokio::test]
async fn purge_by_identifier_reaches_warm_and_cold_records() {
    let app = TestApp::spawn().await;
    for person in [&ALVA, &BO, &CIM, &DORA] {
        app.get(&format!("contactId={}", person.id))
            .await
            .assert_ok();
    }
    cool(&app);
    app.get(&format!("contactId={}", DORA.id))
        .await
        .assert_hit();
    for (purged, phone) in [ALVA, DORA].iter().map(|person| (person.id, person.phone)) {
        let body = json!({ "mobilePhone": phone }).to_string();
        let purge = operate(&app, Method::POST, "/cache/purge", &body).await;
        assert_eq!(purge.status, 204);
        let after = app.get(&format!("contactId={purged}")).await;
        after.assert_ok();
        after.assert_cache_status("engage-bff; fwd=miss; stored");
        app.customers
            .purge(id(purged))
            .await
            .expect("there is no shared tier");
    }
    assert_eq!(app.customers.counts().records, 2);
}
