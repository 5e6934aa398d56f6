//! The route table over real HTTP: each route answers its method to a request with the credential that the route needs,
//! every other method of its path is a 405 with the right `Allow`, and the log event contains the path's template.

use std::time::Duration;

use engage_bff::http::{Access, ListenerKind, ROUTES, Route};
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, fixtures::ALVA};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TILL, TestApp, logs, wait_until};

const OPERATOR: &str = "an-operators-token";
/// After this time the log limit for unidentified callers allows its whole burst again.
const REFILL: Duration = Duration::from_secs(60);
const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
];

/// Each path with its `Allow`: a copy of the table, so that a test fails if only one of them is changed.
const PATHS: [(ListenerKind, &str, &str); 26] = [
    (ListenerKind::Data, "/customer", "GET, HEAD"),
    (ListenerKind::Data, "/customer/batch", "POST"),
    (ListenerKind::Data, "/customer/changed", "POST"),
    (ListenerKind::Data, "/customer/lookup", "POST"),
    (ListenerKind::Data, "/customer/me", "GET, HEAD"),
    (ListenerKind::Data, "/customer/prefetch", "POST"),
    (ListenerKind::Data, "/livez", "GET, HEAD"),
    (ListenerKind::Data, "/readyz", "GET, HEAD"),
    (ListenerKind::Data, "/webhooks/engage", "POST"),
    (ListenerKind::Operations, "/", "GET, HEAD"),
    (
        ListenerKind::Operations,
        "/cache/contacts/{contactId}",
        "DELETE",
    ),
    (ListenerKind::Operations, "/cache/decisions", "GET, HEAD"),
    (ListenerKind::Operations, "/cache/enabled", "GET, HEAD, PUT"),
    (ListenerKind::Operations, "/cache/explain", "POST"),
    (ListenerKind::Operations, "/cache/purge", "POST"),
    (ListenerKind::Operations, "/cache/stats", "GET, HEAD"),
    (ListenerKind::Operations, "/console/{file}", "GET, HEAD"),
    (ListenerKind::Operations, "/docs", "GET, HEAD"),
    (ListenerKind::Operations, "/docs/operations", "GET, HEAD"),
    (ListenerKind::Operations, "/events", "GET, HEAD"),
    (ListenerKind::Operations, "/livez", "GET, HEAD"),
    (ListenerKind::Operations, "/metrics", "GET, HEAD"),
    (
        ListenerKind::Operations,
        "/openapi-operations.json",
        "GET, HEAD",
    ),
    (ListenerKind::Operations, "/openapi.json", "GET, HEAD"),
    (ListenerKind::Operations, "/readyz", "GET, HEAD"),
    (ListenerKind::Operations, "/reload", "POST"),
];

async fn start() -> TestApp {
    TestApp::with(|config| {
        config.operations.token = Some(OPERATOR.into());
        config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await
}

struct Sent<'a> {
    listener: ListenerKind,
    method: Method,
    path: &'a str,
    has_credential: bool,
    request_id: &'a str,
}

/// Sends a request with a body that suits its path.
async fn send(app: &TestApp, sent: Sent<'_>) -> Answer {
    let query = match sent.path {
        "/customer" => format!("?contactId={}", ALVA.id),
        _ => String::new(),
    };
    let body = match sent.path {
        "/cache/enabled" => "true".to_owned(),
        "/customer/batch" => json!({"lookups": [{"contactId": ALVA.id}]}).to_string(),
        _ => json!({"contactId": ALVA.id}).to_string(),
    };
    let target = sent.path.replace("{contactId}", ALVA.id) + &query;
    let target = target.replace("{file}", "console.js");
    let request = match (sent.listener, sent.has_credential) {
        (ListenerKind::Data, true) => app.request(&target).header("x-api-key", TILL),
        (ListenerKind::Data, false) => app.request(&target),
        (ListenerKind::Operations, true) => app.operations_request(&target).bearer_auth(OPERATOR),
        (ListenerKind::Operations, false) => app.operations_request(&target),
    };
    let request = request
        .header("content-type", "application/json")
        .header("x-request-id", sent.request_id);
    let has_body = !matches!(sent.method, Method::GET | Method::HEAD | Method::TRACE);
    let request = if has_body {
        request.body(body)
    } else {
        request
    };
    let mut request = request.build().expect("a request");
    *request.method_mut() = sent.method;
    app.advance(REFILL);
    if sent.path == "/events" {
        return app.execute_for_head(request).await;
    }
    app.execute(request).await
}

/// The log event of the request, once it is written.
async fn event_of(request_id: &str) -> Value {
    let is_it = |event: &Value| event["message"] == "answered" && event["request_id"] == request_id;
    let find = || {
        let log = logs();
        let mut events = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        events.find(is_it)
    };
    wait_until(|| find().is_some()).await;
    find().expect("the event")
}

#[test]
fn table_lists_these_paths_and_no_other() {
    for (listener, path, allow) in PATHS {
        let routes = ROUTES
            .iter()
            .filter(|route| route.listener() == listener && route.path == path);
        let methods: Vec<_> = routes.map(|route| route.method.as_str()).collect();
        let allow = allow.replace(", HEAD", "");
        assert_eq!(methods.join(", "), allow, "{path}");
    }
    let is_listed = |route: &&Route| {
        let same = |(listener, path, _): &(ListenerKind, &str, &str)| {
            route.listener() == *listener && route.path == *path
        };
        PATHS.iter().any(same)
    };
    assert_eq!(ROUTES.iter().filter(is_listed).count(), ROUTES.len());
}

#[tokio::test]
async fn each_route_answers_and_is_logged_by_its_template() {
    let app = start().await;
    for (index, route) in ROUTES.iter().enumerate() {
        let head = (route.method == Method::GET).then_some(Method::HEAD);
        for method in [route.method.clone()].into_iter().chain(head) {
            let request_id = format!("route-{index}-{method}");
            let sent = Sent {
                listener: route.listener(),
                method: method.clone(),
                path: route.path,
                has_credential: true,
                request_id: &request_id,
            };
            let answer = send(&app, sent).await;
            let expected = match (route.access, route.path) {
                // The body has no signature.
                (Access::Signature, _) => 401,
                // The key is not a shopper's token.
                (_, "/customer/me") => 403,
                _ if route.method == Method::PUT || route.method == Method::DELETE => 204,
                (_, "/cache/purge" | "/customer/changed") => 204,
                (_, "/customer/prefetch") => 202,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{method} {}", route.path);
            let event = event_of(&request_id).await;
            assert_eq!(event["route"], route.path);
            assert_eq!(event["method"], method.as_str());
        }
    }
}

#[tokio::test]
async fn other_methods_of_a_path_are_405_with_its_allow() {
    let app = start().await;
    for (listener, path, allow) in PATHS {
        let methods: Vec<_> = allow.split(", ").collect();
        let mut others = METHODS.iter().filter(|it| !methods.contains(&it.as_str()));
        assert!(others.clone().count() >= 5, "{path}");
        for method in others.by_ref() {
            let request_id = format!(
                "other-{listener:?}-{method}-{}",
                path.replace(['/', '{', '}'], ".")
            );
            let sent = Sent {
                listener,
                method: method.clone(),
                path,
                has_credential: true,
                request_id: &request_id,
            };
            let answer = send(&app, sent).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            assert_eq!(event_of(&request_id).await["route"], path);
        }
    }
}

#[tokio::test]
async fn without_a_credential_only_probes_metrics_and_pages_are_served() {
    let app = start().await;
    for route in &ROUTES {
        let sent = Sent {
            listener: route.listener(),
            method: route.method.clone(),
            path: route.path,
            has_credential: false,
            request_id: "no-credential",
        };
        let answer = send(&app, sent).await;
        let expected = match route.access {
            Access::Probe | Access::Metrics | Access::Page => 200,
            Access::Caller | Access::Signature | Access::Operator => 401,
        };
        assert_eq!(answer.status, expected, "{} {}", route.method, route.path);
    }
}
