//! `check-config --online`.

use engage_bff::{
    app::{OnlineReport, check_online},
    config::Config,
};

use crate::{
    connected, local, reply,
    server::{RedisServer, free_port},
};

async fn report(url: &str) -> OnlineReport {
    let text = format!(
        "[engage]\nbase_url = \"https://shop.example.com\"\napi_key = \"a-key\"\n\
         [auth]\nallow_anonymous = true\n[redis]\nurl = \"{url}\"\n\
         encryption_keys = [\"b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM=\"]\n\
         [telemetry]\ndigest_key = \"the same at every replica\"\n"
    );
    let config = Config::parse(&text).expect("a configuration");
    let report = check_online(&config).await.expect("a report");
    report.expect("a tier")
}

#[tokio::test]
async fn working_server_is_reported_and_left_as_it_was() {
    let server = RedisServer::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let link = connected(local(server.port())).await;
    let own = "SET engage-bff:another 1";
    reply::<String>(&link, own).await.expect("a reply");
    let report = report(&format!("redis://127.0.0.1:{}", server.port())).await;
    assert!(report.works && report.problems.is_empty(), "{report:?}");
    assert!(report.advice.is_empty(), "{report:?}");
    assert_eq!((&*report.server, &*report.mode), ("redis", "standalone"));
    assert_eq!(report.max_memory_bytes, Some(100 << 20));
    assert!(report.median_latency_millis > 0.0);
    assert!(report.worst_latency_millis >= report.median_latency_millis);
    assert_eq!(reply(&link, "DBSIZE").await, Ok(1));
    let text = report.to_string();
    assert!(
        text.starts_with("the shared tier works\nserver: redis 7"),
        "{text}"
    );
}

#[tokio::test]
async fn what_does_not_work_is_a_problem_with_its_reason() {
    let nothing = report(&format!("redis://127.0.0.1:{}", free_port())).await;
    assert!(!nothing.works);
    let refused = "the connection is refused: nothing listens at this address";
    assert_eq!(nothing.problems, [refused]);
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    let rules = "ACL SETUSER shop on >sesame ~engage-bff:* +@all -xadd";
    reply::<String>(&link, rules).await.expect("a reply");
    let poor = report(&format!("redis://shop:sesame@127.0.0.1:{}", server.port())).await;
    assert!(!poor.works && poor.problems.len() == 1, "{poor:?}");
    assert!(poor.problems[0].starts_with("open: server forbids the operation: the user may not"));
    let limit = "CONFIG SET maxmemory 1";
    reply::<String>(&link, limit).await.expect("a reply");
    let full = report(&format!("redis://127.0.0.1:{}", server.port())).await;
    assert!(!full.works, "{full:?}");
    let advised = |word: &str| full.advice.iter().any(|advice| advice.contains(word));
    assert!(advised("noeviction") && advised("nine tenths"), "{full:?}");
}
