//! S2: an invalidation that one replica acknowledged takes effect at all of them.

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use crate::harness::{Mode, Replica, Replicas, Stopwatch, until, wait};

const SECOND: Duration = Duration::from_secs(1);
/// How long a replica may trust its memory after the stream was cut.
const PATIENCE: Duration = Duration::from_secs(2);

/// A configuration in which nothing is served beyond its lifetime.
pub(crate) fn without_stale_windows(config: &mut Config) {
    config.cache.stale_while_revalidate = Duration::ZERO;
    config.cache.stale_if_error = Duration::ZERO;
    // Longer than any request waits, so that stale data is never served because a call is slow.
    config.cache.stale_if_slow = Duration::from_secs(60);
}

async fn first_name(replica: &Replica, id: &str) -> serde_json::Value {
    replica.of(id).await.assert_ok().at("/profile/firstName")
}

/// Changes a contact and has one replica acknowledge the change. Returns the longest time after an acknowledgement at
/// which a request to a replica still got the old data.
async fn worst_delay(replicas: &Replicas, rounds: usize, is_purge: bool) -> Duration {
    let mut worst = Duration::ZERO;
    for round in 0..rounds {
        let name = json!(format!("Name {round}"));
        for replica in &replicas.all {
            first_name(replica, ALVA.id).await;
        }
        let editor = replicas.engage.contact(ALVA.id);
        editor.attribute("firstName", name.clone());
        let at = &replicas.all[round % 3];
        let status = if is_purge {
            at.purge(ALVA.id).await
        } else {
            at.webhook(&replicas.engage, "contact.updated", ALVA.id)
                .await
        };
        assert_eq!(status, 204);
        let acknowledged = Stopwatch::start();
        assert_eq!(first_name(at, ALVA.id).await, name);
        for other in &replicas.all {
            loop {
                let asked = acknowledged.elapsed();
                if first_name(other, ALVA.id).await == name {
                    break;
                }
                worst = worst.max(asked);
            }
        }
    }
    worst
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_webhook_reaches_all_replicas_within_a_second() {
    let replicas = Replicas::start().await;
    let worst = worst_delay(&replicas, 30, false).await;
    println!(
        "the last old answer after a webhook was requested {worst:?} after its acknowledgement"
    );
    assert!(worst < SECOND, "{worst:?}");
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_purge_reaches_all_replicas_within_a_second() {
    let replicas = Replicas::start().await;
    let worst = worst_delay(&replicas, 30, true).await;
    println!("the last old answer after a purge was requested {worst:?} after its acknowledgement");
    assert!(worst < SECOND, "{worst:?}");
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_of_everything_or_by_identifier_reaches_all_replicas() {
    let replicas = Replicas::start().await;
    for (number, body) in [
        json!({"email": ALVA.email}),
        json!({"all": true}),
        json!({"customKey": ALVA.member_number}),
    ]
    .into_iter()
    .enumerate()
    {
        for replica in &replicas.all {
            first_name(replica, ALVA.id).await;
        }
        let name = json!(format!("Name {number}"));
        let editor = replicas.engage.contact(ALVA.id);
        editor.attribute("firstName", name.clone());
        let status = replicas.all[number % 3].purge_by(&body).await;
        assert_eq!(status, 204, "{body}");
        let acknowledged = Stopwatch::start();
        for replica in &replicas.all {
            loop {
                let asked = acknowledged.elapsed();
                if first_name(replica, ALVA.id).await == name {
                    break;
                }
                assert!(asked < SECOND, "{body}");
            }
        }
    }
    replicas.stop().await;
}

/// A change that a caller reports reaches all replicas, by the contact's id, and by an address that another one has
/// looked up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_report_reaches_all_replicas_within_a_second() {
    let replicas = Replicas::start().await;
    for (number, (id, email)) in replicas.people().into_iter().take(12).enumerate() {
        let by_email = json!({"email": email, "contactType": "Member", "parts": ["profile"]});
        let by_id = json!({"contactId": id, "parts": ["profile"]});
        let body = if number % 2 == 0 { by_email } else { by_id };
        let query = format!("email={email}");
        // The first replica has the address in memory; the replica that gets the report does not.
        let (holder, at) = (&replicas.all[number % 3], &replicas.all[(number + 1) % 3]);
        holder.get(&query).await.assert_ok();
        let name = json!(format!("Name {number}"));
        let editor = replicas.engage.contact(&id);
        editor.attribute("firstName", name.clone());
        assert_eq!(at.report(&body).await, 204);
        let acknowledged = Stopwatch::start();
        for replica in &replicas.all {
            loop {
                let asked = acknowledged.elapsed();
                let answer = replica.get(&query).await;
                if answer.assert_ok().at("/profile/firstName") == name {
                    break;
                }
                assert!(asked < SECOND, "{body}");
            }
        }
    }
    replicas.stop().await;
}

/// Asserts that a replica whose connection to the server is in this mode serves old data for at most the fallback
/// lifetime.
async fn distrusts_its_memory(mode: Mode) {
    let fallback = 3 * SECOND;
    let replicas = Replicas::with(|config| {
        without_stale_windows(config);
        config.webhooks.fallback_lifetime = fallback;
        // Otherwise the overview's data would not be trusted before the lag has passed.
        config.engage.overview_lag = Duration::ZERO;
        config.engage.timeout = SECOND;
    })
    .await;
    let [cut, other, _] = &replicas.all[..] else {
        panic!("there are three");
    };
    // Webhooks work, so only the stream can end the trust. Data that was fetched before the first webhook is not
    // trusted.
    assert_eq!(
        other
            .webhook(&replicas.engage, "contact.updated", BO.id)
            .await,
        204
    );
    wait(SECOND).await;
    first_name(cut, ALVA.id).await;
    wait(fallback + SECOND).await;
    let trusted = cut.of(ALVA.id).await;
    assert!(
        trusted.cache_status().starts_with("engage-bff; hit"),
        "{}",
        trusted.cache_status()
    );

    cut.way.set(mode);
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    assert_eq!(
        other
            .webhook(&replicas.engage, "contact.updated", ALVA.id)
            .await,
        204
    );
    let acknowledged = Stopwatch::start();
    assert_eq!(first_name(other, ALVA.id).await, "New");
    let mut last = None;
    loop {
        let asked = acknowledged.elapsed();
        if first_name(cut, ALVA.id).await == "New" {
            break;
        }
        last = Some(asked);
        wait(Duration::from_millis(5)).await;
    }
    println!("{mode:?}: the last old answer was requested {last:?} after the acknowledgement");
    assert!(
        last.unwrap_or_default() < PATIENCE.max(fallback),
        "{last:?}"
    );

    // Invalidations by other replicas reach it once it is connected again. An invalidation that it can't announce is
    // not acknowledged.
    cut.until_unavailable().await;
    assert_eq!(
        cut.webhook(&replicas.engage, "contact.updated", BO.id)
            .await,
        503
    );
    replicas
        .engage
        .contact(BO.id)
        .attribute("firstName", json!("New"));
    first_name(cut, BO.id).await;
    replicas
        .engage
        .contact(BO.id)
        .attribute("firstName", json!("Newer"));
    assert_eq!(
        other
            .webhook(&replicas.engage, "contact.updated", BO.id)
            .await,
        204
    );
    cut.way.set(Mode::Open);
    cut.until_available().await;
    assert_eq!(first_name(cut, BO.id).await, "Newer");
    assert_eq!(
        cut.webhook(&replicas.engage, "contact.updated", BO.id)
            .await,
        204
    );
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_distrusts_its_memory() {
    distrusts_its_memory(Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_connection_hangs_distrusts_its_memory() {
    distrusts_its_memory(Mode::Hung).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_reads_on_without_a_gap_keeps_its_memory() {
    let replicas = Replicas::start().await;
    let [cut, other, _] = &replicas.all[..] else {
        panic!("there are three");
    };
    for id in [ALVA.id, BO.id] {
        first_name(cut, id).await;
    }
    cut.way.set(Mode::Cut);
    cut.until_unavailable().await;
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    assert_eq!(
        other
            .webhook(&replicas.engage, "contact.updated", ALVA.id)
            .await,
        204
    );
    wait(PATIENCE).await;
    cut.way.set(Mode::Open);
    cut.until_available().await;
    assert_eq!(cut.shared.status().gaps, 0);
    assert_eq!(first_name(cut, ALVA.id).await, "New");
    let calls = replicas.engage.total_calls();
    assert!(
        cut.of(BO.id)
            .await
            .cache_status()
            .starts_with("engage-bff; hit; ttl=")
    );
    assert_eq!(replicas.engage.total_calls(), calls);
    replicas.stop().await;
}

/// Asserts that a replica that is cut off during this event fetches everything again.
async fn drops_its_memory(replicas: &Replicas, happens: impl FnOnce()) {
    let [cut, other, _] = &replicas.all[..] else {
        panic!("there are three");
    };
    first_name(cut, ALVA.id).await;
    let gaps = cut.shared.status().gaps;
    cut.way.set(Mode::Cut);
    cut.until_unavailable().await;
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    assert_eq!(
        other
            .webhook(&replicas.engage, "contact.updated", ALVA.id)
            .await,
        204
    );
    happens();
    cut.way.set(Mode::Open);
    cut.until_available().await;
    assert!(cut.shared.status().gaps > gaps);
    assert_eq!(first_name(cut, ALVA.id).await, "New");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_everything_is_fetched_anew() {
    let replicas = Replicas::start().await;
    for replica in &replicas.all {
        first_name(replica, BO.id).await;
    }
    drops_its_memory(&replicas, || replicas.redis.flush()).await;
    for replica in &replicas.all {
        until(async || replica.shared.status().gaps > 0).await;
    }
    let calls = replicas.engage.total_calls();
    first_name(&replicas.all[1], BO.id).await;
    assert!(replicas.engage.total_calls() > calls);
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_trimmed_stream_everything_is_fetched_anew() {
    let replicas = Replicas::start().await;
    drops_its_memory(&replicas, || {
        for stream in replicas.keys("*:s") {
            replicas
                .redis
                .command(&[&b"XTRIM"[..], &stream[..], b"MAXLEN", b"0"]);
        }
    })
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unshared_invalidation_is_announced_after_the_reconnect() {
    let replicas = Replicas::start().await;
    let [cut, other, _] = &replicas.all[..] else {
        panic!("there are three");
    };
    let people: Vec<_> = replicas.people().into_iter().take(20).collect();
    for (id, _) in &people {
        first_name(other, id).await;
    }
    cut.way.set(Mode::Cut);
    cut.until_unavailable().await;
    for (number, (id, _)) in people.iter().enumerate() {
        replicas
            .engage
            .contact(id)
            .attribute("firstName", json!("New"));
        let status = if number % 2 == 0 {
            cut.purge(id).await
        } else {
            cut.webhook(&replicas.engage, "contact.updated", id).await
        };
        assert_eq!(status, 503);
    }
    // The server still has the old data, which this replica has not served since.
    cut.way.set(Mode::Open);
    for (id, _) in &people[..10] {
        assert_eq!(first_name(cut, id).await, "New");
    }
    cut.until_available().await;
    for (id, _) in &people[10..] {
        assert_eq!(first_name(cut, id).await, "New");
    }
    // The other replicas receive the invalidations, although they are not sent again.
    for (id, _) in &people {
        until(async || first_name(other, id).await == "New").await;
    }
    replicas.stop().await;
}
