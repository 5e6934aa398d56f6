//! Who may ask what: keys, scopes, identifier kinds, rates, and what a caller without a right gets.

use std::time::Duration;

use engage_bff::{
    config::{self, Config, Scope},
    domain::IdentifierKind,
};
use engage_simulator::{
    Endpoint,
    people::{ALVA, BO},
};
use serde_json::json;

use crate::harness::{Answer, READER, SHOP, TILL, TestApp, logs};

fn ask() -> String {
    format!("email={}", ALVA.email)
}

fn client<'a>(config: &'a mut Config, id: &str) -> &'a mut config::Client {
    let clients = &mut config.auth.clients;
    let found = clients.iter_mut().find(|client| client.id == id);
    found.expect("a client of the harness")
}

#[tokio::test]
async fn without_a_valid_credential_nobody_learns_anything() {
    let app = TestApp::spawn().await;
    app.get(&ask()).await.assert_ok();
    let calls = app.engage.total_calls();
    let target = format!("/customer?{}", ask());
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
    // A token that nobody can check is no credential, even beside a good key.
    for authorization in ["Bearer abc", "Basic dGlsbDp0aWxs", ""] {
        let request = app.customer(TILL, &ask());
        answers.push(Answer::of(request.header("authorization", authorization)).await);
    }
    // Neither does the key count where it does not belong.
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
async fn a_request_without_a_credential_is_refused_before_its_parameters_are_read() {
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
async fn any_of_a_clients_keys_is_that_client() {
    let app = TestApp::with(|config| {
        let old = client(config, "reader").key_sha256.clone();
        config.auth.clients.retain(|client| client.id != "reader");
        client(config, "shop").key_sha256.extend(old);
    })
    .await;
    for key in [SHOP, READER] {
        // Only the shop's scopes allow it.
        app.get_as(key, &format!("{}&fresh=points", ask()))
            .await
            .assert_ok();
    }
}

#[tokio::test]
async fn without_the_scope_to_read_nobody_is_served() {
    let app =
        TestApp::with_unchecked(|config| client(config, "shop").scopes = vec![Scope::Fresh]).await;
    for query in [ask(), format!("{}&fresh=points", ask()), String::new()] {
        app.get_as(SHOP, &query)
            .await
            .assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn fresh_needs_its_scope() {
    let app = TestApp::spawn().await;
    for fresh in ["points", "profile", "all", "points,vouchers"] {
        app.get_as(READER, &format!("{}&fresh={fresh}", ask()))
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
    app.get_as(SHOP, &format!("{}&fresh=points", ask()))
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
}

#[tokio::test]
async fn the_full_view_needs_its_scope() {
    let app = TestApp::spawn().await;
    for key in [SHOP, READER] {
        app.get_as(key, &format!("{}&view=full", ask()))
            .await
            .assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
    let till = app.get(&ask()).await;
    assert_eq!(till.at("/profile/attributes/shoeSize"), 39);
    let reader = app.get_as(READER, &ask()).await;
    assert_eq!(reader.at("/profile/attributes"), json!({}));
    let narrowed = app.get(&format!("{}&view=storefront", ask())).await;
    assert_eq!(narrowed.at("/profile/attributes"), json!({}));
}

#[tokio::test]
async fn a_default_view_is_no_right_to_it() {
    let app =
        TestApp::with_unchecked(|config| client(config, "reader").view = config::View::Full).await;
    app.get_as(READER, &ask())
        .await
        .assert_problem(403, "Forbidden");
    app.get_as(READER, &format!("{}&view=storefront", ask()))
        .await
        .assert_ok();
}

#[tokio::test]
async fn a_client_asks_only_by_the_kinds_of_identifier_that_it_may() {
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
    // What another client may see is held, and still not this one's.
    app.get(&ask()).await.assert_ok();
    app.get_as(SHOP, &ask())
        .await
        .assert_problem(403, "Forbidden");
}

#[tokio::test]
async fn a_client_beyond_its_rate_waits_as_long_as_it_is_told() {
    let app = TestApp::with(|config| client(config, "reader").requests_per_second = Some(2)).await;
    for _ in 0..2 {
        app.get_as(READER, &ask()).await.assert_ok();
    }
    let calls = app.engage.total_calls();
    for query in [ask(), "email=new%40example.com".to_owned()] {
        let refused = app.get_as(READER, &query).await;
        refused.assert_problem(429, "RateLimited");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(app.engage.total_calls(), calls);
    // Others are not its rate's concern.
    app.get_as(SHOP, &ask()).await.assert_ok();
    app.advance(Duration::from_millis(500));
    app.get_as(READER, &ask()).await.assert_ok();
    app.get_as(READER, &ask())
        .await
        .assert_problem(429, "RateLimited");
    app.advance(Duration::from_secs(3600));
    for status in [200, 200, 429] {
        assert_eq!(app.get_as(READER, &ask()).await.status, status);
    }
}

#[tokio::test]
async fn the_keys_of_a_client_share_its_rate() {
    let app = TestApp::with(|config| {
        let second = client(config, "reader").key_sha256.clone();
        config.auth.clients.retain(|client| client.id != "reader");
        let shop = client(config, "shop");
        shop.key_sha256.extend(second);
        shop.requests_per_second = Some(1);
    })
    .await;
    app.get_as(SHOP, &ask()).await.assert_ok();
    app.get_as(READER, &ask())
        .await
        .assert_problem(429, "RateLimited");
}

#[tokio::test]
async fn anonymous_callers_are_served_where_the_configuration_says_so() {
    let app = TestApp::with(|config| {
        config.auth.clients.clear();
        config.auth.allow_anonymous = true;
    })
    .await;
    let target = format!("/customer?{}", ask());
    let answer = Answer::of(app.request(&target)).await;
    assert_eq!(answer.assert_ok().at("/profile/attributes"), json!({}));
    // Whoever shows a credential is judged by it.
    for (name, value) in [("x-api-key", "wrong"), ("authorization", "Bearer x")] {
        Answer::of(app.request(&target).header(name, value))
            .await
            .assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn cache_directives_count_only_from_callers_that_may_ask_fresh() {
    let app = TestApp::spawn().await;
    let ask_with = async |key: &str, directive: &str| {
        Answer::of(app.customer(key, &ask()).header("cache-control", directive)).await
    };
    ask_with(READER, "only-if-cached")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.advance(Duration::from_secs(10));
    let calls = app.engage.total_calls();
    for directive in ["no-cache", "max-age=0", "no-cache, max-age=0", "no-store"] {
        ask_with(READER, directive).await.assert_ok().assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
    ask_with(SHOP, "max-age=30").await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
    ask_with(SHOP, "max-age=5")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert!(app.engage.total_calls() > calls);
    let entity_calls = app.engage.calls(Endpoint::Contact);
    ask_with(SHOP, "no-cache")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(app.engage.calls(Endpoint::Contact), entity_calls + 1);
    ask_with(SHOP, "only-if-cached")
        .await
        .assert_ok()
        .assert_hit();
}

#[tokio::test]
async fn an_error_is_told_rather_than_stale_data_only_to_callers_that_may_ask_fresh() {
    let app = TestApp::spawn().await;
    app.get(&ask()).await.assert_ok();
    app.advance(Duration::from_secs(600));
    app.engage
        .fault(Endpoint::All, engage_simulator::Fault::Html502);
    let ask_as = async |key: &str| {
        let request = app.customer(key, &ask());
        Answer::of(request.header("cache-control", "stale-if-error=0")).await
    };
    let stale = ask_as(READER).await;
    stale.assert_ok();
    assert!(
        stale
            .header("cache-status")
            .ends_with("; detail=stale-if-error")
    );
    ask_as(SHOP).await.assert_problem(502, "UpstreamFailed");
}

#[tokio::test]
async fn promotions_are_those_of_the_clients_channel_unless_it_names_one() {
    let app = TestApp::spawn().await;
    let count = async |key: &str, more: &str| {
        let answer = app.get_as(key, &format!("{}{more}", ask())).await;
        let promotions = answer.at("/promotions");
        promotions.as_array().map(Vec::len)
    };
    assert_eq!(count(TILL, "").await, Some(3));
    assert_eq!(count(SHOP, "").await, Some(2));
    assert_eq!(count(SHOP, "&channel=POS").await, Some(1));
    assert_eq!(count(READER, "&channel=OTHER").await, Some(1));
}

#[tokio::test]
async fn a_client_that_tries_out_who_is_a_customer_is_answered_from_memory_alone() {
    let app = TestApp::with(|config| client(config, "shop").unknown_per_minute = Some(3)).await;
    let known = format!("contactId={}&parts=none", ALVA.id);
    app.get_as(SHOP, &known).await.assert_ok();
    let unknown = |number: usize| format!("email=nobody{number}%40example.com&parts=none");
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
    // What is held is told, to others everything.
    app.get_as(SHOP, &known).await.assert_ok();
    app.get_as(SHOP, &unknown(2))
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), calls);
    app.get_as(READER, &unknown(3))
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(logs().matches("whom nobody knows").count(), 1);
    assert!(!logs().contains("nobody3"), "{}", logs());
    app.advance(Duration::from_secs(60));
    app.get_as(SHOP, &format!("contactId={}", BO.id))
        .await
        .assert_ok();
}

#[tokio::test]
async fn a_client_may_have_so_many_requests_under_way_and_others_are_not_hindered() {
    let app = TestApp::with(|config| client(config, "till").max_concurrency = Some(2)).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.ask(&format!("contactId={}", ALVA.id));
    let second = app.ask(&format!("contactId={}", BO.id));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let refused = app.get("email=cim.testsson%40example.com").await;
    refused.assert_problem(429, "RateLimited");
    assert_eq!(refused.header("retry-after"), "1");
    let other = app
        .get_as(
            SHOP,
            "contactId=00000000-0000-4000-8000-000000000009&parts=x",
        )
        .await;
    other.assert_problem(400, "InvalidParameter");
    hold.release();
    first.await.expect("an answer").assert_ok();
    second.await.expect("an answer").assert_ok();
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
}
