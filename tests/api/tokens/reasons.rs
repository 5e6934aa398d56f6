//! Why a token was refused: the log and the metrics show it to operators; callers do not see it.

use std::collections::BTreeMap;

use engage_bff::{app::check_token, config::layers};
use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};

use super::{claims, get, jwt, now, of_alva, spawn};
use crate::{
    harness::{Answer, SHOP, START, TestApp, events, logs},
    issuer::Issuer,
};

const REFUSED: &str = "token refused";

/// Refused tokens, each with its reason; every reason occurs.
fn refused_tokens(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let signed = |own: Value| {
        let mut all = claims(own);
        all["contactId"] = json!(ALVA.id);
        issuer.sign(&all)
    };
    let with_header = |own: Value| {
        let mut header = json!({"alg": "ES256", "kid": "one"});
        for (name, value) in own.as_object().expect("an object") {
            header[name] = value.clone();
        }
        issuer.sign_text(&header.to_string(), &of_alva().to_string())
    };
    let good = issuer.sign(&of_alva());
    let unsigned = good.rsplit_once('.').expect("three parts").0.to_owned();
    vec![
        ("issuer", signed(json!({"iss": "https://evil.example"}))),
        ("audience", signed(json!({"aud": ["another"]}))),
        ("expired", signed(json!({"exp": now() - 31}))),
        ("not_yet_valid", signed(json!({"nbf": now() + 31}))),
        ("not_yet_valid", signed(json!({"iat": now() + 31}))),
        ("lifetime", signed(json!({"exp": now() + 90_000}))),
        ("key", with_header(json!({"kid": "unknown"}))),
        ("signature", Issuer::new().sign(&of_alva())),
        ("signature", format!("{unsigned}.")),
        ("algorithm", with_header(json!({"alg": "ES384"}))),
        ("algorithm", with_header(json!({"alg": "none"}))),
        ("type", with_header(json!({"typ": "logout+jwt"}))),
        ("type", with_header(json!({"cty": "JWT"}))),
        ("type", signed(json!({"events": {}}))),
        ("claim", signed(json!({"exp": "tomorrow"}))),
        ("claim", issuer.sign(&claims(json!({"contactId": "alva"})))),
        ("malformed", unsigned),
        ("malformed", with_header(json!({"kid": 7}))),
        ("too_large", "A".repeat(9000)),
        ("crit", with_header(json!({"crit": ["exp"]}))),
    ]
}

async fn total(app: &TestApp, why: &str) -> u64 {
    let metrics = app.operations("/metrics").await;
    let name = format!("engage_bff_token_refusals_total{{why=\"{why}\"}} ");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&*name));
    line.expect("the series").parse().expect("a number")
}

#[tokio::test]
async fn operators_see_the_reason_for_each_refused_token() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    for (why, token) in refused_tokens(&issuer) {
        let (before, logged) = (total(&app, why).await, events(REFUSED).len());
        let request = app.request("/customer/me").bearer_auth(&token);
        let answer = Answer::of(request.header("x-request-id", "refused")).await;
        answer.assert_problem(401, "Unauthorized");
        assert_eq!(answer.at("/detail"), "Send a valid credential.", "{why}");
        assert_eq!(total(&app, why).await, before + 1, "{why}");
        let events = events(REFUSED);
        assert_eq!(events.len(), logged + 1, "{why}");
        let event = &events[logged];
        assert_eq!(event["why"], why);
        assert_eq!(event["request_id"], "refused");
        assert_eq!(event["level"], "INFO");
        assert_eq!(event.get("client"), None);
    }
    let log = logs();
    for secret in ["eyJ", "evil.example", "unknown\"", "logout"] {
        assert!(!log.contains(secret), "{secret}");
    }
    get(&app, &issuer.sign(&of_alva()), "/customer/me")
        .await
        .assert_ok();
    assert_eq!(events(REFUSED).len(), refused_tokens(&issuer).len());
}

#[tokio::test]
async fn refused_token_next_to_a_valid_key_names_the_client() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let send = |key: &'static str| {
        let request = app.request("/customer/me").bearer_auth("a.b.c");
        Answer::of(request.header("x-api-key", key))
    };
    assert_eq!(send(SHOP).await.status, 401);
    assert_eq!(send("wrong").await.status, 401);
    let clients: Vec<_> = events(REFUSED)
        .iter()
        .map(|event| event.get("client").cloned())
        .collect();
    assert_eq!(clients, [Some(json!("shop")), None]);
}

#[tokio::test]
async fn token_is_counted_under_issuer_if_no_issuer_is_configured() {
    let app = TestApp::spawn().await;
    for why in ["issuer", "key", "crit"] {
        assert_eq!(total(&app, why).await, 0);
    }
    let token = Issuer::new().sign(&of_alva());
    assert_eq!(get(&app, &token, "/customer/me").await.status, 401);
    assert_eq!(total(&app, "issuer").await, 1);
}

#[tokio::test]
async fn report_of_a_token_matches_its_refusal_without_personal_values() {
    let issuer = Issuer::new();
    let mut config = layers::read(None, &BTreeMap::new()).expect("the defaults");
    config.auth.jwt = Some(jwt(&issuer));
    let at = Some(START.parse().expect("a time"));
    for (why, token) in refused_tokens(&issuer) {
        let report = check_token(&config, &token, at).await.expect("a report");
        assert_eq!(report.refusal(), Some(why), "{report}");
        let text = report.to_string();
        assert!(text.contains("FAILED") && text.contains(&format!("refused: {why}\n")));
        assert!(!text.contains(ALVA.id) && !text.contains("eyJ"), "{text}");
    }
    let personal = json!({"contactId": ALVA.id, "email": ALVA.email, "email_verified": true});
    let token = issuer.sign(&claims(personal));
    let report = check_token(&config, &token, at).await.expect("a report");
    assert!(report.is_accepted());
    let text = report.to_string();
    for expected in [
        "ok      issuer     \"https://login.example.com/\"; expected: \"https://login.example.com/\"",
        "exp 2026-11-23T12:10:00Z (+600 s)",
        "contactId present, email present (verified), scope present",
        "\"one\"; published: \"one\"",
        "accepted\ncustomer: contact ",
        "scopes: customer:read:self\n",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(!text.contains("FAILED"), "{text}");
    for value in [ALVA.id, ALVA.email, "alva"] {
        assert!(!text.contains(value), "{value}");
    }
    // Later the token has expired, and without the issuer's keys its signature can't be checked.
    let later = Some("2026-11-23T12:11:00Z".parse().expect("a time"));
    let report = check_token(&config, &token, later).await.expect("a report");
    assert_eq!(report.refusal(), Some("expired"));
    issuer.break_jwks();
    let report = check_token(&config, &token, at).await.expect("a report");
    assert_eq!(report.refusal(), None);
    assert!(!report.is_accepted() && report.to_string().contains("\nundecided: "));
    config.auth.jwt = None;
    assert!(check_token(&config, &token, at).await.is_err());
}
