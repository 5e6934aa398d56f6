//! Whether this machine or container gives the process what it needs, and whether webhooks reach every replica.

use bytesize::ByteSize;

use super::report::Check;
use crate::{
    app::settings::{MIN_CONNECTIONS, reserved_descriptors},
    config::{Config, memory},
};

const OPEN_FILES: &str = "open-files";
const MEMORY: &str = "memory";
const WEBHOOKS: &str = "webhooks";

/// Memory needed in addition to the cache: docs/OPERATIONS.md, "Sizing".
const BASE_MEMORY: u64 = 512 << 20;

/// All checks of the machine. `descriptors` is the limit of open files.
pub(super) fn check(config: &Config, descriptors: usize) -> Vec<Check> {
    vec![
        open_files(config, descriptors),
        memory_check(config.cache.max_size.as_u64(), memory::limit()),
        webhooks(config),
    ]
}

fn open_files(config: &Config, descriptors: usize) -> Check {
    let connections = config.server.max_connections;
    let reserved = reserved_descriptors(config);
    let left = descriptors.saturating_sub(reserved);
    let wanted = reserved.saturating_add(connections);
    let remedy = format!(
        "raise it to {wanted} (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=), or lower server.max_connections"
    );
    if left >= connections {
        let limit = match descriptors {
            usize::MAX => "no limit".to_owned(),
            limit => format!("the limit is {limit}"),
        };
        return Check::ok(OPEN_FILES, format!("{limit}; {wanted} are needed"));
    }
    if left >= connections.min(MIN_CONNECTIONS) {
        let what = format!("the limit is {descriptors}, so server.max_connections is {left}");
        return Check::warning(OPEN_FILES, what, remedy);
    }
    let what = format!("the limit is {descriptors}, with which the service does not start");
    Check::failed(OPEN_FILES, what, remedy)
}

fn memory_check(cache: u64, limit: Option<u64>) -> Check {
    let iec = |bytes| ByteSize::b(bytes).display().iec().to_string();
    let Some(limit) = limit else {
        return Check::skipped(MEMORY, "the limit is not known on this system");
    };
    let needed = cache.saturating_add(cache / 2).saturating_add(BASE_MEMORY);
    let (limit_text, needed_text) = (iec(limit), iec(needed));
    let remedy = "lower cache.max_size, or raise the limit: docs/OPERATIONS.md, \"Sizing\"";
    if needed <= limit {
        let what = format!("the limit is {limit_text}; up to {needed_text} are needed");
        return Check::ok(MEMORY, what);
    }
    let what =
        format!("the limit is {limit_text}; with cache.max_size up to {needed_text} are needed");
    if cache < limit {
        return Check::warning(MEMORY, what, remedy);
    }
    let what = format!("{what}: the system ends the process when the cache is full");
    Check::failed(MEMORY, what, remedy)
}

fn webhooks(config: &Config) -> Check {
    if config.webhooks.secrets.is_empty() {
        let what = "webhooks.secrets is unset: changes become visible only when lifetimes end";
        return Check::skipped(WEBHOOKS, what);
    }
    if config.redis.url.is_some() {
        return Check::ok(
            WEBHOOKS,
            "one endpoint for all replicas, which share a tier",
        );
    }
    if config.engage.replicas > 1 {
        return Check::warning(
            WEBHOOKS,
            format!(
                "a webhook reaches one of {} replicas, and the others keep what it invalidates",
                config.engage.replicas
            ),
            "set redis.url, or give each replica an endpoint of its own in Svix's portal",
        );
    }
    Check::ok(WEBHOOKS, "one replica, one endpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::online::Status;

    #[test]
    fn cache_beyond_the_memory_fails_and_a_tight_limit_warns() {
        const MIB: u64 = 1 << 20;
        for (cache, limit, expected) in [
            (512 * MIB, Some(1280 * MIB), Status::Ok),
            (512 * MIB, Some(1279 * MIB), Status::Warning),
            (512 * MIB, Some(512 * MIB), Status::Failed),
            (u64::MAX, Some(512 * MIB), Status::Failed),
            (512 * MIB, None, Status::Skipped),
        ] {
            let check = memory_check(cache, limit);
            assert_eq!(check.status, expected, "{}", check.what);
        }
    }
}
