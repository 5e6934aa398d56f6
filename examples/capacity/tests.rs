//! A small shop with a tiny call budget: its figures are reproducible and plausible.

use std::time::Duration;

use engage_bff::config::Mistakes;

use super::*;
use crate::{mix::Mix, settings::Spread, tally::Stretch};

/// Just enough to distinguish the settings: unoptimised runs are slow.
const SMALL: Scale = Scale {
    sessions: 60,
    settling: Duration::from_secs(120),
    filling: Duration::from_secs(60),
    seed: 7,
};

fn visitors() -> Visitors {
    Visitors::new(20_000, model::SKEW)
}

fn small(setting: Result<Setting, Mistakes>) -> Setting {
    let mut setting = setting.expect("a valid configuration");
    setting.config.engage.requests_per_second = 2.0;
    setting
}

fn found(setting: &Setting) -> Finding {
    measure::find(setting, &visitors(), SMALL)
}

fn cost(setting: &Setting) -> f64 {
    found(setting).wanted.calls_per_session()
}

#[test]
fn runs_with_the_same_seed_find_the_same_figures() {
    let setting = small(Setting::with_webhooks());
    assert_eq!(found(&setting), found(&setting));
    let sharing = setting.clone().among(2, Spread::Requests).sharing();
    assert_eq!(found(&sharing), found(&sharing));
    let prove = || measure::prove(&setting, 0.5, &visitors(), SMALL);
    assert_eq!(prove(), prove());
}

#[test]
fn longer_lifetimes_cost_fewer_calls() {
    let off = found(&small(Setting::off()));
    let seconds = found(&small(Setting::without_webhooks()));
    let minutes = found(&small(Setting::with_webhooks()));
    assert_eq!(off.wanted.hits, 0);
    let calls = |finding: &Finding| finding.wanted.calls_per_session();
    assert!((6.0..16.0).contains(&calls(&off)), "{}", calls(&off));
    assert!(calls(&seconds) < calls(&off) * 0.85, "{}", calls(&seconds));
    assert!(
        calls(&minutes) < calls(&seconds) * 0.75,
        "{}",
        calls(&minutes)
    );
    assert!(minutes.carried > seconds.carried && seconds.carried > off.carried);
}

#[test]
fn requesting_every_part_and_separate_replica_caches_cost_more_calls() {
    let one = small(Setting::with_webhooks());
    let alone = cost(&one);
    let everything = cost(&one.clone().requesting_all("all"));
    assert!(everything > alone, "{everything} {alone}");
    let in_turn = cost(&one.among(4, Spread::Requests));
    assert!(in_turn > alone * 1.3, "{in_turn} {alone}");
}

#[test]
fn replicas_that_share_a_tier_cost_little_more_than_one() {
    let one = small(Setting::with_webhooks());
    let alone = cost(&one);
    let sharing = found(&one.among(4, Spread::Requests).sharing());
    let calls = sharing.wanted.calls_per_session();
    assert!(calls < alone * 1.15, "{calls} {alone}");
    assert!(sharing.wanted.shared > sharing.wanted.hits / 10);
}

#[test]
fn further_identifiers_of_a_session_cost_calls_unless_unique() {
    let settings = Setting::identified().expect("valid configurations");
    let over_floor = |setting: &Setting| found(&small(Ok(setting.clone()))).wanted.over_floor();
    let [one, typed, untyped, unique] = [0, 1, 2, 4].map(|number| over_floor(&settings[number]));
    // A call may begin just after the last session that is counted.
    assert!((0.97..1.1).contains(&one), "{one}");
    assert!(typed > one + 0.1, "{typed} {one}");
    assert!((one - 0.03..typed).contains(&untyped), "{untyped} {typed}");
    // This saving is the purpose of `identifiers.unique`.
    assert!(unique <= 1.1 && unique < typed - 0.1, "{unique} {typed}");
}

#[test]
fn all_callers_are_answered_only_within_the_budget() {
    let setting = small(Setting::without_webhooks());
    // Three times the supported rate, so that a few sessions show it.
    let carried = found(&setting).carried * 2.0;
    let beyond = measure::prove(&setting, carried, &visitors(), SMALL).too_much;
    let below = measure::prove(&setting, carried * 0.3, &visitors(), SMALL).well;
    assert_eq!(below.refused + below.degraded + below.stale, 0);
    assert!(beyond.calls_per_second() < 2.2, "{beyond:?}");
    let failed = beyond.refused + beyond.degraded + beyond.stale;
    assert!(failed > beyond.queries / 20, "{beyond:?}");
}

#[test]
fn tables_and_plot_show_every_setting() {
    let setting = Setting::off().expect("a valid configuration");
    let stretch = Stretch {
        time: Duration::from_secs(10),
        sessions: 10,
        queries: 80,
        hits: 20,
        shared: 4,
        calls: [40, 0, 5, 5, 10],
        floor: [30, 0, 5, 5, 8],
        ..Stretch::default()
    };
    let proof = Proof {
        well: stretch.clone(),
        too_much: stretch.clone(),
    };
    let finding = Finding {
        wanted: stretch,
        carried: 8.3,
        bytes: 1_000_000,
    };
    let mut report = Report::default();
    report.add(&setting, finding.clone(), Some(proof));
    let two = setting.clone().among(2, Spread::Sticky);
    report.add(&two, finding.clone(), None);
    report.add(&setting.clone().sharing(), finding.clone(), None);
    let several = Mix::Several { typed_ids: true };
    report.add(&setting.by(several).unique(), finding, None);
    let tables = report.to_string();
    for row in [
        "| no cache | 4.00 | 0.00 | 0.50 | 0.50 | 1.00 | 6.00 | 25.0 % | **8.3** | 1 |",
        "| no cache | 90 % | 7.5 | 6.0 | 25.0 % | 0 | 0 | 0 | 0.0 s |",
        "| no cache | 1 | | no | 6.00 | 25.0 % | 5.0 % | 8.3 |",
        "| no cache | 1 | | yes | 6.00 | 25.0 % | 5.0 % | 8.3 |",
        "| several | with type | `email`, `customKey`, `mobilePhone` | 4.00 | 0.00 | 0.50 | 0.50 | 1.00 | 6.00 | 4.80 | 1.250 | 8.3 |",
        "| no cache | 2 | stay with one | no | 6.00 | 25.0 % | 5.0 % | 8.3 |",
    ] {
        assert!(tables.contains(row), "{row}\n{tables}");
    }
    let svg = chart::draw(&report);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains(">no cache<") && svg.contains(">8.3<") && svg.contains(">6.0<"));
}
