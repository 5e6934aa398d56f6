//! What does not work, and what could be better.

use std::time::Duration;

use super::exercise::Exercise;
use crate::{
    config::Config,
    shared_tier::protocol::{BackendError, ServerInfo},
};

/// What keeps the tier from working.
pub(super) fn problems(info: &ServerInfo, exercise: &Exercise, timeout: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    if info.mode == "cluster" {
        problems.push("the server is a Redis Cluster: one primary is needed".to_owned());
    }
    if let Some(least) = too_old(info) {
        let (server, version) = (&info.server, &info.version);
        problems.push(format!("{server} {version} is too old: {least} is needed"));
    }
    for (operation, error) in &exercise.failed {
        let remedy = match error {
            BackendError::Forbidden => {
                ": the user may not run a command; docs/OPERATIONS.md lists them"
            }
            BackendError::Full => ": free memory, or set another maxmemory-policy",
            BackendError::ReadOnly => {
                ": give the address of the primary, and see whether it can save"
            }
            _ => "",
        };
        problems.push(format!("{operation}: {error}{remedy}"));
    }
    for operation in &exercise.ineffective {
        problems.push(format!("{operation}: it has no effect on this server"));
    }
    if exercise.median() >= timeout {
        problems.push(
            "half of the operations take longer than redis.timeout: raise it, or use a nearer server"
                .to_owned(),
        );
    }
    problems
}

/// The least version, if the server's is older.
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

/// What could be better.
pub(super) fn advice(info: &ServerInfo, exercise: &Exercise, config: &Config) -> Vec<String> {
    let policy = info.eviction_policy.as_str();
    let is_limited = info.max_memory.is_some_and(|limit| limit > 0);
    let is_nearly_full = info
        .max_memory
        .is_some_and(|limit| limit > 0 && info.used_memory >= limit - limit / 10);
    let url = config.redis.parsed_url().and_then(Result::ok);
    let is_plain = url.is_some_and(|url| !url.uses_tls && !url.leads_to_loopback());
    let (median, worst, timeout) = (exercise.median(), exercise.worst(), config.redis.timeout);
    [
        (
            policy == "noeviction",
            "maxmemory-policy is noeviction: a full server stores nothing new, and each replica then calls Engage for \
             itself; set allkeys-lru",
        ),
        (
            policy.ends_with("-random") || policy == "volatile-ttl",
            "maxmemory-policy may evict what is in use, after which every replica drops its memory: set allkeys-lru",
        ),
        (
            info.max_memory == Some(0),
            "maxmemory is not set: the server grows until the machine's memory ends; set it, with allkeys-lru",
        ),
        (
            is_limited && is_nearly_full,
            "more than nine tenths of maxmemory are used: give the server more, or see what else it stores",
        ),
        (
            info.appends || info.snapshots == Some(true),
            "the server writes its data to disk, which the tier does not need: after a restart it begins anew",
        ),
        (
            info.replicas > 0,
            "after a failover what the old primary still accepts is lost: set min-replicas-to-write to 1 there",
        ),
        (
            worst >= timeout / 2 && median < timeout,
            "the slowest operation took more than half of redis.timeout: use a nearer or less busy server, or raise it",
        ),
        (
            is_plain,
            "the connection is not encrypted: use rediss:// wherever the network is not your own",
        ),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .map(|(_, text)| text.to_owned())
    .collect()
}
