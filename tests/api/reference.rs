//! The API reference on the operations listener: the OpenAPI documents, and HTML pages that load no other resource.

use crate::harness::{Answer, TestApp};

const TOKEN: &str = "an-operators-token";
const DOCUMENTS: [&str; 2] = ["/openapi.json", "/openapi-operations.json"];
const PAGES: [&str; 2] = ["/docs", "/docs/operations"];

#[tokio::test]
async fn operators_read_the_committed_documents() {
    let app = TestApp::with(|config| config.operations.token = Some(TOKEN.into())).await;
    let get = |target| {
        let request = app.operations_request(target);
        Answer::of(request.header("authorization", format!("Bearer {TOKEN}")))
    };
    for (target, committed) in [
        ("/openapi.json", include_str!("../../docs/openapi.json")),
        (
            "/openapi-operations.json",
            include_str!("../../docs/openapi-operations.json"),
        ),
    ] {
        let document = get(target).await;
        let media_type = document.assert_ok().header("content-type");
        assert_eq!(media_type, "application/json");
        assert_eq!(document.text(), committed);
        assert_eq!(document.at("/openapi"), "3.1.0");
    }
    for target in PAGES {
        let page = get(target).await;
        let media_type = page.assert_ok().header("content-type");
        assert_eq!(media_type, "text/html; charset=utf-8");
    }
    for target in DOCUMENTS.into_iter().chain(PAGES) {
        let unknown = app.operations(target).await;
        unknown.assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn pages_load_no_other_resource_and_every_link_resolves() {
    let app = TestApp::spawn().await;
    for target in PAGES {
        let page = app.operations(target).await;
        let policy = page.assert_ok().header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        let text = page.text();
        for foreign in ["<script", "src=", "@import", "url(", "http://", "style=\""] {
            assert!(!text.contains(foreign), "{target}: {foreign}");
        }
        let links = text.split("href=\"").skip(1);
        for link in links.filter_map(|rest| rest.split('"').next()) {
            let is_target = |id: &str| text.contains(&format!("id=\"{id}\""));
            let leads_somewhere = DOCUMENTS.contains(&link)
                || PAGES.contains(&link)
                || link.strip_prefix('#').is_some_and(is_target);
            assert!(leads_somewhere, "{target}: {link}");
        }
    }
}
