//! The table, and the promises that a run checks.

use std::{collections::BTreeMap, fmt, time::Duration};

use engage_simulator::Call;
use jiff::Timestamp;

use crate::{
    budget::{self, BURST, RATE},
    load::Sample,
    phase::{Phase, recovered},
    settings::Settings,
};

/// How much resident memory may grow, in bytes.
const GROWTH: u64 = 100 * 1_000_000;

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) settings: Settings,
    pub(crate) phases: Vec<Phase>,
    pub(crate) samples: Vec<Sample>,
    /// When each call arrived at Engage, in order.
    pub(crate) calls: Vec<Timestamp>,
    /// Resident memory when the known contacts were cached.
    pub(crate) resident_at_first: u64,
    /// The longest scheduling delay of the measuring process.
    pub(crate) late: Duration,
    /// The share of the new contacts answered in the first phase.
    pub(crate) usual: f64,
}

impl Report {
    pub(crate) fn times(log: &[Call]) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = log.iter().map(|call| call.at).collect();
        times.sort_unstable();
        times
    }

    /// The broken promises. None depends on how fast the machine is.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let needed = budget::needed_burst(&self.calls);
        // Calls that are sent in time may arrive in a bunch if this process is delayed.
        let allowed = BURST + 1.0 + RATE * 2.0 * self.late.as_secs_f64();
        if needed > allowed {
            broken.push(format!(
                "the rate was exceeded: a burst of {needed:.1} was used, {allowed:.1} allowed"
            ));
        }
        let known = self.samples.iter().filter(|sample| !sample.is_new);
        let failed = known.filter(|sample| sample.status != 200).count();
        if failed > 0 {
            broken.push(format!(
                "{failed} requests for a known contact were not answered 200"
            ));
        }
        let most = self.phases.iter().map(|phase| phase.resident).max();
        let grown = most
            .unwrap_or_default()
            .saturating_sub(self.resident_at_first);
        if grown > GROWTH {
            broken.push(format!("memory grew by {} MB", grown / 1_000_000));
        }
        broken
    }

    fn of(&self, phase: &Phase, wanted: impl Fn(&Sample) -> bool) -> Vec<Sample> {
        let samples = self.samples.iter().copied();
        samples
            .filter(|sample| phase.holds(sample) && wanted(sample))
            .collect()
    }

    fn rows(&self, phase: &Phase) -> Vec<(&'static str, String)> {
        let known = self.of(phase, |sample| !sample.is_new);
        let new = self.of(phase, |sample| sample.is_new);
        let (stand_ins, hits): (Vec<Sample>, Vec<Sample>) = known
            .iter()
            .copied()
            .filter(|sample| sample.is_hit)
            .partition(|sample| sample.is_stale_fallback);
        let answered: Vec<Sample> = new.iter().copied().filter(|s| s.status == 200).collect();
        let refused: Vec<Sample> = new.iter().copied().filter(|s| s.status != 200).collect();
        let [from, until] = phase.times;
        let calls: Vec<Timestamp> = self
            .calls
            .iter()
            .copied()
            .filter(|time| (from..until).contains(time))
            .collect();
        vec![
            (
                "seconds",
                format!("{:.0}", phase.ticks[1].since(phase.ticks[0]).as_secs_f64()),
            ),
            ("requests", (known.len() + new.len()).to_string()),
            ("known contacts: by status", statuses(&known)),
            (
                "hits, fresh or stale-while-revalidate",
                hits.len().to_string(),
            ),
            ("… p50 / p99 / max, ms", spread(&hits)),
            ("stale-if-slow, stale-if-error", stand_ins.len().to_string()),
            ("… p50 / p99 / max, ms", spread(&stand_ins)),
            ("all known: p50 / p99 / max, ms", spread(&known)),
            ("new contacts: by status", statuses(&new)),
            ("new, 200: p50 / p99 / max, ms", spread(&answered)),
            ("new, others: p50 / p99 / max, ms", spread(&refused)),
            ("calls to Engage", calls.len().to_string()),
            (
                "… most in any second",
                budget::most_in_a_second(&calls).to_string(),
            ),
            (
                "… burst needed above 50/s",
                format!("{:.1}", budget::needed_burst(&calls)),
            ),
            ("breakers opened", phase.openings.to_string()),
            ("resident memory at the end, MB", megabytes(phase.resident)),
        ]
    }

    fn hits_p99(&self, phase: &Phase) -> f64 {
        let hits = self.of(phase, |sample| {
            !sample.is_new && sample.is_hit && !sample.is_stale_fallback
        });
        percentile(&sorted(&hits), 0.99)
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "|  |")?;
        for phase in &self.phases {
            write!(f, " {} |", phase.name)?;
        }
        writeln!(f, "\n| --- |{}", " --- |".repeat(self.phases.len()))?;
        let columns: Vec<_> = self.phases.iter().map(|phase| self.rows(phase)).collect();
        for (index, (name, _)) in columns.first().into_iter().flatten().enumerate() {
            write!(f, "| {name} |")?;
            for column in &columns {
                write!(f, " {} |", column[index].1)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((quiet, others)) = self.phases.split_first() else {
            return Ok(());
        };
        let usual = self.hits_p99(quiet);
        for phase in others {
            let ratio = self.hits_p99(phase) / usual;
            writeln!(f, "Hits' p99, {} over quiet: {ratio:.2}", phase.name)?;
        }
        Ok(())
    }

    fn recovery(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.phases.last() else {
            return Ok(());
        };
        let start = last.ticks[0];
        let answered = self.of(last, |sample| sample.is_new && sample.status == 200);
        let first = answered
            .iter()
            .map(|sample| (sample.due + sample.latency).since(start))
            .min();
        let first = first.map_or("never".to_owned(), |first| {
            format!("{:.1} s", first.as_secs_f64())
        });
        let length = last.ticks[1].since(start).as_secs();
        let again = recovered(&self.samples, start, self.usual, length);
        let again = again.map_or("never".to_owned(), |second| format!("{second} s"));
        writeln!(
            f,
            "From Engage's recovery to the first new contact answered 200: {first}"
        )?;
        writeln!(
            f,
            "From Engage's recovery to the end of the first second in which the share of new contacts \
             answered reached 95 % of that in the quiet phase ({:.0} %): {again}",
            100.0 * self.usual
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            rate, new_percent, ..
        } = self.settings;
        writeln!(f, "{rate} requests/s, {new_percent} % for new contacts\n")?;
        self.table(f)?;
        writeln!(f)?;
        self.ratios(f)?;
        self.recovery(f)?;
        writeln!(
            f,
            "The whole run: {} calls, {} at most in any second, burst needed {:.1} (allowed {BURST:.0})",
            self.calls.len(),
            budget::most_in_a_second(&self.calls),
            budget::needed_burst(&self.calls),
        )?;
        writeln!(
            f,
            "Resident memory before the first phase: {} MB. The load itself was late by {} ms at worst",
            megabytes(self.resident_at_first),
            self.late.as_millis()
        )?;
        let broken = self.broken();
        if broken.is_empty() {
            return writeln!(f, "No promise was broken");
        }
        broken
            .iter()
            .try_for_each(|promise| writeln!(f, "BROKEN: {promise}"))
    }
}

fn statuses(samples: &[Sample]) -> String {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for sample in samples {
        *counts.entry(sample.status).or_default() += 1;
    }
    let texts: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{status}: {count}"))
        .collect();
    texts.join(", ")
}

fn sorted(samples: &[Sample]) -> Vec<Duration> {
    let mut latencies: Vec<Duration> = samples.iter().map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    latencies
}

/// In milliseconds; 0 without values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank within a list that memory holds"
)]
fn percentile(sorted: &[Duration], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    let latency = sorted.get(rank.saturating_sub(1));
    latency.copied().unwrap_or_default().as_secs_f64() * 1000.0
}

fn spread(samples: &[Sample]) -> String {
    let latencies = sorted(samples);
    if latencies.is_empty() {
        return "–".to_owned();
    }
    let [median, high, most] = [0.5, 0.99, 1.0].map(|part| percentile(&latencies, part));
    format!("{median:.1} / {high:.1} / {most:.0}")
}

fn megabytes(bytes: u64) -> String {
    (bytes / 1_000_000).to_string()
}
