//! Callers' rights: keys, scopes, identifier kinds, rates, and the refusals.

use std::time::Duration;

use engage_bff::{
    config::{self, Config, Scope},
    domain::IdentifierKind,
};
use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::json;

use crate::harness::{Answer, READER, SHOP, TILL, TestApp, logs};

fn alva() -> String {
    format!("email={}", ALVA.email)
}

fn client<'a>(config: &'a mut Config, id: &str) -> &'a mut config::ClientConfig {
    let clients = &mut config.auth.clients;
    let found = clients.iter_mut().find(|client| client.id == id);
    found.expect("a client of the harness")
}

#[tokio::test]
async fn request_without_a_valid_credential_is_a_uniform_401() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    let calls = app.engage.total_calls();
    let target = format!("/customer?{}", alva());
    let wrong_keys = [
        "",
        " ",
        "wrong",
        "test-till-ke",
        "test-till-key ,test-till-key",
        "TEST-TILL-KEY",
        "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11",
        "k\u{e9}y",
    ];
    let mut answers = vec![Answer::of(app.request(&target)).await];
    for key in wrong_keys {
        answers.push(Answer::of(app.request(&target).header("x-api-key", key)).await);
    }
    // An `Authorization` field without a valid token is refused, even together with a valid key.
    for authorization in ["Bearer abc", "Basic dGlsbDp0aWxs", ""] {
        let request = app.customer(TILL, &alva());
        answers.push(Answer::of(request.header("authorization", authorization)).await);
    }
    // A key in the query is no credential either.
    answers.push(Answer::of(app.request(&format!("{target}&x-api-key={TILL}"))).await);
    for answer in &answers {
        answer.assert_problem(401, "Unauthorized");
        assert!(!answer.header("www-authenticate").is_empty());
        assert_eq!(answer.at("/detail"), answers[0].at("/detail"));
        assert_eq!(answer.header("cache-status"), "");
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn missing_credential_is_refused_before_parameters_are_read() {
    let app = TestApp::spawn().await;
    for target in ["/customer", "/customer?bogus=1", "/customer?email=%zz"] {
        Answer::of(app.request(target))
            .await
            .assert_problem(401, "Unauthorized");
    }
    let body = app.post("wrong").body("not JSON");
    Answer::of(body).await.assert_problem(401, "Unauthorized");
}

#[tokio::test]
async fn every_key_of_a_client_has_its_scopes() {
    let app = TestApp::with(|config| {
        let old = client(config, "reader").key_sha256.clone();
        config.auth.clients.retain(|client| client.id != "reader");
        client(config, "shop").key_sha256.extend(old);
    })
    .await;
    for key in [SHOP, READER] {
        // Only the shop's scopes allow this.
        app.get_as(key, &format!("{}&fresh=points", alva()))
            .await
            .assert_ok();
    }
}

#[tokio::test]
async fn client_without_the_read_scope_gets_403() {
    let app =
        TestApp::with_unchecked(|config| client(config, "shop").scopes = vec![Scope::Fresh]).await;
    for query in [alva(), format!("{}&fresh=points", alva()), String::new()] {
        app.get_as(SHOP, &query)
            .await
            .assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn fresh_requires_the_fresh_scope() {
    let app = TestApp::spawn().await;
    for fresh in ["points", "profile", "all", "points,vouchers"] {
        app.get_as(READER, &format!("{}&fresh={fresh}", alva()))
            .await
            .assert_problem(403, "Forbidden");
    }
    let body = json!({"email": ALVA.email, "fresh": ["points"]});
    app.lookup_as(READER, body)
        .await
        .assert_problem(403, "Forbidden");
    assert_eq!(app.engage.total_calls(), 0);
    let none = json!({"email": ALVA.email, "fresh": []});
    app.lookup_as(READER, none).await.assert_ok();
    app.get_as(SHOP, &format!("{}&fresh=points", alva()))
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
}

#[tokio::test]
async fn full_view_requires_the_full_scope() {
    let app = TestApp::spawn().await;
    for key in [SHOP, READER] {
        app.get_as(key, &format!("{}&view=full", alva()))
            .await
            .assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
    let till = app.get(&alva()).await;
    assert_eq!(till.at("/profile/attributes/shoeSize"), 39);
    let reader = app.get_as(READER, &alva()).await;
    assert_eq!(reader.at("/profile/attributes"), json!({}));
    let narrowed = app.get(&format!("{}&view=storefront", alva())).await;
    assert_eq!(narrowed.at("/profile/attributes"), json!({}));
}

#[tokio::test]
async fn configured_default_view_still_requires_its_scope() {
    let app =
        TestApp::with_unchecked(|config| client(config, "reader").view = config::ClientView::Full)
            .await;
    app.get_as(READER, &alva())
        .await
        .assert_problem(403, "Forbidden");
    app.get_as(READER, &format!("{}&view=storefront", alva()))
        .await
        .assert_ok();
}

#[tokio::test]
async fn identifier_kinds_not_allowed_to_the_client_are_403() {
    let app = TestApp::spawn().await;
    let forbidden = [
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"socialSecurityNumber": "nonsense"}),
        json!({"any": ALVA.email}),
        json!({"any": ALVA.national_id}),
    ];
    for body in forbidden {
        app.lookup_as(SHOP, body)
            .await
            .assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
    let allowed = [
        json!({"contactId": ALVA.id}),
        json!({"email": ALVA.email}),
        json!({"mobilePhone": ALVA.phone}),
        json!({"customKey": ALVA.member_number}),
    ];
    for body in allowed {
        app.lookup_as(SHOP, body).await.assert_ok();
    }
    let app = TestApp::with(|config| {
        client(config, "shop").identifiers = vec![IdentifierKind::SocialSecurityNumber];
    })
    .await;
    app.lookup_as(SHOP, json!({"socialSecurityNumber": ALVA.national_id}))
        .await
        .assert_ok();
    // The contact is cached for another client, and still forbidden to this one.
    app.get(&alva()).await.assert_ok();
    app.get_as(SHOP, &alva())
        .await
        .assert_problem(403, "Forbidden");
}

#[tokio::test]
async fn client_above_its_rate_gets_429_with_retry_after() {
    let app = TestApp::with(|config| client(config, "reader").requests_per_second = Some(2)).await;
    for _ in 0..2 {
        app.get_as(READER, &alva()).await.assert_ok();
    }
    let calls = app.engage.total_calls();
    for query in [alva(), "email=new%40example.com".to_owned()] {
        let refused = app.get_as(READER, &query).await;
        refused.assert_problem(429, "RateLimited");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(app.engage.total_calls(), calls);
    // Other clients are not affected.
    app.get_as(SHOP, &alva()).await.assert_ok();
    app.advance(Duration::from_millis(500));
    app.get_as(READER, &alva()).await.assert_ok();
    app.get_as(READER, &alva())
        .await
        .assert_problem(429, "RateLimited");
    app.advance(Duration::from_secs(3600));
    for status in [200, 200, 429] {
        assert_eq!(app.get_as(READER, &alva()).await.status, status);
    }
}

#[tokio::test]
async fn all_keys_of_a_client_share_one_rate() {
    let app = TestApp::with(|config| {
        let second = client(config, "reader").key_sha256.clone();
        config.auth.clients.retain(|client| client.id != "reader");
        let shop = client(config, "shop");
        shop.key_sha256.extend(second);
        shop.requests_per_second = Some(1);
    })
    .await;
    app.get_as(SHOP, &alva()).await.assert_ok();
    app.get_as(READER, &alva())
        .await
        .assert_problem(429, "RateLimited");
}

#[tokio::test]
async fn anonymous_callers_are_served_if_configured() {
    let app = TestApp::with(|config| {
        config.auth.clients.clear();
        config.auth.allow_anonymous = true;
    })
    .await;
    let target = format!("/customer?{}", alva());
    let answer = Answer::of(app.request(&target)).await;
    assert_eq!(answer.assert_ok().at("/profile/attributes"), json!({}));
    // A credential that is sent must be valid.
    for (name, value) in [("x-api-key", "wrong"), ("authorization", "Bearer x")] {
        Answer::of(app.request(&target).header(name, value))
            .await
            .assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn cache_directives_count_only_with_the_fresh_scope() {
    let app = TestApp::spawn().await;
    let get_with = async |key: &str, directive: &str| {
        Answer::of(
            app.customer(key, &alva())
                .header("cache-control", directive),
        )
        .await
    };
    get_with(READER, "only-if-cached")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.advance(Duration::from_secs(10));
    let calls = app.engage.total_calls();
    for directive in ["no-cache", "max-age=0", "no-cache, max-age=0", "no-store"] {
        get_with(READER, directive).await.assert_ok().assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
    get_with(SHOP, "max-age=30").await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
    get_with(SHOP, "max-age=5")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert!(app.engage.total_calls() > calls);
    let entity_calls = app.engage.calls(Endpoint::Contact);
    get_with(SHOP, "no-cache")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(app.engage.calls(Endpoint::Contact), entity_calls + 1);
    get_with(SHOP, "only-if-cached")
        .await
        .assert_ok()
        .assert_hit();
}

#[tokio::test]
async fn stale_if_error_0_counts_only_with_the_fresh_scope() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(Duration::from_secs(600));
    app.engage
        .fault(Endpoint::All, engage_simulator::Fault::Html502);
    let get_as = async |key: &str| {
        let request = app.customer(key, &alva());
        Answer::of(request.header("cache-control", "stale-if-error=0")).await
    };
    let stale = get_as(READER).await;
    stale.assert_ok();
    assert!(
        stale
            .header("cache-status")
            .ends_with("; detail=stale-if-error")
    );
    get_as(SHOP).await.assert_problem(502, "UpstreamFailed");
}

#[tokio::test]
async fn promotions_are_filtered_by_the_clients_or_requested_channel() {
    let app = TestApp::spawn().await;
    let count = async |key: &str, more: &str| {
        let answer = app.get_as(key, &format!("{}{more}", alva())).await;
        let promotions = answer.at("/promotions");
        promotions.as_array().map(Vec::len)
    };
    assert_eq!(count(TILL, "").await, Some(3));
    assert_eq!(count(SHOP, "").await, Some(2));
    assert_eq!(count(SHOP, "&channel=POS").await, Some(1));
    assert_eq!(count(READER, "&channel=OTHER").await, Some(1));
}

#[tokio::test]
async fn client_above_unknown_per_minute_is_served_from_the_cache_only() {
    let app = TestApp::with(|config| client(config, "shop").unknown_per_minute = Some(3)).await;
    let known = format!("contactId={}&parts=none", ALVA.id);
    app.get_as(SHOP, &known).await.assert_ok();
    let unknown = |number: usize| format!("email=unknown{number}%40example.com&parts=none");
    for number in [0, 1, 0, 1, 2] {
        let answer = app.get_as(SHOP, &unknown(number)).await;
        answer.assert_problem(404, "ContactNotFound");
    }
    let calls = app.engage.total_calls();
    for query in [unknown(3), format!("contactId={}", BO.id)] {
        let refused = app.get_as(SHOP, &query).await;
        refused.assert_problem(429, "RateLimited");
        assert_eq!(refused.header("retry-after"), "60");
    }
    // Cached contacts and cached negatives are served to this client, everything to others.
    app.get_as(SHOP, &known).await.assert_ok();
    app.get_as(SHOP, &unknown(2))
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), calls);
    app.get_as(READER, &unknown(3))
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(logs().matches("enumeration guard tripped").count(), 1);
    assert!(!logs().contains("unknown3"), "{}", logs());
    app.advance(Duration::from_secs(60));
    app.get_as(SHOP, &format!("contactId={}", BO.id))
        .await
        .assert_ok();
}

#[tokio::test]
async fn client_above_max_concurrency_gets_429_and_others_are_served() {
    let app = TestApp::with(|config| client(config, "till").max_concurrency = Some(2)).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&format!("contactId={}", ALVA.id));
    let second = app.spawn_get(&format!("contactId={}", BO.id));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let refused = app.get("email=cim.testsson%40example.com").await;
    refused.assert_problem(429, "RateLimited");
    assert_eq!(refused.header("retry-after"), "1");
    let other = app.spawn_get_as(SHOP, &format!("contactId={}", CIM.id));
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    hold.release();
    other.await.expect("an answer").assert_ok();
    first.await.expect("an answer").assert_ok();
    second.await.expect("an answer").assert_ok();
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
}
