//! What the system reports about the process. Read at the scrape from `/proc/self`, which the process can read even if
//! it is marked as not dumpable. Values that can't be read are left out.

use std::{fmt, fs, time::Duration};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

use super::{
    Registry, Source,
    catalogue::process::{
        BUILD_INFO, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY,
        PROCESS_START_TIME, PROCESS_THREADS, PROCESS_VIRTUAL_MEMORY,
    },
};

/// The version of the service, and the commit that it was built from, if the build was given one.
const BUILD: [&str; 2] = [
    env!("CARGO_PKG_VERSION"),
    match option_env!("REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
];

/// The metrics of the process.
#[derive(Debug)]
pub struct ProcessMetrics {
    /// When the process started, in seconds since 1970.
    started: u64,
}

/// The fields of `/proc/self/stat` that are needed.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// In clock ticks, in user mode and in the kernel.
    processor_ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl ProcessMetrics {
    /// The metrics of a process that started this many seconds after 1970.
    pub fn new(started: u64) -> Self {
        Self { started }
    }
}

impl Stat {
    /// The fields are described in proc(5), and the numbers here are those of that page. The second field is the name
    /// of the program in parentheses, and may contain any character.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            processor_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

impl Source for ProcessMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(Self {
            started: self.started,
        });
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        BUILD_INFO.write_each(&mut encoder, [(BUILD, 1_u32)])?;
        PROCESS_START_TIME.write_value(&mut encoder, self.started)?;
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            PROCESS_MAX_FDS.write_value(&mut encoder, limit)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the descriptor that reads the directory.
            let open = open.count().saturating_sub(1);
            PROCESS_OPEN_FDS.write_value(&mut encoder, open)?;
        }
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let Some(stat) = stat.as_deref().and_then(Stat::parse) else {
            return Ok(());
        };
        let millis = stat.processor_ticks.saturating_mul(1000) / clock_ticks_per_second().max(1);
        let processor = Duration::from_millis(millis);
        PROCESS_CPU.write_value(&mut encoder, processor.as_secs_f64())?;
        PROCESS_THREADS.write_value(&mut encoder, stat.threads)?;
        PROCESS_VIRTUAL_MEMORY.write_value(&mut encoder, stat.virtual_bytes)?;
        let resident = stat.resident_pages.saturating_mul(page_size() as u64);
        PROCESS_RESIDENT_MEMORY.write_value(&mut encoder, resident)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_after_any_name() {
        let text =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 9 0 500 7000 80 184 1";
        let expected = Stat {
            processor_ticks: 42,
            threads: 9,
            virtual_bytes: 7000,
            resident_pages: 80,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        for damaged in ["", "7 (a", "7 (a) S 1 2", "7 (a) S x"] {
            assert_eq!(Stat::parse(damaged), None, "{damaged}");
        }
    }
}
