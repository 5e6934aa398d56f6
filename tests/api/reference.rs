//! The description of the service on its operations listener: the OpenAPI document and a page that loads nothing.

use crate::harness::{Answer, TestApp};

const TOKEN: &str = "an-operators-token";

#[tokio::test]
async fn operators_read_the_committed_document() {
    let app = TestApp::with(|config| config.operations.token = Some(TOKEN.into())).await;
    let get = |target| {
        let request = app.operations_request(target);
        Answer::of(request.header("authorization", format!("Bearer {TOKEN}")))
    };
    let document = get("/openapi.json").await;
    assert_eq!(
        document.assert_ok().header("content-type"),
        "application/json"
    );
    assert_eq!(document.text(), include_str!("../../docs/openapi.json"));
    assert_eq!(document.at("/openapi"), "3.1.0");
    let page = get("/docs").await;
    assert_eq!(
        page.assert_ok().header("content-type"),
        "text/html; charset=utf-8"
    );
    for target in ["/openapi.json", "/docs"] {
        let unknown = app.operations(target).await;
        unknown.assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn reference_loads_nothing_and_links_within_itself() {
    let app = TestApp::spawn().await;
    let page = app.operations("/docs").await;
    let policy = page.assert_ok().header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let text = page.text();
    for foreign in ["<script", "src=", "@import", "url(", "http://", "style=\""] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let links = text.split("href=\"").skip(1);
    for link in links.filter_map(|rest| rest.split('"').next()) {
        let is_target = |id: &str| text.contains(&format!("id=\"{id}\""));
        let leads_somewhere =
            link == "/openapi.json" || link.strip_prefix('#').is_some_and(is_target);
        assert!(leads_somewhere, "{link}");
    }
}
