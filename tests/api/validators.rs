//! Validators and content codings: `ETag`, 304, gzip, `HEAD`, and `no-store` on every answer.

use std::{io::Read, time::Duration};

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TILL, TestApp};

fn alva() -> String {
    format!("email={}", ALVA.email)
}

async fn get_with(app: &TestApp, query: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = app.customer(TILL, query);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await
}

fn gunzip(answer: &Answer) -> Value {
    let mut text = String::new();
    GzDecoder::new(&answer.body[..])
        .read_to_string(&mut text)
        .expect("gzip");
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn assert_not_modified(answer: &Answer, etag: &str) {
    assert_eq!(answer.status, 304);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("etag"), etag);
    assert!(!answer.headers.contains_key("content-type"));
    assert!(!answer.headers.contains_key("content-encoding"));
    assert_no_store(answer);
    assert!(answer.header("cache-status").starts_with("engage-bff; "));
    assert!(answer.headers.contains_key("age"));
}

#[track_caller]
fn assert_no_store(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "private, no-store"),
        ("cdn-cache-control", "no-store"),
        ("vary", "Accept-Encoding, Authorization, X-Api-Key"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), value, "{}", answer.status);
    }
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn matching_if_none_match_is_304_in_either_coding() {
    let app = TestApp::spawn().await;
    let plain = app.get(&alva()).await;
    let etag = plain.assert_ok().header("etag");
    assert!(
        etag.starts_with('"') && etag.ends_with('"'),
        "strong: {etag}"
    );
    let etag_gzip = format!("{}-gzip\"", etag.trim_end_matches('"'));
    for (validator, expected) in [
        (etag.to_owned(), etag),
        (etag_gzip.clone(), &etag_gzip),
        (format!("W/{etag}"), etag),
        (format!("\"other\", {etag}"), etag),
        (format!("\"other\",{etag_gzip} , \"third\""), &etag_gzip),
    ] {
        for accepted in ["identity", "gzip"] {
            let headers = [
                ("if-none-match", &*validator),
                ("accept-encoding", accepted),
            ];
            let answer = get_with(&app, &alva(), &headers).await;
            assert_not_modified(&answer, expected);
        }
    }
    for (accepted, expected) in [("identity", etag), ("gzip", &etag_gzip)] {
        let headers = [("if-none-match", "*"), ("accept-encoding", accepted)];
        assert_not_modified(&get_with(&app, &alva(), &headers).await, expected);
    }
    for other in ["\"other\"", "", &etag[1..etag.len() - 1]] {
        let answer = get_with(&app, &alva(), &[("if-none-match", other)]).await;
        answer.assert_ok();
        assert_eq!(answer.header("etag"), etag);
    }
}

#[tokio::test]
async fn matching_if_none_match_is_304_after_a_miss() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=none", alva());
    let etag = app.get(&query).await.header("etag").to_owned();
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    // The same content was fetched again, and the ETag does not cover when.
    let answer = get_with(&app, &query, &[("if-none-match", &etag)]).await;
    assert_not_modified(&answer, &etag);
    answer.assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.overview_calls(), 2);
}

/// The body without the times at which its parts were fetched.
fn without_freshness(answer: &Answer) -> Value {
    let mut body = answer.json();
    let freshness = body.as_object_mut().expect("an object").remove("freshness");
    assert!(freshness.is_some());
    body
}

#[tokio::test]
async fn refresh_that_changes_nothing_else_keeps_the_etag() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let first = app.get(&alva()).await;
    for accepted in ["identity", "gzip"] {
        app.advance(Duration::from_secs(10));
        let fresh = app.get(&format!("{}&fresh=points", alva())).await;
        assert_ne!(fresh.at("/freshness/points"), first.at("/freshness/points"));
        assert_eq!(without_freshness(&fresh), without_freshness(&first));
        assert_eq!(fresh.header("etag"), first.header("etag"));
        app.advance(Duration::from_secs(3));
        let headers = [
            ("if-none-match", first.header("etag")),
            ("accept-encoding", accepted),
        ];
        let answer = get_with(&app, &alva(), &headers).await;
        assert_not_modified(&answer, first.header("etag"));
        // The age is that of the data now, not of the caller's copy.
        let full = app.get(&alva()).await;
        assert_eq!(answer.header("age"), full.header("age"));
    }
    app.engage.contact(ALVA.id).points("1");
    let changed = app.get(&format!("{}&fresh=points", alva())).await;
    assert_ne!(changed.header("etag"), first.header("etag"));
    let validator = [("if-none-match", first.header("etag"))];
    let answer = get_with(&app, &alva(), &validator).await;
    answer.assert_ok();
    assert_eq!(answer.header("etag"), changed.header("etag"));
}

#[tokio::test]
async fn refresh_in_the_background_keeps_a_shops_copy_current() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none", ALVA.email);
    let first = app.get_as(SHOP, &query).await;
    first.assert_ok();
    let as_of = first.at("/freshness/profile/asOf");
    let mut taken = app.fast_path_total();
    let mut now = first.at("/freshness/profile/asOf");
    while now == as_of {
        app.advance(Duration::from_secs(61));
        now = app.get_as(SHOP, &query).await.at("/freshness/profile/asOf");
    }
    for _ in 0..2 {
        let request = app.customer(SHOP, &query);
        let answer = Answer::of(request.header("if-none-match", first.header("etag"))).await;
        assert_not_modified(&answer, first.header("etag"));
        taken = app.fast_path_total() - taken;
    }
    assert!(taken > 0, "the fast path compares it too");
}

#[tokio::test]
async fn degraded_answer_has_another_etag() {
    let app = TestApp::spawn().await;
    let first = app.get(&alva()).await;
    app.advance(Duration::from_secs(600));
    let busy = Fault::Status(500, json!("busy"));
    app.engage.fault(Endpoint::All, busy);
    let stale = app.get(&alva()).await;
    stale.assert_stale_if_error();
    assert_ne!(stale.at("/degraded"), json!([]));
    assert_ne!(stale.header("etag"), first.header("etag"));
}

#[tokio::test]
async fn every_variant_of_an_answer_has_its_own_etag() {
    let app = TestApp::spawn().await;
    let mut etags = std::collections::HashSet::new();
    for shape in [
        "",
        "&view=storefront",
        "&parts=none",
        "&channel=POS",
        "&channel=ECOM",
        "&expiringWithin=365d",
    ] {
        let answer = app.get(&format!("{}{shape}", alva())).await;
        etags.insert(answer.assert_ok().header("etag").to_owned());
    }
    let bo = app.get(&format!("contactId={}", BO.id)).await;
    etags.insert(bo.assert_ok().header("etag").to_owned());
    assert_eq!(etags.len(), 7);
    // Every lookup of the contact returns the same answer.
    let by_id = app.get(&format!("contactId={}", ALVA.id)).await;
    assert!(etags.contains(by_id.header("etag")));
}

#[tokio::test]
async fn answer_is_compressed_only_if_accepted() {
    let app = TestApp::spawn().await;
    let plain = app.get(&alva()).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let is_compressed = async || {
        let answer = get_with(&app, &alva(), &[("accept-encoding", "gzip")]).await;
        answer.headers.contains_key("content-encoding")
    };
    // The response is compressed in the background after the first request that accepts gzip; no request waits for
    // that.
    assert!(!is_compressed().await);
    while !is_compressed().await {}
    for accepted in [
        "gzip",
        "gzip, deflate, br",
        "br;q=1.0, gzip;q=0.5",
        "*",
        "GZIP",
    ] {
        let answer = get_with(&app, &alva(), &[("accept-encoding", accepted)]).await;
        answer.assert_ok();
        assert_eq!(answer.header("content-encoding"), "gzip", "{accepted}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(gunzip(&answer), plain.json());
        assert!(answer.body.len() < plain.body.len());
        assert_ne!(answer.header("etag"), plain.header("etag"));
        assert_eq!(
            answer.header("etag"),
            format!("{}-gzip\"", plain.header("etag").trim_end_matches('"'))
        );
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
    }
    for refused in [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "*;q=0",
        "gzip;q=0.0, *",
        "deflate",
    ] {
        let answer = get_with(&app, &alva(), &[("accept-encoding", refused)]).await;
        assert!(
            !answer.headers.contains_key("content-encoding"),
            "{refused}"
        );
        assert_eq!(answer.json(), plain.json());
        assert_eq!(answer.header("etag"), plain.header("etag"));
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_without_a_body() {
    let app = TestApp::spawn().await;
    let cold = app.head(&alva()).await;
    cold.assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    let got = app.get(&alva()).await;
    let head = app.head(&alva()).await;
    head.assert_ok().assert_hit();
    assert!(head.body.is_empty());
    for name in ["etag", "content-type", "content-length", "age", "vary"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_no_store(&head);
    let unknown = app.head("email=unknown@example.com").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.is_empty());
    assert_no_store(&unknown);
}

#[tokio::test]
async fn every_answer_forbids_storing_by_caches_in_front() {
    let app = TestApp::spawn().await;
    let ok = app.get(&alva()).await;
    assert_no_store(ok.assert_ok());
    assert_no_store(app.get(&alva()).await.assert_hit());
    assert_no_store(&app.lookup(json!({"contactId": ALVA.id})).await);
    for (query, status) in [
        ("email=unknown@example.com", 404),
        ("email=shared@example.com", 409),
        ("email=nonsense", 400),
        ("", 400),
        ("email=a@example.com&nonsense=1", 400),
    ] {
        let answer = app.get(query).await;
        assert_eq!(answer.status, status, "{query}");
        assert_no_store(&answer);
        assert!(!answer.headers.contains_key("etag"));
    }
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    let failed = app.get(&format!("contactId={}", BO.id)).await;
    assert_no_store(failed.assert_problem(502, "UpstreamFailed"));
    for (target, key, status) in [
        ("/customer", None, 401),
        ("/customer/", Some(TILL), 404),
        ("/nowhere", None, 401),
        ("/nowhere", Some(TILL), 404),
        ("/livez", None, 200),
        ("/readyz", None, 200),
    ] {
        let mut request = app.request(target);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{target}");
        assert_no_store(&answer);
    }
}
