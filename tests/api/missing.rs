//! A 403 names what the credential lacks in its member `missing`, and a lacking scope in its challenge too (RFC 6750,
//! 3).

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use crate::{
    harness::{Answer, READER, SHOP, TILL, TestApp},
    issuer::Issuer,
    tokens::{claims, with_config},
};

const KEY: &str = "ApiKey realm=\"engage-bff\", header=\"X-Api-Key\"";
const BEARER: &str = "Bearer realm=\"engage-bff\"";

#[track_caller]
fn assert_lacks(answer: &Answer, missing: &str, scheme: &str, scope: Option<&str>) {
    answer.assert_problem(403, "Forbidden");
    assert_eq!(answer.at("/missing"), missing);
    let scope = scope.map(|scope| format!(", scope=\"{scope}\""));
    let scope = scope.unwrap_or_default();
    assert_eq!(
        answer.header("www-authenticate"),
        format!("{scheme}, error=\"insufficient_scope\"{scope}")
    );
}

#[tokio::test]
async fn refused_client_learns_the_scope_that_its_key_lacks() {
    let app = TestApp::spawn().await;
    for (parameter, scope) in [
        ("fresh=points", "customer:fresh"),
        ("view=full", "customer:read:full"),
        ("view=full&parts=purchases", "customer:read:full"),
    ] {
        let answer = app
            .get_as(READER, &format!("email={}&{parameter}", ALVA.email))
            .await;
        assert_lacks(&answer, scope, KEY, Some(scope));
    }
    for (path, scope) in [
        ("/customer/batch", "customer:batch"),
        ("/customer/changed", "customer:changed"),
    ] {
        let answer = Answer::of(app.post_to(path, READER).body("{}")).await;
        assert_lacks(&answer, scope, KEY, Some(scope));
    }
    // No scope helps if the client may not use the kind of identifier.
    let by_national_id = json!({"socialSecurityNumber": ALVA.national_id});
    let answer = app.lookup_as(SHOP, by_national_id).await;
    assert_lacks(&answer, "socialSecurityNumber", KEY, None);
    let answer = app.lookup_as(SHOP, json!({"any": ALVA.email})).await;
    assert_lacks(&answer, "any", KEY, None);
    let own = app.request("/customer/me").header("x-api-key", TILL);
    let scope = "customer:read:self";
    assert_lacks(&Answer::of(own).await, scope, BEARER, Some(scope));
}

#[tokio::test]
async fn refused_shopper_learns_whether_token_or_key_lacks_the_scope() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = |scope: &str| {
        let own = claims(json!({"contactId": ALVA.id, "scope": scope}));
        format!("Bearer {}", issuer.sign(&own))
    };
    let own = "customer:read:self";
    for (scopes, query, missing) in [
        ("openid", "", own),
        (own, "?fresh=points", "customer:fresh"),
    ] {
        let request = app.request(&format!("/customer/me{query}"));
        let answer = Answer::of(request.header("authorization", token(scopes))).await;
        assert_lacks(&answer, missing, BEARER, Some(missing));
    }
    // The full view is only for requests with a key and without a token, and the reader's key has no scope for fresh
    // data.
    for (key, query, missing) in [
        (TILL, "?view=full", "customer:read:full"),
        (READER, "?fresh=points", "customer:fresh"),
    ] {
        let request = app.request(&format!("/customer/me{query}"));
        let request = request.header("x-api-key", key);
        let scopes = token("customer:read:self customer:fresh");
        let answer = Answer::of(request.header("authorization", scopes)).await;
        assert_lacks(&answer, missing, KEY, Some(missing));
    }
}

#[tokio::test]
async fn refusals_for_other_reasons_name_nothing_missing() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let own = claims(json!({"contactId": ALVA.id}));
    let token = format!("Bearer {}", issuer.sign(&own));
    let other = app.request(&format!("/customer?contactId={}", BO.id));
    let other = Answer::of(other.header("authorization", &token)).await;
    other.assert_problem(404, "ContactNotFound");
    let invalid = app.request("/customer/me");
    let invalid = Answer::of(invalid.header("authorization", format!("{token}x"))).await;
    invalid.assert_problem(401, "Unauthorized");
    assert_eq!(
        invalid.header("www-authenticate"),
        format!("{BEARER}, error=\"invalid_token\"")
    );
    for answer in [other, invalid] {
        assert_eq!(answer.json().get("missing"), None);
    }
}
