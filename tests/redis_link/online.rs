//! The checks of Redis by `check-config --online`. The other checks are in `tests/process/online.rs`.

use engage_bff::{
    app::{Check, Status, check_online},
    config::Config,
};

use crate::{
    connected, local, reply,
    server::{RedisServer, free_port},
};

/// Runs all checks and returns those of Redis. Nothing but Redis can be reached.
async fn checks(url: &str) -> Vec<Check> {
    let text = format!(
        "[engage]\nbase_url = \"http://127.0.0.1:{}\"\napi_key = \"a-key\"\n\
         [auth]\nallow_anonymous = true\n[redis]\nurl = \"{url}\"\n\
         encryption_keys = [\"b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM=\"]\n\
         [telemetry]\ndigest_key = \"the same at every replica\"\n",
        free_port()
    );
    let config = Config::parse(&text).expect("a configuration");
    let report = check_online(&config, 100_000).await.expect("a report");
    let checks = report.checks.into_iter();
    checks
        .filter(|check| check.name.starts_with("redis-"))
        .collect()
}

#[track_caller]
fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check {name}"))
}

#[track_caller]
fn assert_check(checks: &[Check], name: &str, status: Status, what: &str) {
    let check = check(checks, name);
    assert_eq!(check.status, status, "{check:?}");
    assert!(check.what.contains(what), "{check:?}");
}

#[tokio::test]
async fn working_server_passes_every_check_and_is_unchanged() {
    let server = RedisServer::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let link = connected(local(server.port())).await;
    let own = "SET engage-bff:another 1";
    reply::<String>(&link, own).await.expect("a reply");
    let checks = checks(&format!("redis://127.0.0.1:{}", server.port())).await;
    // The machine may be busy.
    let poor = checks.iter().filter(|check| check.status != Status::Ok);
    let poor: Vec<_> = poor.filter(|check| check.name != "redis-latency").collect();
    assert!(poor.is_empty(), "{poor:?}");
    assert_check(&checks, "redis-server", Status::Ok, "redis 7");
    assert!(
        check(&checks, "redis-server")
            .what
            .ends_with(", standalone")
    );
    assert!(
        check(&checks, "redis-memory")
            .what
            .ends_with("of 100.0 MiB in use")
    );
    assert_eq!(check(&checks, "redis-eviction").what, "allkeys-lru");
    assert!(check(&checks, "redis-latency").what.starts_with("median "));
    assert_eq!(reply(&link, "DBSIZE").await, Ok(1));
}

#[tokio::test]
async fn refused_connection_fails_and_skips_the_other_checks() {
    let nothing = checks(&format!("redis://127.0.0.1:{}", free_port())).await;
    let refused = "the connection is refused: nothing listens at this address";
    assert_check(&nothing, "redis-connection", Status::Failed, refused);
    for check in &nothing[1..] {
        assert_eq!(check.status, Status::Skipped, "{check:?}");
        assert_eq!(check.what, "redis-connection failed");
    }
}

#[tokio::test]
async fn user_without_a_right_fails_the_operations() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    let rules = "ACL SETUSER shop on >sesame ~engage-bff:* +@all -xadd";
    reply::<String>(&link, rules).await.expect("a reply");
    let url = format!("redis://shop:sesame@127.0.0.1:{}", server.port());
    let checks = checks(&url).await;
    let what = "open: server forbids the operation";
    assert_check(&checks, "redis-operations", Status::Failed, what);
    let remedy = check(&checks, "redis-operations").remedy.as_deref();
    assert!(remedy.is_some_and(|remedy| remedy.contains("may not run a command")));
    assert_check(
        &checks,
        "redis-latency",
        Status::Skipped,
        "redis-operations failed",
    );
}

#[tokio::test]
async fn full_unlimited_and_persisting_servers_warn_or_fail() {
    let server = RedisServer::start(&["--save", "60 1", "--appendonly", "yes"]);
    let link = connected(local(server.port())).await;
    let url = format!("redis://127.0.0.1:{}", server.port());
    let unlimited = checks(&url).await;
    assert_check(
        &unlimited,
        "redis-memory",
        Status::Warning,
        "maxmemory is not set",
    );
    assert_check(&unlimited, "redis-eviction", Status::Warning, "noeviction");
    assert_check(&unlimited, "redis-persistence", Status::Warning, "to disk");
    let limit = "CONFIG SET maxmemory 1";
    reply::<String>(&link, limit).await.expect("a reply");
    let full = checks(&url).await;
    assert_check(
        &full,
        "redis-operations",
        Status::Failed,
        "server out of memory",
    );
    assert_check(&full, "redis-memory", Status::Warning, "of 1 B are in use");
}
