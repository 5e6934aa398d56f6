//! Who is not asked for takes less room: what is held is packed, and nobody can tell from any answer.

use engage_bff::domain::{Part, PartSet};
use engage_simulator::fixtures::{ALL_CONTACTS, ALVA, BO, CIM, DORA};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{SHOP, TILL, TestApp, id},
    operators::operate,
};

/// Looks after the cache until nobody has been asked for since it last did.
fn pack(app: &TestApp) {
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
async fn what_was_packed_is_told_word_for_word_and_costs_no_call() {
    let app = TestApp::spawn().await;
    let mut asked = Vec::new();
    for person in ALL_CONTACTS {
        for (key, more) in [
            (TILL, ""),
            (TILL, "&channel=POS"),
            (SHOP, ""),
            (SHOP, "&parts=points"),
        ] {
            let query = format!("contactId={}{more}", person.id);
            app.get_as(key, &query).await.assert_ok();
            asked.push((key, query));
        }
    }
    let mut before = Vec::new();
    for (key, query) in &asked {
        before.push(app.get_as(key, query).await);
    }
    let (ready, calls) = (bytes(&app), app.engage.total_calls());
    pack(&app);
    assert!(bytes(&app) * 3 < ready, "{} of {ready}", bytes(&app));
    for ((key, query), before) in asked.iter().zip(before) {
        // Each the first that is asked for after it was packed.
        pack(&app);
        let after = app.get_as(key, query).await;
        after.assert_hit();
        assert_eq!(after.body, before.body, "{query}");
        assert_eq!(after.header("etag"), before.header("etag"), "{query}");
        assert_eq!(app.get_as(key, query).await.body, before.body, "{query}");
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn a_change_reaches_what_is_packed() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    for (part, points) in [(Part::Points, 742.25), (Part::Profile, 743.5)] {
        pack(&app);
        app.engage
            .contact(ALVA.id)
            .points(&points.to_string())
            .attribute("firstName", json!("Alvina"));
        app.customers
            .invalidate(id(ALVA.id), PartSet::from(part))
            .await;
        let after = app.get(&by_email()).await;
        after.assert_ok();
        // What was not told of is told as it was held.
        let (balance, name) = match part {
            Part::Points => (points, "Alva"),
            _ => (742.25, "Alvina"),
        };
        assert_eq!(after.at("/points/balance"), json!(balance));
        assert_eq!(after.at("/profile/firstName"), json!(name));
    }
}

#[tokio::test]
async fn what_is_told_afresh_takes_the_place_of_what_is_packed() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    pack(&app);
    app.engage.contact(ALVA.id).points("742.25");
    let fresh = app.get(&format!("{}&fresh=points", by_email())).await;
    assert_eq!(fresh.at("/points/balance"), json!(742.25));
    pack(&app);
    let after = app.get(&by_email()).await;
    after.assert_hit();
    assert_eq!(after.body, fresh.body);
}

#[tokio::test]
async fn whoever_bears_an_identifier_is_purged_packed_or_not() {
    let app = TestApp::spawn().await;
    for person in [&ALVA, &BO, &CIM, &DORA] {
        app.get(&format!("contactId={}", person.id))
            .await
            .assert_ok();
    }
    pack(&app);
    app.get(&format!("contactId={}", DORA.id))
        .await
        .assert_hit();
    for (gone, phone) in [ALVA, DORA].iter().map(|person| (person.id, person.phone)) {
        let body = json!({ "mobilePhone": phone }).to_string();
        let purged = operate(&app, Method::POST, "/cache/purge", &body).await;
        assert_eq!(purged.status, 204);
        let after = app.get(&format!("contactId={gone}")).await;
        after.assert_ok();
        after.assert_cache_status("engage-bff; fwd=miss; stored");
        app.customers.purge(id(gone)).await;
    }
    assert_eq!(app.customers.counts().records, 2);
}
