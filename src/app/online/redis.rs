//! Checks whether the shared tier works, if it is configured.
//!
//! Connects as the service does, runs each operation under a prefix that no service reads, and removes what the
//! operations stored. Nothing else on the server changes.

use std::time::Duration;

use bytesize::ByteSize;
use redis::{Value, cmd, from_redis_value};

use super::{
    exercise::{Exercise, exercise},
    report::Check,
};
use crate::{
    app::shared_tier::{link, prefix},
    clock::Clock,
    config::Config,
    shared_tier::{
        protocol::{BackendError, ServerInfo},
        redis::{
            RedisBackend,
            link::{Link, LinkConfig},
        },
    },
};

const CONNECTION: &str = "redis-connection";
const TLS: &str = "redis-tls";
const SERVER: &str = "redis-server";
const OPERATIONS: &str = "redis-operations";
const LATENCY: &str = "redis-latency";
const MEMORY: &str = "redis-memory";
const EVICTION: &str = "redis-eviction";
const PERSISTENCE: &str = "redis-persistence";
const FAILOVER: &str = "redis-failover";

/// The longest time for connecting.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest time for all of it, with connecting.
const TOTAL: Duration = Duration::from_secs(30);

/// All checks of the tier.
pub(super) async fn check(config: &Config, clock: &Clock) -> Result<Vec<Check>, anyhow::Error> {
    let all = [
        CONNECTION,
        TLS,
        SERVER,
        OPERATIONS,
        LATENCY,
        MEMORY,
        EVICTION,
        PERSISTENCE,
        FAILOVER,
    ];
    let Some(settings) = link(config)? else {
        let what = "redis.url is unset: replicas share nothing";
        return Ok(all.map(|name| Check::skipped(name, what)).to_vec());
    };
    let remedy = "see redis.url, user and password, and whether the network lets connections pass";
    let outcome = tokio::time::timeout(TOTAL, run(config, &settings, clock)).await;
    let outcome = outcome.unwrap_or_else(|_| Err("the server does not answer".to_owned()));
    let (info, exercise) = match outcome {
        Ok(outcome) => outcome,
        Err(what) => {
            let mut checks = vec![Check::failed(CONNECTION, what, remedy)];
            checks.extend(
                all[1..]
                    .iter()
                    .map(|name| Check::skipped_after(name, CONNECTION)),
            );
            return Ok(checks);
        }
    };
    Ok(vec![
        Check::ok(CONNECTION, "connected"),
        encryption(config),
        server(&info),
        operations(&exercise),
        latency(&exercise, config.redis.timeout),
        memory(&info),
        eviction(&info),
        persistence(&info),
        failover(&info),
    ])
}

/// The server's information and the results of the operations, or why they are not known.
async fn run(
    config: &Config,
    settings: &LinkConfig,
    clock: &Clock,
) -> Result<(ServerInfo, Exercise), String> {
    let link = Link::new(settings.clone());
    match tokio::time::timeout(CONNECT, link.connect_or_explain()).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => return Err(failure.to_string()),
        Err(_) => {
            let what =
                "no answer within two seconds: a firewall, or a server that does not use TLS";
            return Err(what.to_owned());
        }
    }
    let own = format!("{}check-{:016x}:", prefix(config), fastrand::u64(..));
    let backend = RedisBackend::new(Link::new(settings.clone()), own.clone());
    let result = exercise(&backend, clock).await;
    remove(&link, &own).await;
    result
}

/// Removes the keys with this prefix. Keys that are left have a time to live.
async fn remove(link: &Link, prefix: &str) {
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(format!("{prefix}*"));
        let reply = link.command(scan.arg("COUNT").arg(1000)).await;
        let reply = reply.map(from_redis_value::<(String, Vec<Value>)>);
        let Ok(Ok((next, keys))) = reply else { return };
        if !keys.is_empty() {
            let mut unlink = cmd("UNLINK");
            for key in keys {
                if let Value::BulkString(key) = key {
                    unlink.arg(key);
                }
            }
            drop(link.command(&unlink).await);
        }
        if next == "0" {
            return;
        }
        cursor = next;
    }
}

fn encryption(config: &Config) -> Check {
    match config.redis.parsed_url().and_then(Result::ok) {
        Some(url) if url.uses_tls => Check::ok(TLS, "encrypted"),
        Some(url) if !url.leads_to_loopback() => Check::warning(
            TLS,
            "the connection is not encrypted",
            "use rediss:// wherever the network is not your own",
        ),
        _ => Check::ok(TLS, "not encrypted, on this machine only"),
    }
}

fn server(info: &ServerInfo) -> Check {
    let (server, version) = (&info.server, &info.version);
    let mode = if info.mode.is_empty() {
        "mode unknown"
    } else {
        &info.mode
    };
    if info.mode == "cluster" {
        return Check::failed(
            SERVER,
            format!("{server} {version} is a Redis Cluster"),
            "give the address of a single primary, or sentinels",
        );
    }
    if let Some(least) = too_old(info) {
        let what = format!("{server} {version} is too old");
        return Check::failed(SERVER, what, format!("use {least} or later"));
    }
    Check::ok(SERVER, format!("{server} {version}, {mode}"))
}

/// The required version, if the server's is older.
fn too_old(info: &ServerInfo) -> Option<&'static str> {
    let mut numbers = info.version.split('.').map(|number| number.parse().ok());
    let major: u32 = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    if info.server == "valkey" {
        ((major, minor) < (7, 2)).then_some("Valkey 7.2")
    } else {
        (major < 7).then_some("Redis 7.0")
    }
}

fn operations(exercise: &Exercise) -> Check {
    let failed = exercise.failed.iter();
    let mut what: Vec<_> = failed
        .map(|(operation, error)| format!("{operation}: {error}"))
        .collect();
    let ineffective = exercise.ineffective.iter();
    what.extend(ineffective.map(|operation| format!("{operation}: it has no effect")));
    if what.is_empty() {
        return Check::ok(OPERATIONS, "every operation of the tier works");
    }
    let remedy = match exercise.failed.first() {
        Some((_, BackendError::Forbidden)) => {
            "the user may not run a command: docs/OPERATIONS.md lists what it needs"
        }
        Some((_, BackendError::Full)) => "free memory, or set another maxmemory-policy",
        Some((_, BackendError::ReadOnly)) => {
            "give the address of the primary, and see whether it can save"
        }
        _ => "use Redis or Valkey itself, without a proxy that changes commands",
    };
    Check::failed(OPERATIONS, what.join("; "), remedy)
}

fn latency(exercise: &Exercise, timeout: Duration) -> Check {
    let (median, worst) = (exercise.median(), exercise.worst());
    let what = format!(
        "median {:.2} ms, longest {:.2} ms",
        median.as_secs_f64() * 1000.0,
        worst.as_secs_f64() * 1000.0
    );
    if worst.is_zero() {
        return Check::skipped_after(LATENCY, OPERATIONS);
    }
    if median >= timeout {
        return Check::failed(
            LATENCY,
            format!("{what}: half of the operations take longer than redis.timeout"),
            "raise redis.timeout, or use a nearer server",
        );
    }
    if worst >= timeout / 2 {
        return Check::warning(
            LATENCY,
            format!("{what}: more than half of redis.timeout"),
            "use a nearer or less busy server, or raise redis.timeout",
        );
    }
    Check::ok(LATENCY, what)
}

fn memory(info: &ServerInfo) -> Check {
    let iec = |bytes| ByteSize::b(bytes).display().iec().to_string();
    let used = iec(info.used_memory);
    match info.max_memory {
        Some(0) => Check::warning(
            MEMORY,
            format!(
                "{used} in use, and maxmemory is not set: the server grows until the machine's memory is exhausted"
            ),
            "set maxmemory, with maxmemory-policy allkeys-lru",
        ),
        Some(limit) if info.used_memory >= limit - limit / 10 => Check::warning(
            MEMORY,
            format!("{used} of {} are in use", iec(limit)),
            "give the server more memory, or see what else it stores",
        ),
        Some(limit) => Check::ok(MEMORY, format!("{used} of {} in use", iec(limit))),
        None => Check::ok(MEMORY, format!("{used} in use; the server hides its limit")),
    }
}

fn eviction(info: &ServerInfo) -> Check {
    let policy = info.eviction_policy.as_str();
    let remedy = "set maxmemory-policy allkeys-lru";
    if policy == "noeviction" {
        return Check::warning(
            EVICTION,
            "noeviction: a full server stores nothing new, and each replica then calls Engage for itself",
            remedy,
        );
    }
    if policy.ends_with("-random") || policy == "volatile-ttl" {
        return Check::warning(
            EVICTION,
            format!(
                "{policy}: may evict what is in use, after which every replica drops its memory"
            ),
            remedy,
        );
    }
    if policy.is_empty() {
        return Check::skipped(EVICTION, "the server hides its policy");
    }
    Check::ok(EVICTION, policy)
}

fn persistence(info: &ServerInfo) -> Check {
    if info.appends || info.snapshots == Some(true) {
        return Check::warning(
            PERSISTENCE,
            "the server writes its data to disk, which the tier does not need",
            "set appendonly no and save \"\", unless others use the server: after a restart earlier data is not used",
        );
    }
    match info.snapshots {
        Some(_) => Check::ok(PERSISTENCE, "nothing is written to disk"),
        None => Check::ok(
            PERSISTENCE,
            "no append-only file; the server hides its snapshots",
        ),
    }
}

fn failover(info: &ServerInfo) -> Check {
    match info.replicas {
        0 => Check::ok(FAILOVER, "the server has no replicas"),
        replicas => Check::warning(
            FAILOVER,
            format!(
                "{replicas} replicas: after a failover, writes that the old primary still accepted are lost"
            ),
            "set min-replicas-to-write to 1 there",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::online::Status;

    fn info() -> ServerInfo {
        ServerInfo {
            server: "redis".to_owned(),
            version: "7.4.1".to_owned(),
            mode: "standalone".to_owned(),
            eviction_policy: "allkeys-lru".to_owned(),
            max_memory: Some(1000),
            used_memory: 100,
            appends: false,
            snapshots: Some(false),
            replicas: 0,
        }
    }

    #[test]
    fn clusters_and_old_servers_fail() {
        let of = |server: &str, version: &str, mode: &str| {
            let info = ServerInfo {
                server: server.to_owned(),
                version: version.to_owned(),
                mode: mode.to_owned(),
                ..info()
            };
            super::server(&info).status
        };
        assert_eq!(of("redis", "7.4.1", "standalone"), Status::Ok);
        assert_eq!(of("redis", "7.4.1", "cluster"), Status::Failed);
        assert_eq!(of("redis", "6.2.0", "standalone"), Status::Failed);
        assert_eq!(of("valkey", "7.1.0", "standalone"), Status::Failed);
        assert_eq!(of("valkey", "7.2.0", ""), Status::Ok);
    }

    #[test]
    fn slow_operations_warn_and_a_median_beyond_the_timeout_fails() {
        for (millis, expected) in [
            (&[][..], Status::Skipped),
            (&[1, 1, 10], Status::Ok),
            (&[1, 1, 25], Status::Warning),
            (&[1, 50, 60], Status::Failed),
        ] {
            let latencies = millis.iter().map(|millis| Duration::from_millis(*millis));
            let exercise = Exercise {
                latencies: latencies.collect(),
                ..Exercise::default()
            };
            let check = latency(&exercise, Duration::from_millis(50));
            assert_eq!(check.status, expected, "{}", check.what);
        }
    }

    #[test]
    fn unsuitable_policies_persistence_and_replicas_warn() {
        for (policy, expected) in [
            ("allkeys-lru", Status::Ok),
            ("volatile-lfu", Status::Ok),
            ("noeviction", Status::Warning),
            ("allkeys-random", Status::Warning),
            ("volatile-ttl", Status::Warning),
            ("", Status::Skipped),
        ] {
            let info = ServerInfo {
                eviction_policy: policy.to_owned(),
                ..info()
            };
            assert_eq!(eviction(&info).status, expected, "{policy}");
        }
        let of = |appends, snapshots, replicas| {
            let info = ServerInfo {
                appends,
                snapshots,
                replicas,
                ..info()
            };
            (persistence(&info).status, failover(&info).status)
        };
        assert_eq!(of(false, None, 0), (Status::Ok, Status::Ok));
        assert_eq!(of(true, None, 1), (Status::Warning, Status::Warning));
        assert_eq!(of(false, Some(true), 2), (Status::Warning, Status::Warning));
    }
}
