//! The console's files: static, without data, and under a policy that lets a browser load nothing else. What the page does
//! is tested in a browser, by `scripts/browser`.

use std::collections::BTreeSet;

use engage_bff::domain::{IdentifierKind, Part};

use crate::harness::{Answer, TestApp};

const TOKEN: &str = "an-operators-token";

/// The addresses of files that a text refers to by `href` and `src`.
fn references(page: &str) -> Vec<&str> {
    let of = |attribute| {
        let after = page.split(attribute).skip(1);
        after.filter_map(|rest| rest.split('"').next())
    };
    let all = of(" href=\"").chain(of(" src=\""));
    all.filter(|reference| !reference.starts_with('#'))
        .collect()
}

#[tokio::test]
async fn page_refers_only_to_its_own_files_under_a_strict_policy() {
    let app = TestApp::with(|config| config.operations.token = Some(TOKEN.into())).await;
    let page = app.operations("/").await;
    page.assert_ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_guarded(&page);
    let references = references(page.text()).into_iter();
    let is_other = |reference: &&str| reference.starts_with("data:") || *reference == "metrics";
    let mut files: Vec<_> = references
        .filter(|reference| !is_other(reference))
        .map(str::to_owned)
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let mut at = 0;
    while let Some(name) = files.get(at).cloned() {
        at += 1;
        let file = app.operations(&format!("/{name}")).await;
        file.assert_ok();
        assert!(file.body.len() > 100, "{name}");
        assert_guarded(&file);
        for import in file.text().split(" from \"./").skip(1) {
            let import = import.split('"').next().unwrap_or_default();
            let import = format!("console/{import}");
            if !files.contains(&import) {
                files.push(import);
            }
        }
    }
    assert!(files.len() >= 10, "{files:?}");
    for inline in ["<style", " style=", "onclick", "<script>"] {
        assert!(!page.text().contains(inline), "{inline}");
    }
}

#[track_caller]
fn assert_guarded(file: &Answer) {
    let policy = file.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; "),
        "{policy}"
    );
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    assert_eq!(file.header("cache-control"), "private, no-store");
    assert_eq!(file.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn other_file_names_are_404_to_operators_and_401_to_others() {
    let app = TestApp::with(|config| config.operations.token = Some(TOKEN.into())).await;
    for name in ["console.js.map", "..%2Fconsole.rs", "README.md"] {
        let target = format!("/console/{name}");
        app.operations(&target)
            .await
            .assert_problem(401, "Unauthorized");
        let request = app.operations_request(&target).bearer_auth(TOKEN);
        Answer::of(request).await.assert_problem(404, "NotFound");
    }
}

#[tokio::test]
async fn link_of_another_site_opens_the_page_and_nothing_else() {
    let app = TestApp::spawn().await;
    let send = async |target: &str, fields: &[(&str, &str)]| {
        let mut request = app.operations_request(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Answer::of(request).await.status
    };
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(send("/", &link).await, 200);
    for target in [
        "/metrics",
        "/readyz",
        "/cache/enabled",
        "/console/console.js",
    ] {
        assert_eq!(send(target, &link).await, 403, "{target}");
    }
    let mut frame = link;
    frame[2].1 = "iframe";
    let mut script = link;
    script[1].1 = "no-cors";
    for fields in [frame, script] {
        assert_eq!(send("/", &fields).await, 403, "{fields:?}");
    }
    let with_origin = [&link[..], &[("origin", "https://evil.example")]].concat();
    assert_eq!(send("/", &with_origin).await, 403);
    let other_host = [&link[..], &[("host", "evil.example")]].concat();
    assert_eq!(send("/", &other_host).await, 403);
}

#[tokio::test]
async fn page_knows_each_part_and_each_kind_of_identifier() {
    let app = TestApp::with(|_| {}).await;
    let script = app.operations("/console/lookup.js").await;
    script.assert_ok();
    let list = |name: &str| {
        let (_, rest) = script
            .text()
            .split_once(&format!("const {name} = ["))
            .expect(name);
        let (list, _) = rest.split_once(']').expect("its end");
        let names = list.split(',');
        let names = names.map(|name| name.trim().trim_matches('"').to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let parts = Part::ALL.map(|part| part.as_str().to_owned());
    assert_eq!(list("PARTS"), BTreeSet::from(parts));
    let kinds = IdentifierKind::ALL.map(|kind| kind.as_str().to_owned());
    assert_eq!(list("KINDS"), BTreeSet::from(kinds));
}
