//! `GET /events`: the samples of `/metrics` and the readiness, once a second, for operators that watch.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, TestApp, contract, wait_until},
    sensitive::assert_no_sensitive_data,
};

const SECOND: Duration = Duration::from_secs(1);
/// The most operators that may watch at the same time.
const MAX_VIEWERS: usize = 16;

/// A stream of events that is read as it comes.
struct Viewer {
    response: reqwest::Response,
    unread: String,
}

impl Viewer {
    async fn open(app: &TestApp) -> Self {
        let response = app.operations_request("/events").send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200);
        Self {
            response,
            unread: String::new(),
        }
    }

    /// The text of the next event; `None` at the end.
    async fn next_text(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(event);
            }
            let chunk = self.response.chunk().await.expect("a chunk or the end")?;
            self.unread
                .push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// The name and the data of the next event.
    async fn next(&mut self) -> Option<(String, Value)> {
        let text = self.next_text().await?;
        let (name, data) = text.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        let data = data.strip_prefix("data: ").expect("data");
        contract::assert_is(&contract::OPERATIONS, "Event", data.as_bytes());
        Some((name, serde_json::from_str(data).expect("JSON")))
    }
}

#[tokio::test]
async fn first_event_has_every_sample_and_later_ones_the_differences() {
    let app = TestApp::spawn().await;
    let mut viewer = Viewer::open(&app).await;
    assert_eq!(
        viewer.response.headers()["content-type"],
        "text/event-stream"
    );
    let (name, first) = viewer.next().await.expect("an event");
    assert_eq!(name, "samples");
    assert_eq!(first["at"], "2026-11-23T12:00:00.000Z");
    assert_eq!(first["readiness"], app.operations("/readyz").await.json());
    let metrics = app.operations("/metrics").await;
    let series: Vec<_> = metrics
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    assert!(series.len() > 50, "{series:?}");
    for series in series {
        assert!(!first["samples"][series].is_null(), "no {series}");
    }
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    app.advance(SECOND);
    let (name, next) = viewer.next().await.expect("an event");
    assert_eq!(name, "difference");
    assert_eq!(next["at"], "2026-11-23T12:00:01.000Z");
    assert_eq!(next["samples"]["engage_bff_cache_records"], json!(1.0));
    assert_eq!(next["samples"].get("engage_bff_cache_enabled"), None);
    assert_no_sensitive_data("an event", &next.to_string());
}

#[tokio::test]
async fn all_viewers_get_the_same_reading_at_the_same_time() {
    let app = TestApp::spawn().await;
    let mut early = Viewer::open(&app).await;
    early.next().await.expect("an event");
    app.advance(SECOND * 7 / 10);
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    let mut late = Viewer::open(&app).await;
    let (name, first) = late.next().await.expect("an event");
    assert_eq!(
        (name.as_str(), &first["at"]),
        ("samples", &json!("2026-11-23T12:00:00.000Z"))
    );
    app.advance(SECOND * 3 / 10);
    let text = early.next_text().await.expect("an event");
    assert!(text.starts_with("event: difference\n"), "{text}");
    assert_eq!(late.next_text().await, Some(text));
}

#[tokio::test]
async fn viewers_are_bounded_and_a_disconnected_one_frees_its_place() {
    let app = TestApp::spawn().await;
    let mut viewers = Vec::new();
    for _ in 0..MAX_VIEWERS {
        let mut viewer = Viewer::open(&app).await;
        viewer.next().await.expect("an event");
        viewers.push(viewer);
    }
    let refused = app.operations("/events").await;
    refused.assert_problem(503, "Overloaded");
    assert_eq!(refused.header("retry-after"), "10");
    viewers.pop();
    let mut status = refused.status;
    for _ in 0..1000 {
        status = Answer::head_of(app.operations_request("/events"))
            .await
            .status;
        if status == 200 {
            break;
        }
    }
    assert_eq!(status, 200);
}

#[tokio::test]
async fn events_end_when_the_replica_shuts_down() {
    let app = TestApp::with(|config| config.server.shutdown_delay = 10 * SECOND).await;
    let mut viewer = Viewer::open(&app).await;
    let (_, first) = viewer.next().await.expect("an event");
    assert_eq!(first["readiness"]["ready"], true);
    app.begin_shutdown();
    wait_until(|| crate::harness::logs().contains("readiness withdrawn")).await;
    app.advance(SECOND);
    let (_, last) = viewer.next().await.expect("an event");
    assert_eq!(last["readiness"]["ready"], false);
    assert_eq!(viewer.next().await, None);
    app.advance(10 * SECOND);
    app.stop().await.expect("a whole shutdown");
}
