//! CORS: scripts of other origins read nothing unless the origin is listed, and then only with a shopper's token.

use engage_simulator::fixtures::ALVA;
use http::header::AUTHORIZATION;
use reqwest::Method;

use crate::{
    fast_path::assert_same_by_both,
    harness::{Answer, SHOP, TILL, TestApp},
    issuer::Issuer,
    tokens::{of_alva, with_config},
};

const ORIGIN: &str = "https://shop.example.com";

async fn preflight(app: &TestApp, origin: &str, headers: &str) -> Answer {
    let request = app
        .request("/customer/me")
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", headers);
    let mut request = request.build().expect("a request");
    *request.method_mut() = Method::OPTIONS;
    app.execute(request).await
}

#[tokio::test]
async fn no_cors_headers_are_sent_by_default() {
    let app = TestApp::spawn().await;
    let request = app
        .customer(TILL, "email=alva.testsson%40example.com")
        .header("origin", ORIGIN);
    let answer = Answer::of(request).await;
    answer.assert_ok();
    let preflight = preflight(&app, ORIGIN, "authorization").await;
    for answer in [answer, preflight] {
        let is_cors = |name: &&reqwest::header::HeaderName| name.as_str().starts_with("access-");
        assert_eq!(answer.headers.keys().find(is_cors), None);
    }
}

#[tokio::test]
async fn listed_origin_is_allowed_with_a_token_and_others_are_not() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let token = issuer.sign(&of_alva());
    let get = |origin: &'static str| {
        let request = app
            .request("/customer/me")
            .header("origin", origin)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        Answer::of(request)
    };
    let answer = get(ORIGIN).await;
    answer.assert_ok();
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(answer.header("vary").ends_with(", Origin"));
    for other in [
        "https://evil.example",
        "https://shop.example.com.evil.example",
        "http://shop.example.com",
        "https://shop.example.com:8443",
        "null",
    ] {
        let answer = get(other).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{other}");
        let preflight = preflight(&app, other, "authorization").await;
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            "",
            "{other}"
        );
    }
}

#[tokio::test]
async fn preflight_does_not_allow_x_api_key() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let preflight = preflight(&app, ORIGIN, "authorization,x-api-key").await;
    assert_eq!(preflight.header("access-control-allow-origin"), ORIGIN);
    let allowed = preflight
        .header("access-control-allow-headers")
        .to_lowercase();
    assert!(
        allowed.contains("authorization") && !allowed.contains("x-api-key"),
        "{allowed}"
    );
    assert_eq!(preflight.header("cache-control"), "private, no-store");
    assert_eq!(app.engage.total_calls(), 0);
}

fn raw(more: &str) -> Vec<u8> {
    format!(
        "GET /customer?contactId={} HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {SHOP}\r\n{more}\r\n",
        ALVA.id
    )
    .into_bytes()
}

#[tokio::test]
async fn only_requests_with_an_origin_leave_the_fast_path() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let query = format!("contactId={}", ALVA.id);
    app.get_as(SHOP, &query).await.assert_ok();
    let (response, is_taken) = assert_same_by_both(&app, &raw("")).await;
    assert!(is_taken, "{response}");
    assert!(
        response.contains("vary: Accept-Encoding, Authorization, X-Api-Key, Origin\n"),
        "{response}"
    );
    for (origin, is_allowed) in [
        (ORIGIN, true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let request = raw(&format!("Origin: {origin}\r\n"));
        let (response, is_taken) = assert_same_by_both(&app, &request).await;
        assert!(!is_taken, "{origin}: {response}");
        assert!(response.contains("; hit; "), "{origin}: {response}");
        assert!(response.contains(", Origin\n"), "{origin}: {response}");
        assert_eq!(response.contains("access-control-"), is_allowed, "{origin}");
    }
}

/// The names in a list of header fields, sorted.
fn names(list: &str) -> Vec<String> {
    let mut names: Vec<_> = list.split(',').map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn lists_of_header_fields_are_those_of_the_document() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let asked = "authorization,traceparent,tracestate,x-request-id";
    let preflight = preflight(&app, ORIGIN, asked).await;
    let allowed = names(preflight.header("access-control-allow-headers"));
    for name in names(asked) {
        assert!(allowed.contains(&name), "{name}");
    }
    let token = issuer.sign(&of_alva());
    let request = app
        .request("/customer/me")
        .header("origin", ORIGIN)
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let answer = Answer::of(request).await;
    let exposed = names(answer.assert_ok().header("access-control-expose-headers"));
    assert!(!exposed.contains(&"cache-status".to_owned()));
    let document = include_str!("../../docs/API.md");
    let listed = |row: &str| {
        let row = document.lines().find_map(|line| line.strip_prefix(row));
        let row = row.expect("a row of the table").replace(['`', '|'], "");
        names(&row.to_lowercase())
    };
    assert_eq!(allowed, listed("| may be sent |"));
    assert_eq!(exposed, listed("| may be read |"));
}

#[tokio::test]
async fn page_reads_the_rate_limit_of_a_429() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
        let jwt = config.auth.jwt.as_mut().expect("set");
        jwt.requests_per_second = Some(1);
    })
    .await;
    let token = issuer.sign(&of_alva());
    let answer = loop {
        let request = app
            .request("/customer/me")
            .header("origin", ORIGIN)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = Answer::of(request).await;
        if answer.status == 429 {
            break answer;
        }
    };
    let exposed = names(answer.header("access-control-expose-headers"));
    for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
        assert!(exposed.contains(&name.to_owned()), "{exposed:?}");
        assert_ne!(answer.header(name), "", "{name}");
    }
}
