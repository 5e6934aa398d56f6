//! Unusual tokens: without a key id, too large, and for an e-mail address that Engage shows differently.

use engage_simulator::fixtures::ALVA;
use serde_json::json;

use super::{claims, get, of_alva, spawn};
use crate::{
    harness::{events, logs, percent_encoded},
    issuer::Issuer,
};

#[tokio::test]
async fn shopper_whose_email_differs_in_engage_is_a_mismatch() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", ALVA.email);
    let token = issuer.sign(&claims(
        json!({"email": ALVA.email, "email_verified": true}),
    ));
    let by_email = format!("/customer?email={}", percent_encoded(ALVA.email));
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
            app.customers
                .purge_everything()
                .await
                .expect("there is no shared tier");
            let answer = get(&app, &token, target).await;
            assert_eq!(answer.status, 502, "{value}");
            answer.assert_problem(502, "IdentityMismatch");
        }
    }
    app.engage
        .contact(ALVA.id)
        .email("Alva <alva.testsson@example.com>");
    // The mismatch has a back-off, which the purge ends.
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    let answer = get(&app, &token, "/customer/me").await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
}

#[tokio::test]
async fn token_without_a_key_id_is_tried_with_up_to_four_keys() {
    let issuers: Vec<Issuer> = (0..5).map(|_| Issuer::new()).collect();
    let published: Vec<&Issuer> = issuers.iter().collect();
    issuers[0].publish_with(&published);
    let app = spawn(&issuers[0]).await;
    let without_key_id = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    for issuer in &issuers[..4] {
        get(&app, &without_key_id(issuer), "/customer/me")
            .await
            .assert_ok();
    }
    // At most four keys are tried, and the unpublished key is none of them.
    for issuer in [&issuers[4], &Issuer::new()] {
        get(&app, &without_key_id(issuer), "/customer/me")
            .await
            .assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn oversized_token_is_401_and_logged() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let mut claims = of_alva();
    claims["groups"] = json!("x".repeat(9000));
    get(&app, &issuer.sign(&claims), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    let refused = events("token refused");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["why"], "too_large");
    assert!(!logs().contains("eyJ"));
}
