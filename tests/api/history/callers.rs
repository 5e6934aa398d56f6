//! Which callers get a history: staff with the full view, and shoppers their own.

use engage_bff::config::ClientView;
use engage_simulator::fixtures::{ALVA, BO, CIM};
use http::header::AUTHORIZATION;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{EACH, PURCHASES, REDEEMED, TRANSACTIONS, alva, app};
use crate::{
    harness::{Answer, READER, SHOP, TILL, logs},
    issuer::Issuer,
    tokens::{claims, of_alva, with_config},
};

const ALL: &str = "pointTransactions,redeemedVouchers,purchases";

fn with_token(request: RequestBuilder, token: &str) -> RequestBuilder {
    request.header(AUTHORIZATION, format!("Bearer {token}"))
}

#[tokio::test]
async fn client_without_the_full_scope_is_refused_before_any_call() {
    let app = app().await;
    for key in [SHOP, READER] {
        for (part, _) in EACH {
            for query in [alva(part), format!("email={}&parts={part}", BO.email)] {
                let answer = app.get_as(key, &query).await;
                answer.assert_problem(403, "Forbidden");
            }
            let body = json!({"contactId": ALVA.id, "parts": [part], "view": "storefront"});
            let answer = app.lookup_as(key, body).await;
            answer.assert_problem(403, "Forbidden");
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
    assert_eq!(app.fast_path_total(), 0);
}

#[tokio::test]
async fn client_with_the_scope_gets_history_in_the_full_view_only() {
    let app = app().await;
    let answer = app
        .get(&format!("{}&view=storefront", alva(PURCHASES)))
        .await;
    answer.assert_problem(400, "InvalidParameter");
    let detail = answer.at("/detail").as_str().map(str::to_owned);
    assert!(detail.is_some_and(|detail| detail.contains("view full")));
    assert_eq!(app.engage.total_calls(), 0);
    app.get(&format!("{}&view=full", alva(PURCHASES)))
        .await
        .assert_ok();
}

#[tokio::test]
async fn shopper_gets_its_own_history_and_nothing_else_changes() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    for target in [
        format!("/customer/me?parts={ALL}&limit=2"),
        format!("/customer?contactId={}&parts={ALL}&limit=2", ALVA.id),
    ] {
        for key in [None, Some(SHOP), Some(TILL)] {
            let mut request = with_token(app.request(&target), &token);
            if let Some(key) = key {
                request = request.header("x-api-key", key);
            }
            let answer = Answer::of(request).await;
            assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
            let items = answer.at("/pointTransactions/items");
            assert_eq!(items.as_array().map(Vec::len), Some(2));
            assert_eq!(answer.at("/redeemedVouchers/items/0/points"), json!(2000));
            assert_eq!(answer.at("/purchases/all/articles"), json!(3));
            assert_eq!(answer.header("cache-status"), "");
            // The view is still the storefront's.
            assert_eq!(answer.at("/profile/attributes"), json!({}));
        }
    }
}

#[tokio::test]
async fn history_of_another_contact_is_the_404_of_an_unknown_one() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    for parts in [TRANSACTIONS, REDEEMED, PURCHASES, ALL] {
        for who in [
            format!("contactId={}", BO.id),
            format!("email={}", BO.email),
        ] {
            let target = format!("/customer?{who}&parts={parts}");
            let answer = Answer::of(with_token(app.request(&target), &token)).await;
            answer.assert_problem(404, "ContactNotFound");
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
    // The e-mail address belongs to another contact than the token's contact id: no call is made for a history.
    let both = json!({"contactId": BO.id, "email": ALVA.email, "email_verified": true});
    let token = issuer.sign(&claims(both));
    let target = format!("/customer?email={}&parts={ALL}", ALVA.email);
    let answer = Answer::of(with_token(app.request(&target), &token)).await;
    answer.assert_problem(404, "ContactNotFound");
    for (part, endpoint) in EACH {
        assert_eq!(app.engage.calls(endpoint), 0, "{part}");
    }
}

#[tokio::test]
async fn protected_contact_has_a_history() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    app.engage
        .contact(CIM.id)
        .points("5")
        .purchases(json!({"purchaseAmountAll": 10.50}));
    let token = issuer.sign(&claims(json!({"contactId": CIM.id})));
    let target = format!("/customer/me?parts={ALL}");
    let answer = Answer::of(with_token(app.request(&target), &token)).await;
    assert_eq!(
        answer.assert_ok().at("/pointTransactions/items/0/amount"),
        json!(5)
    );
    assert!(
        answer.text().contains(r#""amount":10.50"#) || answer.text().contains(r#""amount":10.5"#)
    );
    for hidden in ["/profile/email", "/profile/address", "/contactability"] {
        assert_eq!(answer.at(hidden), Value::Null, "{hidden}");
    }
}

#[tokio::test]
async fn request_for_history_is_audited_and_leaves_no_data_in_logs() {
    let app = app().await;
    let before = logs().matches("full view requested").count();
    app.get(&alva(ALL)).await.assert_ok();
    app.get(&alva(ALL)).await.assert_hit();
    let logs = logs();
    assert_eq!(logs.matches("full view requested").count(), before + 2);
    for personal in ["Receipt 4712", "2511000000031", "1842.5", ALVA.id] {
        assert!(!logs.contains(personal), "{personal}");
    }
}

#[tokio::test]
async fn fast_path_leaves_history_to_the_regular_path() {
    let app = crate::harness::TestApp::with(|config| {
        for client in &mut config.auth.clients {
            client.view = ClientView::Storefront;
        }
    })
    .await;
    app.get_as(TILL, &alva("none")).await.assert_ok();
    app.get_as(TILL, &alva("none")).await.assert_hit();
    let served = app.fast_path_total();
    assert!(served > 0);
    let query = format!("{}&view=full", alva(PURCHASES));
    app.get_as(TILL, &query).await.assert_ok();
    app.get_as(TILL, &query).await.assert_hit();
    assert_eq!(app.fast_path_total(), served);
}
