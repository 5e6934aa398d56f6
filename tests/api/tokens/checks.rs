//! Token checks beyond the signature: type, header, times, claims, and the signing key.

use std::time::Duration;

use engage_bff::config::JwtAlgorithm;
use engage_simulator::fixtures::{ALVA, BO};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{claims, get, now, of_alva, spawn, with};
use crate::{
    harness::{Answer, TestApp},
    issuer::{AUDIENCE, ISSUER, Issuer},
};

const DAY: i64 = 24 * 60 * 60;

async fn status(app: &TestApp, token: &str) -> u16 {
    let answer: Answer = get(app, token, "/customer/me").await;
    if answer.status == 401 {
        answer.assert_problem(401, "Unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
    }
    answer.status
}

/// A token with these additional header members.
fn with_header(issuer: &Issuer, own: &Value) -> String {
    let mut header = json!({"alg": "ES256", "kid": "one"});
    for (name, value) in own.as_object().expect("an object") {
        header[name] = value.clone();
    }
    issuer.sign_text(&header.to_string(), &of_alva().to_string())
}

/// A token of Alva with these additional claims.
fn with_claims(issuer: &Issuer, own: Value) -> String {
    let mut claims = claims(own);
    claims["contactId"] = json!(ALVA.id);
    issuer.sign(&claims)
}

#[tokio::test]
async fn only_configured_token_types_are_accepted() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let typed = |kind: Value| with_header(&issuer, &json!({"typ": kind}));
    for kind in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/JWT",
    ] {
        assert_eq!(status(&app, &typed(json!(kind))).await, 200, "{kind}");
    }
    assert_eq!(status(&app, &with_header(&issuer, &json!({}))).await, 200);
    for kind in [
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("application/logout+jwt"),
        json!("dpop+jwt"),
        json!("oauth-authz-req+jwt"),
        json!("token-introspection+jwt"),
        json!("vc+sd-jwt"),
        json!("JOSE"),
        json!("text/jwt"),
        json!("application/application/jwt"),
        json!("JWT "),
        json!(""),
        json!(null),
        json!(["JWT"]),
        json!({"typ": "JWT"}),
    ] {
        assert_eq!(status(&app, &typed(kind.clone())).await, 401, "{kind}");
    }
}

#[tokio::test]
async fn untyped_token_is_401_if_only_access_tokens_are_accepted() {
    let issuer = Issuer::new();
    let app = with(&issuer, |jwt| {
        jwt.types = vec!["application/at+JWT".to_owned()];
    })
    .await;
    let typed = |header: Value| with_header(&issuer, &header);
    assert_eq!(status(&app, &typed(json!({"typ": "at+jwt"}))).await, 200);
    assert_eq!(status(&app, &typed(json!({"typ": "JWT"}))).await, 401);
    assert_eq!(status(&app, &typed(json!({}))).await, 401);
}

#[tokio::test]
async fn unsupported_header_members_are_401_and_embedded_keys_are_ignored() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    for header in [
        json!({"crit": null}),
        json!({"crit": []}),
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"crit": "exp"}),
        json!({"crit": {}}),
        json!({"crit": false}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"b64": null}),
        json!({"cty": "JWT"}),
        json!({"cty": "application/jwt"}),
        json!({"cty": 1}),
        json!({"kid": null}),
        json!({"kid": 1}),
        json!({"alg": "es256"}),
        json!({"alg": null}),
        json!({"alg": ["ES256"]}),
        json!({"alg": "ES512"}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
    ] {
        let token = with_header(&issuer, &header);
        assert_eq!(status(&app, &token).await, 401, "{header}");
    }
    // Keys inside the token are ignored: they harm no valid token and help no forged one.
    let other_issuer = Issuer::new();
    let server = other_issuer.serve().await;
    let embedded =
        json!({"jwk": other_issuer.jwk(), "jku": server.url(), "x5u": server.url(), "x5c": ["AA"]});
    assert_eq!(
        status(&app, &with_header(&other_issuer, &embedded)).await,
        401
    );
    assert_eq!(status(&app, &with_header(&issuer, &embedded)).await, 200);
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn repeated_header_members_and_claims_are_401() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let header = r#"{"alg":"ES256","kid":"one"}"#;
    let claims = of_alva().to_string();
    assert_eq!(status(&app, &issuer.sign_text(header, &claims)).await, 200);
    for repeated in [
        r#"{"alg":"ES256","kid":"one","kid":"one"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"one"}"#,
        r#"{"alg":"ES256","\u0061lg":"ES256","kid":"one"}"#,
        r#"{"alg":"ES256","kid":"one","x":1,"x":1}"#,
        "[]",
        "{}",
        "null",
    ] {
        let token = issuer.sign_text(repeated, &claims);
        assert_eq!(status(&app, &token).await, 401, "{repeated}");
    }
    for more in [
        format!(r#""contactId":"{}""#, BO.id),
        r#""exp":1"#.to_owned(),
        format!(r#""aud":"{AUDIENCE}""#),
        r#""\u0069ss":"https://login.example.com/""#.to_owned(),
        r#""unknown":1,"unknown":2"#.to_owned(),
    ] {
        for repeated in [
            format!("{{{more},{}", &claims[1..]),
            format!("{},{more}}}", &claims[..claims.len() - 1]),
        ] {
            let token = issuer.sign_text(header, &repeated);
            assert_eq!(status(&app, &token).await, 401, "{repeated}");
        }
    }
    for malformed in ["[]", "null", "\"text\"", "{", ""] {
        let token = issuer.sign_text(header, malformed);
        assert_eq!(status(&app, &token).await, 401, "{malformed}");
    }
}

#[tokio::test]
async fn token_lifetime_above_a_day_or_future_issue_is_401() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let now = now();
    for valid in [
        json!({"exp": now + DAY}),
        json!({"exp": now + DAY + 30}),
        json!({"exp": now}),
        json!({"iat": now, "exp": now + DAY}),
        json!({"iat": now + 30, "exp": now + DAY + 30}),
        json!({"iat": now - DAY + 1, "exp": now + 1}),
        json!({"iat": 1_795_435_100.5, "exp": now + 1}),
        json!({"nbf": 0}),
        json!({"nbf": now, "iat": now}),
    ] {
        let token = with_claims(&issuer, valid.clone());
        assert_eq!(status(&app, &token).await, 200, "{valid}");
    }
    for invalid in [
        json!({"exp": now + 100 * 365 * DAY}),
        json!({"exp": now + DAY + 31}),
        json!({"iat": now, "exp": now + DAY + 1}),
        json!({"iat": now - DAY, "exp": now + 1}),
        json!({"iat": 0, "exp": now + 1}),
        json!({"iat": now + 31, "exp": now + 600}),
        json!({"iat": now + 100 * DAY, "exp": now + 100 * DAY + 1}),
        json!({"nbf": now + 31}),
        json!({"exp": now - 30}),
    ] {
        let token = with_claims(&issuer, invalid.clone());
        assert_eq!(status(&app, &token).await, 401, "{invalid}");
    }
}

#[tokio::test]
async fn max_lifetime_is_configurable() {
    let issuer = Issuer::new();
    let app = with(&issuer, |jwt| jwt.max_lifetime = Duration::from_secs(300)).await;
    for (lifetime, expected) in [(300, 200), (301, 401)] {
        let token = with_claims(&issuer, json!({"iat": now(), "exp": now() + lifetime}));
        assert_eq!(status(&app, &token).await, expected, "{lifetime}");
    }
}

#[tokio::test]
async fn malformed_times_are_401() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    for name in ["exp", "nbf", "iat"] {
        for malformed in [
            json!(null),
            json!("1795435500"),
            json!(true),
            json!([now()]),
            json!({}),
            json!(-1),
            json!(-0.5),
            json!(-1e300),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MIN),
        ] {
            let token = with_claims(&issuer, json!({name: malformed}));
            assert_eq!(status(&app, &token).await, 401, "{name} {malformed}");
        }
        // No double can represent this value.
        let all = of_alva()
            .to_string()
            .replacen('{', &format!("{{\"{name}\":1e999,"), 1);
        let token = issuer.sign_text(r#"{"alg":"ES256","kid":"one"}"#, &all);
        assert_eq!(status(&app, &token).await, 401, "{name}");
    }
}

#[tokio::test]
async fn security_events_and_tokens_for_other_audiences_are_401() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    for invalid in [
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        json!({"events": {}}),
        json!({"events": null}),
        json!({"aud": [AUDIENCE, 1]}),
        json!({"aud": [AUDIENCE, null]}),
        json!({"aud": [[AUDIENCE]]}),
        json!({"aud": []}),
        json!({"aud": {AUDIENCE: true}}),
        json!({"aud": null}),
        json!({"aud": "ENGAGE-BFF"}),
        json!({"aud": format!("{AUDIENCE} other")}),
        json!({"iss": [ISSUER]}),
        json!({"iss": null}),
        json!({"iss": ISSUER.trim_end_matches('/')}),
        json!({"iss": ISSUER.to_uppercase()}),
    ] {
        let token = with_claims(&issuer, invalid.clone());
        assert_eq!(status(&app, &token).await, 401, "{invalid}");
    }
}

#[tokio::test]
async fn key_verifies_only_its_own_use_algorithm_and_curve() {
    let issuer = Issuer::new();
    let token = issuer.sign(&of_alva());
    let changed = |name: &str, value: Value| {
        let mut jwk = issuer.jwk();
        jwk[name] = value;
        jwk
    };
    // A second key keeps the set from being empty.
    let other = Issuer::new().jwk();
    for (name, value, expected) in [
        ("use", json!("sig"), 200),
        ("use", json!("enc"), 401),
        ("use", json!("SIG"), 401),
        ("use", json!(null), 401),
        ("key_ops", json!(["verify"]), 200),
        ("key_ops", json!(["sign", "verify"]), 200),
        ("key_ops", json!(["sign"]), 401),
        ("key_ops", json!([]), 401),
        ("key_ops", json!(null), 401),
        ("key_ops", json!("verify"), 401),
        ("alg", json!("ES256"), 200),
        ("alg", json!("ES384"), 401),
        ("alg", json!("RS256"), 401),
        ("alg", json!("ECDH-ES"), 401),
        ("alg", json!(null), 401),
        ("crv", json!("P-384"), 401),
        ("crv", json!("P-521"), 401),
        ("crv", json!("secp256k1"), 401),
        ("crv", json!("Ed25519"), 401),
        ("crv", json!(null), 401),
        ("kty", json!("OKP"), 401),
        ("kty", json!("oct"), 401),
        ("kid", json!("another"), 401),
    ] {
        let mut other = other.clone();
        other["kid"] = json!("second");
        issuer.publish_keys(&[other, changed(name, value.clone())]);
        let app = spawn(&issuer).await;
        assert_eq!(status(&app, &token).await, expected, "{name} {value}");
    }
}

#[tokio::test]
async fn keys_of_other_curves_verify_only_their_algorithm() {
    let issuer = Issuer::new();
    let p384 = issuer.with_key_for(Algorithm::ES384);
    let ed25519 = issuer.with_key_for(Algorithm::EdDSA);
    let published = |key: &Issuer| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    };
    for (key, algorithm, name) in [
        (&p384, JwtAlgorithm::Es384, "ES384"),
        (&ed25519, JwtAlgorithm::EdDsa, "EdDSA"),
    ] {
        issuer.publish_keys(&[issuer.jwk(), published(key)]);
        let app = with(&issuer, |jwt| {
            jwt.algorithms = vec![JwtAlgorithm::Es256, algorithm];
        })
        .await;
        let valid = key.sign(&of_alva());
        assert_eq!(status(&app, &valid).await, 200, "{algorithm:?}");
        // A signature by the same key under the name of another algorithm.
        let confused = key.sign_text(
            &json!({"alg": "ES256", "kid": "other"}).to_string(),
            &of_alva().to_string(),
        );
        assert_eq!(status(&app, &confused).await, 401, "{algorithm:?}");
        let named = json!({"alg": name, "kid": "one"});
        let confused = issuer.sign_text(&named.to_string(), &of_alva().to_string());
        assert_eq!(status(&app, &confused).await, 401, "{algorithm:?}");
    }
    // X25519 is for key agreement (RFC 8037): no such key verifies, whatever the other keys.
    let mut agreement = published(&ed25519);
    agreement["crv"] = json!("X25519");
    issuer.publish_keys(&[issuer.jwk(), agreement]);
    let app = with(&issuer, |jwt| {
        jwt.algorithms = vec![JwtAlgorithm::Es256, JwtAlgorithm::EdDsa];
    })
    .await;
    assert_eq!(status(&app, &ed25519.sign(&of_alva())).await, 401);
    assert_eq!(status(&app, &issuer.sign(&of_alva())).await, 200);
}
