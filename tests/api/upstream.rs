//! The path to Engage: connections that died unnoticed, requests that were certainly not processed, and harmless
//! variations of how an answer is written.

mod kept;
pub(crate) mod relay;
mod repeats;
mod rewriter;
mod variations;

use engage_bff::config::Config;

use self::relay::Relay;
use crate::harness::TestApp;

/// That contact's profile: one call of the overview where it is not cached.
fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

/// Contacts about whom no test knows anything special.
fn ids(app: &TestApp) -> Vec<String> {
    app.engage.contact_ids().split_off(5)
}

/// The service, which asks the simulator through the relay.
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
