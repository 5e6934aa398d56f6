//! What one setting carries: first how many calls a session costs when as many may be made as are
//! wanted, then whether the sessions a second that follow from it are really carried by one API key.

use std::time::Duration;

use crate::{people::People, replica::Budget, settings::Setting, shop::Shop, tally::Stretch};

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How many sessions are counted.
    pub(crate) sessions: u64,
    /// The least time before anything is counted.
    pub(crate) settling: Duration,
    /// The longest time that the cache is given to fill.
    pub(crate) filling: Duration,
    /// What everything random is drawn from.
    pub(crate) seed: u64,
}

impl Scale {
    /// A run that is long enough for so many sessions to be like those before them.
    pub(crate) fn whole(sessions: u64, seed: u64) -> Self {
        Self {
            sessions,
            // Longer than nearly every session.
            settling: Duration::from_mins(15),
            filling: Duration::MAX,
            seed,
        }
    }

    fn filling(&self, setting: &Setting) -> Duration {
        setting.memory().min(self.filling)
    }
}

/// Calls a session at a guess, before they are counted.
const GUESS: f64 = 5.0;
/// How much of what is carried comes while the cache fills.
const FILLING: f64 = 0.6;
/// How much of what is carried must be carried well, and how much can't be.
const WELL: f64 = 0.9;
const TOO_MUCH: f64 = 1.5;

/// What was found of one setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// With as many calls as are wanted.
    pub(crate) wanted: Stretch,
    /// Sessions a second that the budget carries.
    pub(crate) carried: f64,
    /// The bytes that were held at the end.
    pub(crate) bytes: u64,
}

/// What callers of one setting saw within the budget.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof {
    /// At [`WELL`] of what is carried.
    pub(crate) well: Stretch,
    /// At [`TOO_MUCH`] of it.
    pub(crate) too_much: Stretch,
}

/// Counts what sessions cost, until so many have begun. The more sessions there are, the more of them
/// are of people who were here lately, so it is counted at the very rate that is carried, which is found
/// in two steps.
pub(crate) fn find(setting: &Setting, people: &People, scale: Scale) -> Finding {
    let budget = setting.config.engage.requests_per_second;
    run(async {
        let mut shop = Shop::new(setting, people, Budget::Ample, budget / GUESS, scale.seed).await;
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
            bytes: shop.bytes_held(),
        }
    })
}

/// Shows what callers see near what is carried, and beyond.
pub(crate) fn prove(setting: &Setting, carried: f64, people: &People, scale: Scale) -> Proof {
    run(async {
        let mut shop = Shop::new(
            setting,
            people,
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

/// One thread, whose tasks all rest before anything else is looked at: so runs repeat to the letter.
fn run<T>(shop: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .event_interval(u32::MAX)
        .build()
        .expect("a runtime without drivers")
        .block_on(shop)
}
