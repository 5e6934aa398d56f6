//! `check-config --online`: whether the shared tier works where it is configured.
//!
//! It connects as the service does, runs each operation under a prefix of its own, which no service reads, and removes
//! what that stored. Nothing else on the server changes.

mod advice;
mod exercise;

use std::{fmt, time::Duration};

use redis::{Value, cmd, from_redis_value};
use serde::Serialize;

use self::{
    advice::{advice, problems},
    exercise::{Exercise, exercise},
};
use super::shared_tier::{link, prefix};
use crate::{
    clock::Clock,
    config::Config,
    shared_tier::{
        protocol::ServerInfo,
        redis::{RedisBackend, link::Link, link::LinkConfig},
    },
};

/// The longest time of connecting.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest time of everything else.
const REST: Duration = Duration::from_secs(30);

/// How the shared tier fares.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlineReport {
    /// Whether the tier can be used.
    pub works: bool,
    /// `redis` or `valkey`.
    pub server: String,
    /// Its version.
    pub version: String,
    /// `standalone` or `cluster`.
    pub mode: String,
    /// What it does when its memory is full; empty where it does not say.
    pub eviction_policy: String,
    /// Its memory limit in bytes; 0: none; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// Bytes in use.
    pub used_memory_bytes: u64,
    /// Whether it writes an append-only file.
    pub appends: bool,
    /// Whether it writes snapshots; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<bool>,
    /// Its replicas.
    pub replicas: u32,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The median time of an operation.
    pub median_latency_millis: f64,
    /// The longest.
    pub worst_latency_millis: f64,
    /// What does not work.
    pub problems: Vec<String>,
    /// What could be better.
    pub advice: Vec<String>,
}

/// Checks the tier that is configured. `None` without one.
pub async fn check_online(config: &Config) -> Result<Option<OnlineReport>, anyhow::Error> {
    let Some(settings) = link(config)? else {
        return Ok(None);
    };
    let mut report = OnlineReport {
        tls: settings.tls.is_some(),
        ..OnlineReport::default()
    };
    match tokio::time::timeout(REST, check(config, &settings)).await {
        Err(_) => report
            .problems
            .push("the server does not answer".to_owned()),
        Ok(Err(problem)) => report.problems.push(problem),
        Ok(Ok((info, exercise))) => {
            report.problems = problems(&info, &exercise, config.redis.timeout);
            report.advice = advice(&info, &exercise, config);
            report.median_latency_millis = millis(exercise.median());
            report.worst_latency_millis = millis(exercise.worst());
            report.take(info);
        }
    }
    report.works = report.problems.is_empty();
    Ok(Some(report))
}

/// What the server says and how the operations went, or why it is not known.
async fn check(config: &Config, settings: &LinkConfig) -> Result<(ServerInfo, Exercise), String> {
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
    let result = exercise(&backend, &Clock::system()).await;
    remove(&link, &own).await;
    result
}

/// Removes the keys with this prefix. Those that are left have a time to live.
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

impl OnlineReport {
    fn take(&mut self, info: ServerInfo) {
        self.server = info.server;
        self.version = info.version;
        self.mode = info.mode;
        self.eviction_policy = info.eviction_policy;
        self.max_memory_bytes = info.max_memory;
        self.used_memory_bytes = info.used_memory;
        self.appends = info.appends;
        self.snapshots = info.snapshots;
        self.replicas = info.replicas;
    }
}

fn millis(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// The report as text, one fact a line.
impl fmt::Display for OnlineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let works = if self.works { "works" } else { "does not work" };
        writeln!(f, "the shared tier {works}")?;
        if !self.server.is_empty() {
            let known = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
            let yes = |yes| if yes { "yes" } else { "no" };
            let memory = match self.max_memory_bytes {
                Some(0) => "none".to_owned(),
                Some(bytes) => bytesize::ByteSize::b(bytes).display().iec().to_string(),
                None => "unknown".to_owned(),
            };
            let used = bytesize::ByteSize::b(self.used_memory_bytes);
            writeln!(f, "server: {} {}", self.server, self.version)?;
            writeln!(f, "mode: {}", known(&self.mode))?;
            writeln!(f, "replicas: {}", self.replicas)?;
            writeln!(f, "TLS: {}", yes(self.tls))?;
            writeln!(f, "memory limit: {memory}")?;
            writeln!(f, "memory used: {}", used.display().iec())?;
            writeln!(f, "eviction policy: {}", known(&self.eviction_policy))?;
            writeln!(f, "append-only file: {}", yes(self.appends))?;
            writeln!(f, "snapshots: {}", self.snapshots.map_or("unknown", yes))?;
            writeln!(
                f,
                "latency: median {:.2} ms, worst {:.2} ms",
                self.median_latency_millis, self.worst_latency_millis
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        for advice in &self.advice {
            writeln!(f, "advice: {advice}")?;
        }
        Ok(())
    }
}
