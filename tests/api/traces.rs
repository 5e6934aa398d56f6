//! Traces over OTLP: the contents of spans, the trace that each belongs to, which requests are traced, and that no
//! request waits for the collector.

mod collector;
mod content;
mod export;
mod log;
mod sampling;

use std::fmt::Write;

use engage_bff::config::Config;

use self::collector::Collector;
use crate::harness::TestApp;

/// The id of a caller's trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The `traceparent` of the caller's trace.
fn traceparent(is_sampled: bool) -> String {
    format!("00-{TRACE}-{PARENT}-{:02x}", u8::from(is_sampled))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
    }
    text
}

/// The service, which traces every request, and its collector.
async fn traced() -> (TestApp, Collector) {
    traced_with(1.0, |_| {}).await
}

/// The service, which traces this share of requests, with a changed configuration.
async fn traced_with(ratio: f64, change: impl FnOnce(&mut Config)) -> (TestApp, Collector) {
    let collector = Collector::start().await;
    let app = TestApp::with(|config| {
        config.telemetry.otlp_endpoint = Some(collector.url.clone());
        config.telemetry.trace_sample_ratio = ratio;
        change(config);
    })
    .await;
    (app, collector)
}
