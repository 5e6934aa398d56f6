//! The stand-in and a real server return the same: random operations on both, and their replies compared.
//!
//! Real time passes at the server, so times are left out. Lifetimes last a day; leases last no time or an hour, because
//! a server keeps an expired key for up to a millisecond, which a test can't observe reliably. `MODEL_CASES` and
//! `MODEL_SEED` have the same meaning as for the model tests.

mod both;
mod ops;

use engage_bff::{domain::PartMap, shared_tier::protocol::StoreReply};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};

use self::{both::Both, ops::Op};
use crate::redis_server::RedisServer;

const CASES: u32 = 150;
const SEED: u64 = 2026;

#[test]
fn stand_in_and_server_return_the_same() {
    let cases = setting("MODEL_CASES").and_then(|text| text.parse().ok());
    let seed = setting("MODEL_SEED").and_then(|text| text.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(CASES),
        rng_seed: RngSeed::Fixed(seed.unwrap_or(SEED)),
        failure_persistence: None,
        ..Config::default()
    });
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let sequences = proptest::collection::vec(ops::op(), 1..60);
    let outcome = runner.run(&sequences, |ops| {
        runtime.block_on(async {
            let mut both = Both::start(&server).await;
            for op in &ops {
                both.run(op).await?;
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Fails unless both returned the same.
fn same<T: PartialEq + std::fmt::Debug>(
    op: &Op,
    server: &T,
    standin: &T,
) -> Result<(), TestCaseError> {
    prop_assert!(
        server == standin,
        "{op:?}\n  server:   {server:?}\n  stand-in: {standin:?}"
    );
    Ok(())
}

/// The reply as text, which lists the overtaken and the stored parts.
fn stored(reply: StoreReply) -> String {
    format!("{reply:?}")
}

/// For each duration, whether it is longer than zero.
fn lasting(durations: &PartMap<std::time::Duration>) -> Vec<bool> {
    durations.iter().map(|(_, left)| !left.is_zero()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to test is not a setting of the service"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
