//! Look-ups by identifiers that move between contacts, interleaved with changes, webhooks, purges and the passing of
//! time, while aliases are learned. Each response is compared with the simulator's world, all of whose states are
//! known: it may be about a contact that had the identifier within the windows of P2 and the overview's lag, and not
//! before the last invalidation.
//!
//! The test fails if the service ignores conflicts, learns without the contact type, trusts a learned alias without
//! comparing it with the profile, or keeps the result of `/contacts/id` although a profile from its entity endpoint
//! contradicts it.
//!
//! ```text
//! scripts/learned-aliases                      1,000,000 look-ups
//! LEARNED_SEED=7 LEARNED_LOOKUPS=5000000 scripts/learned-aliases
//! ```

mod people;
mod truth;

use std::time::Duration;

use engage_bff::{
    config::CustomKeyField,
    customer::{self, CustomerQuery},
    domain::{ContactId, Part, PartSet},
    engage,
};
use futures_util::future::join_all;

use self::{
    people::{Contacts, KINDS, Wanted},
    truth::{Claim, Moment, Truth},
};
use crate::harness::TestApp;

/// Concurrent look-ups.
const BATCH: usize = 64;
/// The greatest age of what is served: a lifetime and either stale window.
const WINDOW: Duration = Duration::from_secs(60 + 30);
const LAG: Duration = Duration::from_secs(120);

struct Plan {
    seed: u64,
    lookups: usize,
    /// The longest time between two batches, in milliseconds.
    pause: u64,
}

/// How the look-ups ended.
#[derive(Debug, Default)]
struct Counts {
    answered: usize,
    not_found: usize,
    ambiguous: usize,
    mismatches: usize,
    moves: usize,
}

#[tokio::test]
async fn interleaved_lookups_of_moving_identifiers_find_no_wrong_contact() {
    let plan = Plan {
        seed: 2026,
        lookups: 20_000,
        pause: 3_000,
    };
    run(&plan).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_million_lookups_of_moving_identifiers_find_no_wrong_contact() {
    let variable = |name| variable(name).and_then(|text| text.parse().ok());
    let plan = Plan {
        seed: variable("LEARNED_SEED").unwrap_or_else(|| fastrand::u64(..)),
        lookups: variable("LEARNED_LOOKUPS").map_or(1_000_000, |lookups| {
            usize::try_from(lookups).expect("a number of look-ups")
        }),
        pause: 3_000,
    };
    println!(
        "LEARNED_SEED={} LEARNED_LOOKUPS={}",
        plan.seed, plan.lookups
    );
    let (counts, calls) = run(&plan).await;
    println!("{counts:?}, {calls} calls to Engage");
}

/// Makes the look-ups and judges each. Returns their outcomes, and the number of calls that they cost.
async fn run(plan: &Plan) -> (Counts, usize) {
    fastrand::seed(plan.seed);
    let app = service().await;
    let mut contacts = Contacts::create(&app.engage);
    let mut truth = Truth::new(contacts.state(), WINDOW, LAG);
    // After this time the overview shows the contacts as they were before the first move.
    app.advance(LAG);
    truth.advance(LAG);
    let (mut counts, mut calls) = (Counts::default(), 0);
    let mut made = 0;
    while made < plan.lookups {
        let wanted: Vec<Wanted> = (0..BATCH).map(|_| contacts.any_wanted()).collect();
        let outcomes = batch(&app, &mut contacts, &mut truth, &mut counts, &wanted).await;
        for (wanted, outcome) in wanted.iter().zip(&outcomes) {
            let seed = plan.seed;
            judge(&truth, &contacts, &mut counts, wanted, outcome)
                .unwrap_or_else(|why| panic!("LEARNED_SEED={seed}, look-up {made}: {why}"));
            made += 1;
        }
        // What these responses showed counts for look-ups that begin later.
        for (id, claims) in outcomes.iter().flat_map(|outcome| &outcome.found) {
            truth.note_shown(contacts.person(*id).expect("a contact"), claims);
        }
        let pause = Duration::from_millis(fastrand::u64(0..plan.pause));
        // One pause in 200 is long enough for every profile and alias to expire.
        let pause = match fastrand::u32(0..200) {
            0 => WINDOW,
            _ => pause,
        };
        while app.engage.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        app.advance(pause);
        truth.advance(pause);
        calls += app.engage.total_calls();
        app.engage.reset_log();
    }
    // Most look-ups were answered, and most of them cost no call.
    assert!(counts.answered > plan.lookups / 2, "{counts:?}");
    assert!(calls < plan.lookups / 4, "{calls} calls, {counts:?}");
    assert!(counts.moves > plan.lookups / 500, "{counts:?}");
    assert!(counts.mismatches < plan.lookups / 1000, "{counts:?}");
    (counts, calls)
}

async fn service() -> TestApp {
    let app = TestApp::with(|config| {
        config.identifiers.unique = KINDS.to_vec();
        config.engage.custom_key = Some(CustomKeyField::MemberNumber);
        config.telemetry.digest_key = Some(people::DIGEST_KEY.into());
        "warn".clone_into(&mut config.telemetry.log);
        // Data served during a fault is not older than other stale data, so one window applies to both.
        config.engage.overview_lag = LAG;
        config.cache.stale_if_error = config.cache.stale_while_revalidate;
        config.server.request_timeout = Duration::from_secs(60);
        config.engage.timeout = Duration::from_secs(60);
    })
    .await;
    app.engage.set_overview_lag(LAG);
    app
}

/// One look-up: when it began and ended, and what it found.
struct Outcome {
    began: Moment,
    ended: Moment,
    found: Result<(ContactId, Vec<Claim>), customer::Error>,
}

/// Makes these look-ups concurrently, and changes the world in the meantime.
async fn batch(
    app: &TestApp,
    contacts: &mut Contacts,
    truth: &mut Truth,
    counts: &mut Counts,
    wanted: &[Wanted],
) -> Vec<Outcome> {
    let time = truth.time();
    let lookups = wanted.iter().map(|wanted| {
        let time = time.clone();
        let query = query(app, wanted);
        async move {
            for _ in 0..fastrand::u32(0..40) {
                tokio::task::yield_now().await;
            }
            let began = time.mark();
            let query = CustomerQuery {
                arrival: app.customers.arrival(),
                now: app.customers.clock().now(),
                ..query
            };
            let found = app.customers.find(&query).await;
            let found = found.map(|found| (found.record.id, Claim::of(&found)));
            Outcome {
                began,
                ended: time.mark(),
                found,
            }
        }
    });
    let (outcomes, ()) = tokio::join!(join_all(lookups), disturb(app, contacts, truth, counts));
    outcomes
}

/// Moves identifiers, delivers changes, purges, and lets a little time pass.
async fn disturb(app: &TestApp, contacts: &mut Contacts, truth: &mut Truth, counts: &mut Counts) {
    for _ in 0..fastrand::u32(0..3) {
        for _ in 0..fastrand::u32(0..100) {
            tokio::task::yield_now().await;
        }
        match fastrand::u32(0..10) {
            0..3 => {
                let changed = contacts.change(&app.engage);
                truth.note_state(contacts.state());
                counts.moves += 1;
                // Some changes are reported to the service.
                for person in changed {
                    if fastrand::u32(0..3) == 0 {
                        invalidate(app, truth, contacts.id(person), person).await;
                    }
                }
            }
            3 => {
                let person = contacts.any();
                invalidate(app, truth, contacts.id(person), person).await;
            }
            4 if fastrand::bool() => {
                let value = contacts.any_wanted();
                let purged = app.customers.purge_by(&value.lookup).await;
                purged.expect("there is no shared tier");
            }
            _ => {
                let step = Duration::from_millis(fastrand::u64(0..1500));
                app.advance(step);
                truth.advance(step);
            }
        }
    }
}

/// Has the effect of the webhook `contact.updated`.
async fn invalidate(app: &TestApp, truth: &mut Truth, id: ContactId, person: usize) {
    let invalidated = app.customers.invalidate(id, Part::Profile.into()).await;
    invalidated.expect("there is no shared tier");
    let dropped = app.customers.drop_negatives().await;
    dropped.expect("there is no shared tier");
    truth.note_invalidated(person);
}

fn query(app: &TestApp, wanted: &Wanted) -> CustomerQuery {
    let now = app.customers.clock().now();
    let (lookup, deadline) = (wanted.lookup.clone(), now.tick + Duration::from_secs(60));
    let query = app
        .customers
        .query("till".into(), lookup, PartSet::ALWAYS, now, deadline);
    let profile = wanted.is_fresh.then_some(Part::Profile);
    CustomerQuery {
        fresh: profile.map_or(PartSet::EMPTY, PartSet::from),
        ..query
    }
}

fn judge(
    truth: &Truth,
    contacts: &Contacts,
    counts: &mut Counts,
    wanted: &Wanted,
    outcome: &Outcome,
) -> Result<(), String> {
    match &outcome.found {
        Ok((id, _)) => {
            counts.answered += 1;
            let person = contacts.person(*id).ok_or("not one of the contacts")?;
            truth.check(wanted, person, outcome)?;
        }
        Err(customer::Error::Upstream(engage::Error::NotFound)) => counts.not_found += 1,
        Err(customer::Error::Upstream(engage::Error::MultipleMatches(_))) => counts.ambiguous += 1,
        // The identifier moved between the resolution and the profile.
        Err(customer::Error::Upstream(engage::Error::IdentityMismatch)) => counts.mismatches += 1,
        Err(error) => return Err(format!("{wanted:?}: {error:?}")),
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to test is not a setting of the service"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
