//! Shoppers with a token: each sees one customer, its own, and no other by any request.

mod checks;
mod forms;
mod keys;
mod reasons;

use std::time::Duration;

use engage_bff::{
    config::{Config, JwtAlgorithm, JwtConfig},
    domain::IdentifierKind,
};
use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, READER, SHOP, START, TILL, TestApp, percent_encoded},
    issuer::{AUDIENCE, ISSUER, Issuer},
};

/// Configuration that accepts the issuer's tokens.
pub(crate) fn jwt(issuer: &Issuer) -> JwtConfig {
    JwtConfig {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: vec![JwtAlgorithm::Es256],
        jwks_url: None,
        jwks_file: Some(issuer.jwks_file()),
        contact_id_claim: Some("contactId".to_owned()),
        email_claim: Some("email".to_owned()),
        email_verified_claim: "email_verified".to_owned(),
        scope_claim: Some("scope".to_owned()),
        leeway: Duration::from_secs(30),
        types: vec!["JWT".to_owned(), "at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(24 * 60 * 60),
        requests_per_second: None,
    }
}

/// A service that accepts the issuer's tokens, with a changed configuration.
pub(crate) async fn with_config(issuer: &Issuer, change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.auth.jwt = Some(jwt(issuer));
        change(config);
    })
    .await
}

async fn with(issuer: &Issuer, change: impl FnOnce(&mut JwtConfig)) -> TestApp {
    with_config(issuer, |config| {
        change(config.auth.jwt.as_mut().expect("set above"));
    })
    .await
}

async fn spawn(issuer: &Issuer) -> TestApp {
    with(issuer, |_| {}).await
}

fn now() -> i64 {
    let start: jiff::Timestamp = START.parse().expect("a time");
    start.as_second()
}

/// The claims of every valid token, plus these.
pub(crate) fn claims(own: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "scope": "openid customer:read:self",
    });
    let (Value::Object(common), Value::Object(own)) = (&mut claims, own) else {
        unreachable!("both are objects");
    };
    common.extend(own);
    claims
}

pub(crate) fn of_alva() -> Value {
    claims(json!({"contactId": ALVA.id}))
}

async fn get(app: &TestApp, token: &str, target: &str) -> Answer {
    Answer::of(
        app.request(target)
            .header(AUTHORIZATION, format!("Bearer {token}")),
    )
    .await
}

/// Everything in a response that must not differ from another response.
fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "content-length"))
        .map(|(name, value)| (name.to_string(), format!("{value:?}")))
        .collect();
    headers.sort();
    let mut body = answer.json();
    body["requestId"] = Value::Null;
    (answer.status, headers, body)
}

#[tokio::test]
async fn shopper_sees_itself_without_cache_headers() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let token = issuer.sign(&of_alva());
    for target in [
        "/customer/me".to_owned(),
        "/customer/me?parts=none&channel=POS".to_owned(),
        format!("/customer?contactId={}", ALVA.id),
    ] {
        let answer = get(&app, &token, &target).await;
        answer.assert_ok();
        assert_eq!(answer.at("/contactId"), ALVA.id, "{target}");
        for absent in ["cache-status", "server-timing"] {
            assert_eq!(answer.header(absent), "", "{target}");
        }
    }
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn other_contacts_are_an_identical_404_to_a_shopper_without_calls() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    // Bo is cached, and still unknown to this shopper.
    let bo = app.get(&format!("contactId={}", BO.id)).await;
    bo.assert_ok();
    let etag = bo.header("etag").to_owned();
    let token = issuer.sign(&claims(
        json!({"contactId": "00000000-0000-4000-8000-000000000001"}),
    ));
    let unknown = get(&app, &token, "/customer/me").await;
    unknown.assert_problem(404, "ContactNotFound");
    let calls = app.engage.total_calls();
    let token = issuer.sign(&of_alva());
    for target in [
        format!("/customer?contactId={}", BO.id),
        format!("/customer?email={}", percent_encoded(ALVA.email)),
        format!("/customer?email={}", percent_encoded(BO.email)),
        format!("/customer?mobilePhone={}", percent_encoded(ALVA.phone)),
        "/customer?customKey=100001".to_owned(),
        format!("/customer?any={}", percent_encoded(BO.email)),
        "/customer?contactId=00000000-0000-4000-8000-000000000002".to_owned(),
    ] {
        let answer = get(&app, &token, &target).await;
        assert_eq!(comparable(&answer), comparable(&unknown), "{target}");
        let request = app
            .request(&target)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("if-none-match", &etag);
        assert_eq!(
            comparable(&Answer::of(request).await),
            comparable(&unknown),
            "{target}"
        );
    }
    for body in [
        json!({"contactId": BO.id}),
        json!({"socialSecurityNumber": "198507099805"}),
    ] {
        let request = app
            .post("")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(body.to_string());
        let mut request = request.build().expect("a request");
        request.headers_mut().remove("x-api-key");
        assert_eq!(
            comparable(&app.execute(request).await),
            comparable(&unknown),
            "{body}"
        );
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn email_claim_counts_only_if_verified() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let email = |verified: Value| {
        let claims =
            claims(json!({"email": ALVA.email.to_uppercase(), "email_verified": verified}));
        issuer.sign(&claims)
    };
    let target = format!("/customer?email={}", percent_encoded(ALVA.email));
    for verified in [
        json!(false),
        json!("false"),
        json!("TRUE"),
        json!("yes"),
        json!(1),
        Value::Null,
    ] {
        let token = email(verified.clone());
        for target in ["/customer/me", &target] {
            let answer = get(&app, &token, target).await;
            answer.assert_problem(404, "ContactNotFound");
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
    for verified in [json!(true), json!("true")] {
        let token = email(verified);
        for target in ["/customer/me", &target] {
            let answer = get(&app, &token, target).await;
            answer.assert_ok();
            assert_eq!(answer.at("/contactId"), ALVA.id);
        }
    }
}

#[tokio::test]
async fn contact_found_by_email_must_match_the_claimed_id() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let both = |id: &str| {
        let claims = json!({"contactId": id, "email": ALVA.email, "email_verified": true});
        issuer.sign(&self::claims(claims))
    };
    let target = format!("/customer?email={}", percent_encoded(ALVA.email));
    let answer = get(&app, &both(ALVA.id), &target).await;
    answer.assert_ok();
    let answer = get(&app, &both(BO.id), &target).await;
    answer.assert_problem(404, "ContactNotFound");
    assert!(!answer.text().contains(ALVA.id));
}

/// Correctly signed tokens with missing or wrong claims.
fn with_wrong_claims(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let id = ALVA.id;
    let signed = |changed: Value| issuer.sign(&claims(changed));
    let without = |claim: &str| {
        let mut claims = of_alva();
        claims.as_object_mut().expect("an object").remove(claim);
        issuer.sign(&claims)
    };
    vec![
        (
            "expired",
            signed(json!({"contactId": id, "exp": now() - 31})),
        ),
        (
            "not yet",
            signed(json!({"contactId": id, "nbf": now() + 31})),
        ),
        (
            "a malformed expiry",
            signed(json!({"contactId": id, "exp": "tomorrow"})),
        ),
        (
            "a malformed start",
            signed(json!({"contactId": id, "nbf": "today"})),
        ),
        (
            "another issuer",
            signed(json!({"contactId": id, "iss": "https://evil.example"})),
        ),
        (
            "another audience",
            signed(json!({"contactId": id, "aud": "another"})),
        ),
        ("no end", without("exp")),
        ("no issuer", without("iss")),
        ("no audience", without("aud")),
        ("no contact id", signed(json!({"contactId": "alva"}))),
        ("a malformed contact id", signed(json!({"contactId": 7}))),
        (
            "a malformed e-mail",
            signed(json!({"email": "alva", "email_verified": true})),
        ),
    ]
}

/// Tokens without a valid signature, or with a header that is not accepted.
fn with_wrong_signatures(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.sign(&of_alva());
    let (head, rest) = good.split_once('.').expect("three parts");
    let (body, signature) = rest.split_once('.').expect("three parts");
    let other_issuer = Issuer::new();
    vec![
        ("another issuer's key", other_issuer.sign(&of_alva())),
        (
            "an unknown key id",
            issuer.sign_with(&of_alva(), |header| header.kid = Some("x".to_owned())),
        ),
        (
            "critical",
            issuer.sign_with(&of_alva(), |header| {
                header.crit = Some(vec!["exp".to_owned()]);
            }),
        ),
        ("no signature", format!("{head}.{body}.")),
        (
            "none",
            format!("{}.{body}.", Issuer::header(&json!({"alg": "none"}))),
        ),
        (
            "None",
            format!(
                "{}.{body}.{signature}",
                Issuer::header(&json!({"alg": "None"}))
            ),
        ),
        (
            "the public key as a secret",
            issuer.sign_with_public_key_as_secret(&of_alva()),
        ),
        (
            "another algorithm",
            format!(
                "{}.{body}.{signature}",
                Issuer::header(&json!({"alg": "ES384", "kid": "one"}))
            ),
        ),
        (
            "changed",
            format!(
                "{head}.{}.{signature}",
                Issuer::header(&claims(json!({"contactId": BO.id})))
            ),
        ),
        ("two parts", format!("{head}.{body}")),
        ("no token", String::new()),
        ("nonsense", "abc".to_owned()),
        ("too long", format!("{good}{}", "A".repeat(8 * 1024))),
    ]
}

#[tokio::test]
async fn invalid_token_is_401_without_a_reason() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let good = issuer.sign(&of_alva());
    let mut bad = with_wrong_claims(&issuer);
    bad.extend(with_wrong_signatures(&issuer));
    let mut first = None;
    for (what, token) in bad {
        let answer = get(&app, &token, "/customer/me").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        answer.assert_problem(401, "Unauthorized");
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(challenge.starts_with("Bearer "), "{what}");
        // All responses have the same challenge, title and detail.
        let same = (challenge, answer.at("/title"), answer.at("/detail"));
        assert_eq!(first.get_or_insert_with(|| same.clone()), &same, "{what}");
    }
    for value in [format!("Basic {good}"), good.clone(), "Bearer".to_owned()] {
        let request = app.request("/customer/me").header(AUTHORIZATION, value);
        Answer::of(request)
            .await
            .assert_problem(401, "Unauthorized");
    }
    assert_eq!(app.engage.total_calls(), 0);
    get(&app, &good, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn token_within_the_leeway_or_with_several_audiences_is_accepted() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    for own in [
        json!({"exp": now() - 29}),
        json!({"nbf": now() + 29}),
        json!({"aud": ["another", AUDIENCE]}),
        json!({"exp": 1_795_435_200.5}),
        json!({"scope": ["customer:read:self"]}),
    ] {
        let mut all = claims(own.clone());
        all["contactId"] = json!(ALVA.id);
        let answer = get(&app, &issuer.sign(&all), "/customer/me").await;
        assert_eq!(answer.status, 200, "{own}");
    }
    let token = issuer.sign(&of_alva());
    app.advance(Duration::from_secs(640));
    let answer = get(&app, &token, "/customer/me").await;
    answer.assert_problem(401, "Unauthorized");
}

#[tokio::test]
async fn token_scopes_apply_and_the_full_view_is_forbidden() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let with = |scope: &str| issuer.sign(&claims(json!({"contactId": ALVA.id, "scope": scope})));
    for scope in ["", "openid", "customer:read", "customer:read:selfish"] {
        let answer = get(&app, &with(scope), "/customer/me").await;
        answer.assert_problem(403, "Forbidden");
    }
    let plain = with("customer:read:self");
    for query in ["view=full", "fresh=points", "fresh=all"] {
        let answer = get(&app, &plain, &format!("/customer/me?{query}")).await;
        answer.assert_problem(403, "Forbidden");
    }
    let everything = with("customer:read:self customer:fresh customer:read:full customer:read");
    let answer = get(&app, &everything, "/customer/me?view=full").await;
    answer.assert_problem(403, "Forbidden");
    let answer = get(&app, &everything, "/customer/me?fresh=points").await;
    answer.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn request_with_key_and_token_has_the_limits_of_both() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let fresh = claims(json!({
        "contactId": ALVA.id, "scope": "customer:read:self customer:fresh",
    }));
    let token = issuer.sign(&fresh);
    let get_with = |key: &'static str, target: String| {
        let request = app
            .request(&target)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("x-api-key", key);
        Answer::of(request)
    };
    let own = format!("/customer?contactId={}", ALVA.id);
    let other = format!("/customer?contactId={}", BO.id);
    // The till may read everything, but not on behalf of this shopper.
    get_with(TILL, own.clone()).await.assert_ok();
    get_with(TILL, other)
        .await
        .assert_problem(404, "ContactNotFound");
    get_with(TILL, format!("{own}&view=full"))
        .await
        .assert_problem(403, "Forbidden");
    get_with(SHOP, format!("{own}&fresh=points"))
        .await
        .assert_ok();
    // The reader has no `fresh` scope, whatever the shopper's scopes.
    get_with(READER, format!("{own}&fresh=points"))
        .await
        .assert_problem(403, "Forbidden");
    get_with("wrong", own)
        .await
        .assert_problem(401, "Unauthorized");
}

#[tokio::test]
async fn customer_me_requires_a_token_and_accepts_no_identifier() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let request = app.request("/customer/me").header("x-api-key", TILL);
    Answer::of(request).await.assert_problem(403, "Forbidden");
    Answer::of(app.request("/customer/me"))
        .await
        .assert_problem(401, "Unauthorized");
    let token = issuer.sign(&of_alva());
    let target = format!("/customer/me?contactId={}", ALVA.id);
    let answer = get(&app, &token, &target).await;
    answer.assert_problem(400, "InvalidParameter");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn each_shopper_has_its_own_rate() {
    let issuer = Issuer::new();
    let app = with(&issuer, |jwt| jwt.requests_per_second = Some(2)).await;
    let alva = issuer.sign(&of_alva());
    let bo = issuer.sign(&claims(json!({"contactId": BO.id})));
    for _ in 0..2 {
        get(&app, &alva, "/customer/me").await.assert_ok();
    }
    let refused = get(&app, &alva, "/customer/me").await;
    refused.assert_problem(429, "RateLimited");
    assert_eq!(
        refused.at("/detail"),
        "Too many requests from this client or shopper."
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"requests\";r=0;t=1");
    assert_eq!(refused.header("ratelimit-policy"), "\"requests\";q=2;w=1");
    // Another token of the same shopper shares its rate; another shopper does not.
    let another = issuer.sign(&claims(json!({"contactId": ALVA.id, "jti": "another"})));
    get(&app, &another, "/customer/me")
        .await
        .assert_problem(429, "RateLimited");
    get(&app, &bo, "/customer/me").await.assert_ok();
    app.advance(Duration::from_secs(1));
    get(&app, &alva, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn token_with_a_key_uses_only_the_clients_identifier_kinds() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.auth.clients[1].identifiers = vec![IdentifierKind::ContactId];
        config.auth.clients[2].identifiers = vec![IdentifierKind::Email];
    })
    .await;
    let get_with = |key: &'static str, token: &str| {
        let request = app
            .request("/customer/me")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("x-api-key", key);
        Answer::of(request)
    };
    let by_email = json!({"email": ALVA.email, "email_verified": true});
    let by_email = issuer.sign(&claims(by_email));
    let by_id = issuer.sign(&of_alva());
    let by_both = json!({"contactId": ALVA.id, "email": ALVA.email, "email_verified": true});
    let by_both = issuer.sign(&claims(by_both));
    get_with(SHOP, &by_email)
        .await
        .assert_problem(403, "Forbidden");
    get_with(READER, &by_id)
        .await
        .assert_problem(403, "Forbidden");
    assert_eq!(app.engage.total_calls(), 0);
    for (key, token) in [
        (SHOP, &by_id),
        (SHOP, &by_both),
        (READER, &by_email),
        (READER, &by_both),
        (TILL, &by_id),
        (TILL, &by_email),
    ] {
        let answer = get_with(key, token).await;
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id, "{key}");
    }
    // A contact found by e-mail must also have the claimed id.
    let other = json!({"contactId": BO.id, "email": ALVA.email, "email_verified": true});
    get_with(READER, &issuer.sign(&claims(other)))
        .await
        .assert_problem(404, "ContactNotFound");
}
