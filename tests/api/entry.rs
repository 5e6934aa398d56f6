//! Browser pages that reach a listener without a credential: through DNS rebinding, or with a request that needs no
//! preflight.

use std::net::SocketAddr;

use engage_bff::http::{ListenerKind, ROUTES};
use engage_simulator::fixtures::ALVA;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{Answer, TILL, TestApp, logs};

/// Every operation of the operations listener, each with a valid body, and an unknown path.
fn operations() -> Vec<(Method, String, &'static str)> {
    let everything = "{\"all\": true}";
    let alva = "{\"email\": \"alva.testsson@example.com\"}";
    let get = |path: &str| (Method::GET, path.to_owned(), "");
    let operations = vec![
        get("/"),
        get("/console/console.js"),
        get("/docs"),
        get("/docs/operations"),
        get("/openapi.json"),
        get("/openapi-operations.json"),
        get("/events"),
        get("/cache/decisions"),
        (Method::POST, "/reload".to_owned(), ""),
        (Method::GET, "/livez".to_owned(), ""),
        (Method::HEAD, "/readyz".to_owned(), ""),
        (Method::GET, "/readyz".to_owned(), ""),
        (Method::GET, "/metrics".to_owned(), ""),
        (Method::GET, "/cache/stats".to_owned(), ""),
        (Method::GET, "/cache/enabled".to_owned(), ""),
        (Method::PUT, "/cache/enabled".to_owned(), "false"),
        (Method::POST, "/cache/explain".to_owned(), alva),
        (Method::POST, "/cache/purge".to_owned(), everything),
        (Method::POST, "/cache/purge".to_owned(), alva),
        (Method::DELETE, format!("/cache/contacts/{}", ALVA.id), ""),
        (Method::OPTIONS, "/cache/purge".to_owned(), ""),
        (Method::GET, "/nowhere".to_owned(), ""),
    ];
    for route in &ROUTES {
        let has_route = |(method, path, _): &(Method, String, &str)| {
            let is_its_path = match route.path.split_once('{') {
                None => path == route.path,
                Some((stem, _)) => path.starts_with(stem),
            };
            is_its_path && *method == route.method
        };
        let is_listed = operations.iter().any(has_route);
        let is_data = route.listener() == ListenerKind::Data;
        assert!(is_data || is_listed, "{} {}", route.method, route.path);
    }
    operations
}

async fn operate(
    app: &TestApp,
    (method, target, body): &(Method, String, &'static str),
    fields: &[(&str, &str)],
) -> Answer {
    let mut request = app.operations_request(target).body(*body);
    if !fields.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut request = request.build().expect("a request");
    *request.method_mut() = method.clone();
    if target == "/events" {
        return app.execute_for_head(request).await;
    }
    app.execute(request).await
}

fn with_fields(mut request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request
}

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

/// Headers of requests from pages of other sites, with those that browsers add.
const OF_OTHER_SITES: [&[(&str, &str)]; 10] = [
    &[("host", "evil.example")],
    &[("host", "evil.example:9090")],
    &[("host", "localhost.evil.example")],
    &[("host", "192.0.2.1")],
    &[("host", "0.0.0.0")],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("origin", "http://localhost:1")],
    &[("sec-fetch-site", "cross-site")],
    &[
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "no-cors"),
    ],
];

#[tokio::test]
async fn cross_site_requests_to_the_operations_listener_are_403_without_effect() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    for fields in OF_OTHER_SITES {
        for operation in operations() {
            let answer = operate(&app, &operation, fields).await;
            assert_eq!(answer.status, 403, "{operation:?} {fields:?}");
            if operation.0 != Method::HEAD && operation.1 != "/events" {
                answer.assert_problem(403, "Forbidden");
                let detail = answer.at("/detail");
                let detail = detail.as_str().expect("text");
                assert!(detail.contains("operations.hosts"), "{detail}");
                assert!(!detail.contains("evil"), "{detail}");
            }
        }
    }
    // A form may be sent by any page without a preflight.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let purge = (Method::POST, "/cache/purge".to_owned(), "{\"all\": true}");
        let answer = operate(&app, &purge, &[("content-type", kind)]).await;
        answer.assert_problem(415, "UnsupportedMediaType");
    }
    app.get(&alva()).await.assert_hit();
    let enabled = app.operations("/cache/enabled").await;
    assert_eq!(enabled.json(), json!(true));
}

#[tokio::test]
async fn same_origin_and_listed_hosts_reach_the_operations_listener() {
    let app = TestApp::with(|config| {
        config.operations.hosts = vec!["Ops.example.com".to_owned()];
    })
    .await;
    let address = app.operations_request("/").build().expect("a request");
    let own = address.url().authority().to_owned();
    let same_origin = format!("http://{own}");
    for fields in [
        vec![],
        vec![("host", &*own)],
        vec![("host", "localhost")],
        vec![("host", "LOCALHOST.:9090")],
        vec![("host", "127.0.0.2:1")],
        vec![("host", "[::1]:9090")],
        vec![("host", "ops.example.com:443")],
        vec![("host", "OPS.example.com.")],
        vec![("host", &*own), ("origin", &*same_origin)],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "same-origin")],
        vec![
            ("host", "ops.example.com"),
            ("origin", "https://ops.example.com"),
            ("sec-fetch-site", "same-origin"),
        ],
    ] {
        for operation in operations() {
            let answer = operate(&app, &operation, &fields).await;
            let expected = match (&operation.0, &*operation.1) {
                (_, "/nowhere") => 404,
                (&Method::OPTIONS, _) => 405,
                (&Method::PUT | &Method::DELETE, _) | (_, "/cache/purge") => 204,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{operation:?} {fields:?}");
        }
    }
}

#[tokio::test]
async fn wildcard_listener_accepts_ip_hosts_and_localhost_but_no_other_name() {
    let app = TestApp::with(|config| {
        config.operations.listen = SocketAddr::from(([0, 0, 0, 0], 0));
        config.operations.token = Some("an-operators-token".into());
    })
    .await;
    let port = app.operations_request("/").build().expect("a request");
    let port = port.url().port().expect("a port");
    let status_for = async |host: &str| {
        let url = format!("http://127.0.0.1:{port}/metrics");
        let request = reqwest::Request::new(Method::GET, url.parse().expect("a URL"));
        let mut request = request;
        let host = host.parse().expect("a value");
        request.headers_mut().insert("host", host);
        app.execute(request).await.status
    };
    for accepted in ["192.0.2.7:9090", "[2001:db8::7]:9090", "localhost"] {
        assert_eq!(status_for(accepted).await, 200, "{accepted}");
    }
    for refused in ["engage-bff:9090", "evil.example"] {
        assert_eq!(status_for(refused).await, 403, "{refused}");
    }
}

#[tokio::test]
async fn operations_token_does_not_allow_cross_site_requests() {
    let app = TestApp::with(|config| {
        config.operations.token = Some("an-operators-token".into());
    })
    .await;
    let token = ("authorization", "Bearer an-operators-token");
    for fields in OF_OTHER_SITES {
        for operation in operations() {
            let answer = operate(&app, &operation, &[&[token], fields].concat()).await;
            assert_eq!(answer.status, 403, "{operation:?} {fields:?}");
        }
    }
}

#[tokio::test]
async fn operations_refusals_are_audited_up_to_ten_at_once() {
    let app = TestApp::spawn().await;
    let scrape = (Method::GET, "/metrics".to_owned(), "");
    for _ in 0..50 {
        operate(&app, &scrape, &[("host", "evil.example")]).await;
    }
    let logs = logs();
    let events: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("operations request refused"))
        .collect();
    assert_eq!(events.len(), 10);
    for event in events {
        assert!(event.contains("engage_bff::audit"), "{event}");
        assert!(event.contains("\"why\":\"host\""), "{event}");
        assert!(!event.contains("evil"), "{event}");
    }
    let metrics = app.operations("/metrics").await;
    let line = "engage_bff_problems_total{code=\"Forbidden\",status=\"403\"} 50";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

async fn anonymous() -> TestApp {
    TestApp::with(|config| config.auth.allow_anonymous = true).await
}

#[tokio::test]
async fn anonymous_cross_site_requests_for_a_customer_are_403() {
    let app = anonymous().await;
    let target = format!("/customer?{}", alva());
    Answer::of(app.request(&target)).await.assert_ok();
    // The customer is cached now: hits are checked too.
    Answer::of(app.request(&target)).await.assert_hit();
    let calls = app.engage.total_calls();
    for fields in OF_OTHER_SITES {
        for target in [&*target, "/customer/me", "/nowhere"] {
            let answer = Answer::of(with_fields(app.request(target), fields)).await;
            answer.assert_problem(403, "Forbidden");
            assert!(!answer.text().contains("evil"), "{}", answer.text());
        }
        let mut lookup = app
            .post("")
            .body(json!({"contactId": ALVA.id}).to_string())
            .build()
            .expect("a request");
        lookup.headers_mut().remove("x-api-key");
        for (name, value) in fields {
            let name: reqwest::header::HeaderName = name.parse().expect("a name");
            lookup
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        app.execute(lookup).await.assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), calls);
    let own = format!("http://{}", app.address);
    for fields in [
        vec![("host", "localhost:8080")],
        vec![("host", "[::1]")],
        vec![("origin", &*own), ("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
    ] {
        let answer = Answer::of(with_fields(app.request(&target), &fields)).await;
        answer.assert_ok();
        answer.assert_hit();
    }
}

#[tokio::test]
async fn credentialed_requests_and_probes_may_use_any_host() {
    for app in [TestApp::spawn().await, anonymous().await] {
        for fields in OF_OTHER_SITES {
            let request = with_fields(app.customer(TILL, &alva()), fields);
            assert_eq!(Answer::of(request).await.status, 200, "{fields:?}");
            for probe in ["/livez", "/readyz"] {
                let request = with_fields(app.request(probe), fields);
                assert_eq!(Answer::of(request).await.status, 200, "{fields:?}");
            }
        }
    }
}
