//! The connection to Engage: connections that died silently, requests that were certainly not processed, and harmless
//! variations of the answers.

mod pooled;
pub(crate) mod relay;
mod repeats;
mod rewriter;
mod variations;

use engage_bff::config::Config;

use self::relay::Relay;
use crate::harness::TestApp;

/// A query for the contact's profile: one overview call if it is not cached.
fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

/// Contacts without special data.
fn ids(app: &TestApp) -> Vec<String> {
    app.engage.contact_ids().split_off(5)
}

/// The service, which calls the simulator through the relay.
async fn behind(relay: &mut Relay, change: impl FnOnce(&mut Config)) -> TestApp {
    let mut simulator = String::new();
    let app = TestApp::with(|config| {
        simulator = std::mem::replace(&mut config.engage.base_url, relay.base_url());
        change(config);
    })
    .await;
    let address = simulator
        .strip_prefix("http://")
        .expect("plain HTTP on loopback");
    relay.serve(address.trim_end_matches('/').to_owned());
    app
}
