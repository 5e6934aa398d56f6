//! Random sequences of reloads and requests, compared with a simple model: a key is accepted while it is in the
//! configuration that was last loaded without a mistake, and the usage of a client's rate still counts after reloads
//! that do not change the rate.

use std::{collections::BTreeMap, time::Duration};

use engage_bff::config::{ClientConfig, Config};
use proptest::{
    prelude::*,
    test_runner::{self, RngSeed, TestRunner},
};
use tokio::runtime::Runtime;

use super::{by_id, client};
use crate::harness::TestApp;

/// Two keys of each of two clients, with the digests of `test-key-0` to `test-key-3`.
const KEYS: [(&str, &str, &str); 4] = [
    (
        "shop",
        "test-key-0",
        "a4ae5da25b6835432a75dcbf05d044c164de43ae9091f2a12ca28568b69c396a",
    ),
    (
        "shop",
        "test-key-1",
        "1255558df586ae279007fffa27ec17451d1507f7ac5442add9ffbc070f9f623b",
    ),
    (
        "reader",
        "test-key-2",
        "e25dcda7a7c513d31cb469727bd4283c8d975f1778fb1efab4e28d2a761fda01",
    ),
    (
        "reader",
        "test-key-3",
        "62e9bcbfdcbc6e8fa0068aa5b1daf8b981493da783847f6fd0dbbe7f533e4097",
    ),
];

const SEQUENCES: u32 = 24;
const SEED: u64 = 2026;

#[derive(Clone, Debug)]
enum Step {
    /// Adds the key to the configuration, or removes it.
    Key(usize),
    Rate(&'static str, Option<u32>),
    /// Puts a mistake into the configuration, or removes it.
    Mistake,
    Reload,
    Request(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let clients = prop_oneof![Just("shop"), Just("reader")];
    let rates = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    prop_oneof![
        2 => (0..KEYS.len()).prop_map(Step::Key),
        1 => (clients, rates).prop_map(|(client, rate)| Step::Rate(client, rate)),
        1 => Just(Step::Mistake),
        3 => Just(Step::Reload),
        8 => (0..KEYS.len()).prop_map(Step::Request),
        1 => prop_oneof![Just(250), Just(500), Just(1000)].prop_map(Step::Wait),
    ]
}

/// What is configured.
#[derive(Clone, Default)]
struct Settings {
    keys: [bool; 4],
    rates: BTreeMap<&'static str, u32>,
    has_mistake: bool,
}

impl Settings {
    fn has_client(&self, id: &str) -> bool {
        let mut keys = KEYS.iter().zip(self.keys);
        keys.any(|((client, ..), is_set)| *client == id && is_set)
    }

    /// Writes the clients of these settings, made from those of the harness, and any mistake into the configuration.
    fn apply(&self, config: &mut Config, all: &[ClientConfig]) {
        config.auth.clients = all.to_vec();
        for id in ["shop", "reader"] {
            let keys = KEYS.iter().zip(self.keys);
            let keys = keys.filter(|((client, ..), is_set)| *client == id && *is_set);
            let client = client(config, id);
            client.key_sha256 = keys.map(|((.., digest), _)| (*digest).to_owned()).collect();
            client.requests_per_second = self.rates.get(id).copied();
        }
        config
            .auth
            .clients
            .retain(|client| !client.key_sha256.is_empty());
        config.engage.burst = if self.has_mistake { 0 } else { 1_000_000 };
    }
}

/// The settings in force, and what each client has left of a second's worth of requests, in milliseconds.
#[derive(Default)]
struct Model {
    configured: Settings,
    in_force: Settings,
    left: BTreeMap<&'static str, u64>,
}

const FULL: u64 = 1000;

impl Model {
    /// Reloads the configured settings. Returns whether that succeeds.
    fn reload(&mut self) -> bool {
        if self.configured.has_mistake {
            return false;
        }
        let before = std::mem::replace(&mut self.in_force, self.configured.clone());
        for id in ["shop", "reader"] {
            let is_same =
                before.has_client(id) && before.rates.get(id) == self.in_force.rates.get(id);
            if !is_same {
                self.left.insert(id, FULL);
            }
        }
        true
    }

    fn request(&mut self, key: usize) -> u16 {
        let (id, ..) = KEYS[key];
        if !self.in_force.keys[key] {
            return 401;
        }
        let Some(rate) = self.in_force.rates.get(id) else {
            return 200;
        };
        let left = self.left.entry(id).or_insert(FULL);
        let Some(rest) = left.checked_sub(FULL / u64::from(*rate)) else {
            return 429;
        };
        *left = rest;
        200
    }

    fn wait(&mut self, milliseconds: u64) {
        for left in self.left.values_mut() {
            *left = (*left + milliseconds).min(FULL);
        }
    }
}

async fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let app = TestApp::spawn().await;
    app.get(&by_id()).await.assert_ok();
    let mut all = Vec::new();
    app.configure(|config| all.clone_from(&config.auth.clients));
    let mut model = Model::default();
    let is_loaded = {
        app.configure(|config| model.configured.apply(config, &all));
        app.try_reload().await.is_ok()
    };
    prop_assert!(is_loaded && model.reload());
    for (index, step) in steps.iter().enumerate() {
        match *step {
            Step::Key(key) => model.configured.keys[key] ^= true,
            Step::Rate(id, None) => drop(model.configured.rates.remove(id)),
            Step::Rate(id, Some(rate)) => drop(model.configured.rates.insert(id, rate)),
            Step::Mistake => model.configured.has_mistake ^= true,
            Step::Reload => {
                app.configure(|config| model.configured.apply(config, &all));
                let is_loaded = app.try_reload().await.is_ok();
                prop_assert_eq!(is_loaded, model.reload(), "step {}", index);
            }
            Step::Request(key) => {
                let (_, text, _) = KEYS[key];
                let status = app.get_as(text, &by_id()).await.status;
                prop_assert_eq!(status, model.request(key), "step {}", index);
            }
            Step::Wait(milliseconds) => {
                app.advance(Duration::from_millis(milliseconds));
                model.wait(milliseconds);
            }
        }
    }
    Ok(())
}

#[test]
fn reloads_and_requests_agree_with_a_model() {
    let config = test_runner::Config {
        cases: SEQUENCES,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        ..test_runner::Config::default()
    };
    let runtime = Runtime::new().expect("a runtime");
    let sequences = proptest::collection::vec(step(), 1..60);
    let outcome = TestRunner::new(config).run(&sequences, |steps| runtime.block_on(run(&steps)));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
