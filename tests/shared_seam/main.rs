//! How a miss uses the shared tier: two replicas of the customer service over the stand-in of its server, a simulator
//! of Engage, and one clock.

mod corrections;
mod faults;
mod matches;
mod replicas;
#[path = "../standin.rs"]
mod standin;

use std::time::Duration;

use engage_bff::{
    cache::parts::Origins,
    customer::{CacheStatus, Error, Found},
    domain::{Lookup, Part, PartSet},
    engage,
    shared_tier::InvalidationScope,
};
use engage_simulator::Endpoint;

use self::{
    replicas::{ASKED, LIFETIME, RequestOptions, World, by_email, contact_id},
    standin::Operation,
};

const SECOND: Duration = Duration::from_secs(1);
/// After this time every part is in the last tenth of its lifetime, or just past it.
const AHEAD: Duration = Duration::from_millis(54_500);
const ALVA: &str = "alva@example.com";

/// The balance of the points in an answer.
fn balance(found: &Found) -> String {
    let parts = found.record.parts().expect("the parts");
    let points = parts.points.expect("points").data;
    points.accounts[0].balance.to_string()
}

/// Lets other tasks run for this long.
async fn pause(time: Duration) {
    let mut ticks = tokio::time::interval(time);
    ticks.tick().await;
    ticks.tick().await;
}

fn status(found: Result<Found, Error>) -> CacheStatus {
    found.expect("an answer").verdict.status
}

#[tokio::test]
async fn another_replicas_data_is_served_without_a_call() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    assert_eq!(status(a.get(ALVA).await), CacheStatus::Miss);
    let calls = world.engage.total_calls();
    world.advance(5 * SECOND, &[]).await;
    let found = b.get(ALVA).await.expect("an answer");
    assert_eq!(found.verdict.status, CacheStatus::Shared);
    assert_eq!(found.record.id, contact_id(&id));
    assert_eq!(found.shown, ASKED);
    assert!(found.verdict.age >= 5 * SECOND && found.verdict.age < 6 * SECOND);
    assert!(found.verdict.ttl <= 55);
    assert!(!found.verdict.stored);
    assert_eq!(status(b.get(ALVA).await), CacheStatus::Hit);
    assert_eq!(world.engage.total_calls(), calls);
}

#[tokio::test]
async fn unknown_identifier_costs_one_call_for_all() {
    let world = World::start().await;
    let [a, b] = world.replicas().await;
    for replica in [&a, &b, &b] {
        let refusal = replica.get("unknown@example.com").await.err();
        assert_eq!(refusal, Some(engage::Error::NotFound.into()));
    }
    assert_eq!(world.engage.total_calls(), 1);
}

#[tokio::test]
async fn many_requests_at_both_replicas_make_each_call_once() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    let hold = world.engage.hold(Endpoint::Overview);
    let requests: Vec<_> = (0..20)
        .map(|number| [&a, &b][number % 2].spawn_get(ALVA))
        .collect();
    world.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let _clock = world.run_clock();
    pause(Duration::from_millis(50)).await;
    drop(hold);
    for request in requests {
        request.await.expect("no panic").expect("an answer");
    }
    assert_eq!(world.engage.calls(Endpoint::Overview), 1);
    assert_eq!(world.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn fresh_part_never_comes_from_another_replica() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    let _ = world.engage.contact(&id).points("20");
    world.engage.reset_log();
    let options = RequestOptions {
        fresh: Part::Points.into(),
        ..RequestOptions::default()
    };
    let found = b.ask(&by_email(ALVA), options).await.expect("an answer");
    assert_eq!(balance(&found), "20");
    assert_eq!(found.verdict.status, CacheStatus::Request);
    // Everything else comes from the other replica.
    assert_eq!(world.engage.total_calls(), 1);
    // Neither replica's data is young enough for this request.
    world.advance(SECOND, &[]).await;
    let options = RequestOptions {
        max_age: Some(SECOND / 2),
        ..RequestOptions::default()
    };
    let found = a.ask(&by_email(ALVA), options).await.expect("an answer");
    assert_eq!(balance(&found), "20");
}

#[tokio::test]
async fn call_of_other_parts_is_not_waited_for() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    let by_id = Lookup::by_id(contact_id(&id));
    for replica in [&a, &b] {
        let found = replica.ask(&by_id, RequestOptions::default()).await;
        found.expect("an answer");
    }
    world.advance(LIFETIME * 2, &[]).await;
    world.engage.reset_log();
    let _hold = world.engage.hold(Endpoint::Vouchers);
    let vouchers = RequestOptions {
        asked: Part::Vouchers.into(),
        fresh: Part::Vouchers.into(),
        ..RequestOptions::default()
    };
    drop(b.spawn_ask(&by_id, vouchers));
    world.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    // While the clock stands still.
    let others = RequestOptions {
        asked: PartSet::ALWAYS,
        ..RequestOptions::default()
    };
    let found = a.spawn_ask(&by_id, others);
    let found = tokio::time::timeout(5 * SECOND, found).await;
    let found = found.expect("it does not wait").expect("no panic");
    assert_eq!(found.expect("an answer").shown, PartSet::ALWAYS);
}

#[tokio::test]
async fn fresh_profile_resolves_the_identifier_again() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    world.engage.reset_log();
    let options = RequestOptions {
        fresh: PartSet::INVALIDATABLE.intersection(ASKED),
        ..RequestOptions::default()
    };
    let found = b.ask(&by_email(ALVA), options).await.expect("an answer");
    assert_eq!(found.verdict.status, CacheStatus::Request);
    for endpoint in [
        Endpoint::ContactIdLookup,
        Endpoint::Contact,
        Endpoint::Vouchers,
        Endpoint::PointAccounts,
    ] {
        assert_eq!(world.engage.calls(endpoint), 1, "{endpoint:?}");
    }
}

#[tokio::test]
async fn max_age_bounds_another_replicas_data() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    world.advance(20 * SECOND, &[]).await;
    let within = |seconds: u32| RequestOptions {
        max_age: Some(seconds * SECOND),
        ..RequestOptions::default()
    };
    let lookup = by_email(ALVA);
    assert_eq!(
        status(b.ask(&lookup, within(30)).await),
        CacheStatus::Shared
    );
    world.engage.reset_log();
    let found = b.ask(&lookup, within(10)).await.expect("an answer");
    assert_eq!(found.verdict.status, CacheStatus::Request);
    assert!(found.verdict.age < SECOND);
    assert!(world.engage.total_calls() >= 1);
    // The other replica takes the result of that call.
    let calls = world.engage.total_calls();
    world.advance(SECOND, &[]).await;
    let found = a.ask(&lookup, within(10)).await.expect("an answer");
    assert_eq!(
        world.engage.total_calls(),
        calls,
        "{:?}",
        world.engage.log()
    );
    assert_eq!(
        found.verdict.status,
        CacheStatus::Shared,
        "{found:?} {:?}",
        world.engage.log()
    );
}

#[tokio::test]
async fn answer_overtaken_elsewhere_reaches_its_requests_and_no_memory() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    let hold = world.engage.hold(Endpoint::Overview);
    let request = a.spawn_get(ALVA);
    world.engage.wait_for_calls(Endpoint::Overview, 1).await;
    b.announce_purge(&id).await;
    drop(hold);
    request.await.expect("no panic").expect("an answer");
    // Neither replica has the alias, which came from that overview.
    let cached = |replica: &replicas::Replica| {
        let memory = replica.customers.explain(&by_email(ALVA));
        memory.alias.is_some()
    };
    assert!(!cached(&a) && !cached(&b));
    assert_eq!(status(b.get(ALVA).await), CacheStatus::Miss);
}

#[tokio::test]
async fn end_of_the_epoch_overtakes_every_answer_in_flight() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    let hold = world.engage.hold(Endpoint::Overview);
    let request = a.spawn_get(ALVA);
    world.engage.wait_for_calls(Endpoint::Overview, 1).await;
    b.announce(InvalidationScope::Everything).await;
    drop(hold);
    request.await.expect("no panic").expect("an answer");
    world.settle(&[]).await;
    assert_eq!(status(a.get(ALVA).await), CacheStatus::Miss);
}

#[tokio::test]
async fn refresh_ahead_takes_another_replicas_newer_data() {
    let world = World::start().await;
    world.contact(ALVA);
    let replicas = world.replicas().await;
    let [a, b] = &replicas;
    a.get(ALVA).await.expect("an answer");
    b.get(ALVA).await.expect("an answer");
    // Every part is in the last tenth of its lifetime, or just past it.
    world.advance(AHEAD, &replicas).await;
    world.engage.reset_log();
    let refreshed = |replica: &replicas::Replica| {
        let by_id = replica.customers.explain(&by_email(ALVA));
        let ages = by_id.contacts.iter().flat_map(|contact| &contact.parts);
        ages.map(|(_, age)| age.age).max()
    };
    let wait_for_refresh = async |replica: &replicas::Replica| {
        for _ in 0..2000 {
            replica.get(ALVA).await.expect("an answer");
            if refreshed(replica).is_some_and(|oldest| oldest < 10 * SECOND) {
                return;
            }
            pause(Duration::from_millis(1)).await;
        }
        panic!("not refreshed: {:?}", refreshed(replica));
    };
    wait_for_refresh(a).await;
    let calls = world.engage.total_calls();
    assert!(calls > 0);
    world.advance(SECOND, &replicas).await;
    wait_for_refresh(b).await;
    assert_eq!(world.engage.total_calls(), calls);
    // The tier has no newer data for the next refresh, which calls Engage instead and does not query the tier again and
    // again.
    world.advance(AHEAD, &replicas).await;
    let fetches = || {
        let calls = world.standin.calls();
        calls
            .iter()
            .filter(|(_, kind)| *kind == Operation::Fetch)
            .count()
    };
    let before = fetches();
    wait_for_refresh(b).await;
    assert!(world.engage.total_calls() > calls);
    assert!(fetches() - before <= 6, "{}", fetches() - before);
}

#[tokio::test]
async fn refused_call_gives_up_its_lease() {
    let world = World::start().await;
    world.contact(ALVA);
    world.contact("bo@example.com");
    let poor = world.replica((1, 0.01));
    let rich = world.replica(replicas::BUDGET);
    let replicas = [poor, rich];
    world.settle(&replicas).await;
    let [poor, rich] = &replicas;
    // This uses up the burst, so the points are refused.
    let _ = poor.get(ALVA).await;
    world.engage.reset_log();
    let refused = poor.get("bo@example.com").await;
    assert!(refused.is_err());
    // Answered at once: the clock stands still.
    rich.get("bo@example.com").await.expect("an answer");
    assert_eq!(world.engage.calls(Endpoint::Overview), 1);
}

#[tokio::test]
async fn failed_call_gives_up_its_lease() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    let fault = engage_simulator::Fault::Status(500, serde_json::Value::Null);
    world.engage.fault_times(Endpoint::Overview, fault, 1);
    assert!(a.get(ALVA).await.is_err());
    b.get(ALVA).await.expect("an answer");
}

#[tokio::test]
async fn cache_that_is_off_does_not_use_the_tier() {
    let world = World::start().await;
    world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    b.customers.switch_cache(false);
    let uses = || {
        let calls = world.standin.calls();
        let of_b = calls.iter().filter(|(number, kind)| {
            let kinds = [Operation::Fetch, Operation::Store, Operation::Release];
            *number == b.connection.number() && kinds.contains(kind)
        });
        of_b.count()
    };
    let before = uses();
    assert_eq!(status(b.get(ALVA).await), CacheStatus::Bypass);
    assert_eq!(uses(), before);
}

#[tokio::test]
async fn age_of_another_replicas_part_is_kept() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    world.advance(LIFETIME / 2, &[]).await;
    let found = b.get(ALVA).await.expect("an answer");
    let profile = found.record.provenance(Part::Profile).expect("a profile");
    assert!(profile.is_shared);
    assert_eq!(found.record.id, contact_id(&id));
    // Half of its lifetime is left.
    assert!(
        found.verdict.ttl <= 30 && found.verdict.ttl >= 20,
        "{}",
        found.verdict.ttl
    );
}
