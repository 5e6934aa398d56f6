//! Memory stays bounded, and a flood of one kind takes no room from another.

use bytesize::ByteSize;
use engage_simulator::people::ALVA;
use serde_json::json;

use crate::harness::TestApp;

/// So much text that packing it saves little.
fn note(number: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| rng.alphanumeric())
        .take(8000)
        .collect()
}

#[tokio::test]
async fn a_flood_of_unknown_emails_evicts_no_customer() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let known = app.engage.contact_ids();
    let known: Vec<_> = known.iter().take(20).collect();
    for id in &known {
        app.get(&format!("contactId={id}")).await.assert_ok();
    }
    for number in 0..2000 {
        let query = format!("email=nobody-{number}@example.com");
        app.get(&query).await.assert_problem(404, "ContactNotFound");
    }
    let calls = app.engage.total_calls();
    for id in &known {
        app.get(&format!("contactId={id}"))
            .await
            .assert_ok()
            .assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
    let counts = app.customers.counts();
    assert!(counts.negatives < 1000, "{counts:?}");
}

#[tokio::test]
async fn more_customers_than_fit_keep_the_cache_within_its_size() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    for number in 0..400 {
        let attributes = json!({
            "email": format!("customer-{number}@example.com"),
            "note": note(number),
        });
        let id = app.engage.create(attributes, "Member");
        let answer = app.get(&format!("contactId={id}&parts=none")).await;
        answer.assert_ok();
    }
    let counts = app.customers.counts();
    assert!(counts.record_bytes <= 1 << 20, "{counts:?}");
    assert!((10..200).contains(&counts.records), "{counts:?}");
}

#[tokio::test]
async fn who_is_asked_for_often_stays_while_others_are_asked_for_once() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let often = format!("contactId={}&parts=none", ALVA.id);
    app.get(&often).await.assert_ok();
    for number in 0..300 {
        let attributes = json!({
            "email": format!("customer-{number}@example.com"),
            "note": note(number),
        });
        let id = app.engage.create(attributes, "Member");
        app.get(&format!("contactId={id}&parts=none"))
            .await
            .assert_ok();
        app.get(&often).await.assert_hit();
    }
}
