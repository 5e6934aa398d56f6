//! Tokens that are unusual and good, or good and unusable: without a key's id, too large, about an address that Engage shows
//! otherwise.

use engage_simulator::people::ALVA;
use serde_json::json;

use super::{claims, get, of_alva, spawn};
use crate::{
    harness::{escaped, logs},
    issuer::Issuer,
};

#[tokio::test]
async fn a_shopper_whose_address_engage_shows_otherwise_is_not_shown() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", ALVA.email);
    let token = issuer.sign(&claims(
        json!({"email": ALVA.email, "email_verified": true}),
    ));
    let by_email = format!("/customer?email={}", escaped(ALVA.email));
    for value in [
        json!("andré.person@example.com"),
        json!("alva.tests\u{ad}son@example.com"),
        json!("other@example.com"),
        json!({"address": ALVA.email}),
    ] {
        app.engage
            .contact(ALVA.id)
            .attribute("email", value.clone());
        for target in ["/customer/me", &by_email] {
            app.customers.purge_everything().await;
            let answer = get(&app, &token, target).await;
            assert_eq!(answer.status, 502, "{value}");
            answer.assert_problem(502, "IdentityMismatch");
        }
    }
    app.engage
        .contact(ALVA.id)
        .email("Alva <alva.testsson@example.com>");
    // The mismatch is remembered for a while.
    app.customers.purge_everything().await;
    let answer = get(&app, &token, "/customer/me").await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_tried_with_those_that_suit() {
    let issuers: Vec<Issuer> = (0..5).map(|_| Issuer::new()).collect();
    let published: Vec<&Issuer> = issuers.iter().collect();
    issuers[0].publish_with(&published);
    let app = spawn(&issuers[0]).await;
    let nameless = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    for issuer in &issuers[..4] {
        get(&app, &nameless(issuer), "/customer/me")
            .await
            .assert_ok();
    }
    // Not more than four are tried, and a stranger's is none of them.
    for issuer in [&issuers[4], &Issuer::new()] {
        get(&app, &nameless(issuer), "/customer/me")
            .await
            .assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn a_token_that_is_too_large_is_a_401_and_said_so_in_the_log() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let mut claims = of_alva();
    claims["groups"] = json!("x".repeat(9000));
    get(&app, &issuer.sign(&claims), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    let log = logs();
    let event = log.lines().find(|line| line.contains("token too large"));
    let event = event.expect("an event");
    assert!(event.contains("8192") && !event.contains("eyJ"), "{event}");
}
