//! One slice of load: wrk sends requests for some seconds, and the kernel reports the server's processor time.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use crate::{
    Failure,
    peers::LOADING,
    process::{Cpu, Server},
};

/// The size in bytes that no response without a body exceeds.
const LARGEST_HEAD: u64 = 1024;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/load.lua");

/// The requests, and their order.
#[derive(Clone)]
pub(crate) struct RequestFiles {
    pub(crate) file: PathBuf,
    pub(crate) order: PathBuf,
}

/// The result of one slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) cpu: Cpu,
    pub(crate) lasted: Duration,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

/// The load of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    /// "hit", "not-modified", "gzip" or "miss".
    pub(crate) kind: &'a str,
    pub(crate) seconds: u64,
    pub(crate) cores: &'a str,
    /// The number of the first contact that a load of misses requests.
    pub(crate) first: u64,
}

impl<'a> Load<'a> {
    pub(crate) fn of(kind: &'a str, seconds: u64) -> Self {
        Self {
            kind,
            seconds,
            cores: LOADING,
            first: 0,
        }
    }
}

/// Sends requests, 32 at a time.
pub(crate) async fn ask(
    server: &Server,
    load: Load<'_>,
    questions: &RequestFiles,
) -> Result<Slice, Failure> {
    let before = server.cpu();
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", load.cores])
        .args(["wrk", "-t1", "-c32", "--timeout", "10s", "-s", SCRIPT])
        .arg(format!("-d{}s", load.seconds))
        .arg(format!("http://{}/", server.address))
        .arg("--")
        .arg(load.kind)
        .args([&questions.file, &questions.order])
        .arg(load.first.to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let cpu = server.cpu().since(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("@ "));
    let numbers: Vec<u64> = line
        .unwrap_or_default()
        .split(' ')
        .filter_map(|number| number.parse().ok())
        .collect();
    let [requests, lasted, bytes, failures, statuses, median, p99] = numbers[..] else {
        return Err(format!(
            "wrk said: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    };
    if requests == 0 || failures + statuses > 0 {
        let what =
            format!("{requests} responses, {failures} failures, {statuses} with an error status");
        return Err(format!("the load \"{}\" failed: {what}", load.kind).into());
    }
    if load.kind == "not-modified" && bytes > requests * LARGEST_HEAD {
        return Err("the server responds with bodies, not with 304".into());
    }
    Ok(Slice {
        requests,
        cpu,
        lasted: Duration::from_micros(lasted),
        median: Duration::from_micros(median),
        p99: Duration::from_micros(p99),
    })
}

/// Writes the order in which contacts are requested: the contact of rank n is requested 1/n times as often as the first
/// (Zipf).
pub(crate) fn write_order(file: &PathBuf, contacts: usize) -> Result<(), Failure> {
    const ORDER_LENGTH: usize = 100_000;
    let mut sum = 0.0;
    let weights = (1..=contacts).map(|rank| {
        sum += 1.0 / f64::from(u32::try_from(rank).unwrap_or(u32::MAX));
        sum
    });
    let weights: Vec<f64> = weights.collect();
    // The contacts are shuffled: popularity does not follow the order of insertion.
    let mut rng = fastrand::Rng::with_seed(7);
    let mut numbers: Vec<usize> = (1..=contacts).collect();
    rng.shuffle(&mut numbers);
    let lines = (0..ORDER_LENGTH).map(|_| {
        let drawn = rng.f64() * sum;
        let rank = weights.partition_point(|weight| *weight <= drawn);
        format!("{}\n", numbers[rank.min(contacts - 1)])
    });
    let text: String = lines.collect();
    Ok(fs::write(file, text)?)
}
