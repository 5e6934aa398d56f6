//! Measures what the shared tier costs. Prints figures; asserts nothing about time or size.
//!
//! ```text
//! cargo nextest run --test shared_replicas --run-ignored only --no-capture figures
//! ```

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::{
    harness::{Replica, Replicas},
    redis_server::RedisServer,
};

/// The number of contacts that the simulator generates.
const CONTACTS: usize = 10_000;

/// Sends these queries, eight at a time, and returns the processor time for each.
async fn look_up(replica: &Replica, queries: &[String]) -> Duration {
    let before = replica.processor_time().await;
    let answers = stream::iter(queries).map(|query| replica.get(query));
    answers
        .buffer_unordered(8)
        .for_each(|answer| async move {
            answer.assert_ok();
        })
        .await;
    replica.processor_time().await.saturating_sub(before)
        / u32::try_from(queries.len()).expect("few")
}

/// A field of `INFO`, as a number.
fn info(redis: &RedisServer, section: &str, field: &str) -> f64 {
    let text = redis.info(section, field);
    text.and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn what_the_shared_tier_costs() {
    let replicas = Replicas::with_contacts(CONTACTS, RedisServer::start(), |config| {
        config.cache.stale_while_revalidate = Duration::ZERO;
        for lifetime in [
            &mut config.cache.profile_lifetime,
            &mut config.cache.audiences_lifetime,
            &mut config.cache.promotions_lifetime,
            &mut config.cache.vouchers_lifetime,
            &mut config.cache.points_lifetime,
            &mut config.webhooks.fallback_lifetime,
        ] {
            *lifetime = Duration::from_secs(24 * 3600);
        }
    })
    .await;
    let queries: Vec<_> = replicas
        .people()
        .into_iter()
        .map(|(_, email)| format!("email={}", email.replace('+', "%2B")))
        .collect();
    let contacts = queries.len();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let many = contacts as f64;
    let [first, second, _] = &replicas.all[..] else {
        panic!("there are three");
    };
    // Loads the patterns of phone numbers, opens connections, and so on.
    for replica in &replicas.all {
        look_up(replica, &queries[..200]).await;
    }
    let rest = &queries[200..];
    let used = info(&replicas.redis, "memory", "used_memory");
    let commands = || info(&replicas.redis, "stats", "total_commands_processed");
    let processor = || {
        info(&replicas.redis, "cpu", "used_cpu_user") + info(&replicas.redis, "cpu", "used_cpu_sys")
    };
    let (operations, sent, busy) = (first.backend.by_requests(), commands(), processor());
    let by_engage = look_up(first, rest).await;
    let operations = first.backend.by_requests() - operations;
    println!("{contacts} contacts, all parts, each by e-mail");
    println!("a miss served by Engage, with the shared tier: {by_engage:?}");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = operations as f64 / (many - 200.0);
    println!(
        "  operations of the tier: {each:.2}; commands in scripts included: {:.1}; server: {:.0} µs",
        (commands() - sent) / (many - 200.0),
        (processor() - busy) * 1e6 / (many - 200.0)
    );
    let used = info(&replicas.redis, "memory", "used_memory") - used;
    let calls = replicas.engage.total_calls();
    let (operations, sent, busy) = (second.backend.by_requests(), commands(), processor());
    let by_tier = look_up(second, rest).await;
    let operations = second.backend.by_requests() - operations;
    println!(
        "a miss served by the shared tier: {by_tier:?}, {:.2} of that",
        by_tier.as_secs_f64() / by_engage.as_secs_f64()
    );
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = operations as f64 / (many - 200.0);
    println!(
        "  operations of the tier: {each:.2}; commands in scripts included: {:.1}; server: {:.0} µs",
        (commands() - sent) / (many - 200.0),
        (processor() - busy) * 1e6 / (many - 200.0)
    );
    println!(
        "  calls to Engage during that: {}",
        replicas.engage.total_calls() - calls
    );
    let hit = look_up(second, rest).await;
    println!("a hit: {hit:?}");
    let memory = |pattern| {
        let keys = replicas.keys(pattern);
        let sum: i64 = keys
            .iter()
            .map(|key| {
                let bytes =
                    replicas
                        .redis
                        .command(&[&b"MEMORY"[..], b"USAGE", &key[..], b"SAMPLES", b"0"]);
                redis::from_redis_value::<i64>(bytes).expect("a number")
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let each = sum as f64 / keys.len() as f64;
        println!("  {} keys {pattern}, {each:.0} bytes each", keys.len());
    };
    println!(
        "memory of the server: {:.0} bytes for each contact with its alias",
        used / (many - 200.0)
    );
    memory("*:c:*");
    memory("*:a:*");
    replicas.stop().await;
}
