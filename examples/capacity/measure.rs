//! Measures one setting: first the calls per session without a budget, then whether one API key really supports the
//! sessions per second that follow from it.

use std::time::Duration;

use crate::{replica::Budget, settings::Setting, shop::Shop, tally::Stretch, visitors::Visitors};

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Sessions that are counted.
    pub(crate) sessions: u64,
    /// The minimum time before counting starts.
    pub(crate) settling: Duration,
    /// The maximum time for filling the cache.
    pub(crate) filling: Duration,
    /// The seed of everything random.
    pub(crate) seed: u64,
}

impl Scale {
    /// A run long enough for a steady state.
    pub(crate) fn whole(sessions: u64, seed: u64) -> Self {
        Self {
            sessions,
            // Longer than nine sessions in ten.
            settling: Duration::from_mins(15),
            filling: Duration::MAX,
            seed,
        }
    }

    fn filling(&self, setting: &Setting) -> Duration {
        setting.memory().min(self.filling)
    }
}

/// A first guess of the calls per session.
const GUESS: f64 = 5.0;
/// The load while the cache fills, as a share of the supported rate.
const FILLING: f64 = 0.6;
/// The loads that are verified, as shares of the supported rate: below it and beyond it.
const WELL: f64 = 0.9;
const TOO_MUCH: f64 = 1.5;

/// The result for one setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// Without a call budget.
    pub(crate) wanted: Stretch,
    /// Sessions per second that the budget supports.
    pub(crate) carried: f64,
    /// The bytes of the records in the fullest replica at the end.
    pub(crate) bytes: u64,
}

/// What callers saw under the call budget.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof {
    /// At [`WELL`] of the supported rate.
    pub(crate) well: Stretch,
    /// At [`TOO_MUCH`] of it.
    pub(crate) too_much: Stretch,
}

/// Counts the calls per session. The more sessions there are, the more contacts are still cached, so it is counted at the
/// supported rate itself, which is found in two steps.
pub(crate) fn find(setting: &Setting, visitors: &Visitors, scale: Scale) -> Finding {
    let budget = setting.config.engage.requests_per_second;
    run(async {
        let mut shop =
            Shop::new(setting, visitors, Budget::Ample, budget / GUESS, scale.seed).await;
        shop.pass(scale.settling).await;
        for filling in [scale.filling(setting), Duration::ZERO] {
            let cost = shop.watch(scale.sessions / 4).await.calls_per_session();
            shop.set_rate(budget / cost);
            shop.pass(filling + scale.settling).await;
        }
        let wanted = shop.watch(scale.sessions).await;
        Finding {
            carried: budget / wanted.calls_per_session(),
            wanted,
            bytes: shop.cached_bytes(),
        }
    })
}

/// Measures what callers see near the supported rate, and beyond it.
pub(crate) fn prove(setting: &Setting, carried: f64, visitors: &Visitors, scale: Scale) -> Proof {
    run(async {
        let mut shop = Shop::new(
            setting,
            visitors,
            Budget::OneKey,
            carried * FILLING,
            scale.seed,
        )
        .await;
        shop.pass(scale.filling(setting) + scale.settling).await;
        shop.set_rate(carried * WELL);
        shop.pass(scale.settling / 3).await;
        let well = shop.watch(scale.sessions).await;
        shop.set_rate(carried * TOO_MUCH);
        shop.pass(scale.settling / 3).await;
        let too_much = shop.watch(scale.sessions / 4).await;
        Proof { well, too_much }
    })
}

/// Runs on one thread, which checks for other events only when all tasks are idle, so that runs are reproducible.
fn run<T>(shop: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .event_interval(u32::MAX)
        .build()
        .expect("a runtime without drivers")
        .block_on(shop)
}
