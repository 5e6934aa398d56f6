//! A histogram without a lock, because hits observe durations and ages from every thread.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::Atomic as _},
};

use super::{Kind, Metric};

/// Counts the durations up to each bound, and sums them up.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Each bound in seconds, as it is written in `/metrics`.
    bounds: &'static [f64],
    /// Each bound in nanoseconds.
    limits: Box<[u64]>,
    /// The number of durations up to each limit and above the previous one. The last is the number above all limits.
    counts: Box<[AtomicU64]>,
    /// The sum in seconds: the bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram with these bounds, in seconds and ascending.
    fn new(bounds: &'static [f64]) -> Self {
        let nanos = |bound: &f64| saturating_nanos(Duration::from_secs_f64(*bound));
        Self(Arc::new(Buckets {
            bounds,
            limits: bounds.iter().map(nanos).collect(),
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0.0_f64.to_bits()),
        }))
    }

    /// Observes a duration.
    pub fn observe(&self, duration: Duration) {
        self.count(self.place(duration));
    }

    /// A duration and its bucket, for several histograms of one family.
    pub fn place(&self, duration: Duration) -> Placed {
        let limits = &self.0.limits;
        let nanos = saturating_nanos(duration);
        // Searched from the first limit, because most durations are short.
        let above = limits.iter().position(|limit| nanos <= *limit);
        Placed {
            bucket: above.unwrap_or(limits.len()),
            seconds: duration.as_secs_f64(),
        }
    }

    /// Counts a duration that was placed by a histogram of the same family.
    pub fn count(&self, placed: Placed) {
        let Buckets { counts, sum, .. } = &*self.0;
        counts[placed.bucket].fetch_add(1, Ordering::Relaxed);
        sum.inc_by(placed.seconds);
    }
}

/// A duration with its bucket in the histograms of one family.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    bucket: usize,
    seconds: f64,
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Metric for Histogram {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Histogram(bounds) => Self::new(bounds),
            Kind::Counter | Kind::Gauge => unreachable!("the family is not one of histograms"),
        }
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Buckets {
            bounds,
            counts,
            sum,
            ..
        } = &*self.0;
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts).collect();
        // The sum of the counts that are written here: another duration may be observed in the meantime.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.get(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Definition, Histograms, Registry, Rows};

    const BOUNDS: &[f64] = &[0.000_05, 1.0, 5.0];
    static DURATIONS: Definition = Definition {
        name: "durations_seconds",
        kind: Kind::Histogram(BOUNDS),
        labels: &[],
        rows: Rows::Product,
        help: "Durations",
        note: "",
    };

    #[test]
    fn durations_are_counted_up_to_their_bound() {
        let durations = Histograms::new(&DURATIONS);
        let histogram = durations.of(&[]);
        for micros in [0, 50, 51, 1_000_000, 1_000_001, 7_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.add(durations);
        let text = registry.encode().expect("text");
        let lines: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("engage_bff_durations_seconds_"))
            .collect();
        let expected = [
            "sum 9.000102",
            "count 6",
            "bucket{le=\"0.00005\"} 2",
            "bucket{le=\"1.0\"} 4",
            "bucket{le=\"5.0\"} 5",
            "bucket{le=\"+Inf\"} 6",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn threads_lose_no_observation() {
        const EACH: u64 = 10_000;
        let histogram = Histogram::new(BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        histogram.observe(Duration::from_secs(1));
                    }
                });
            }
        });
        assert_eq!(histogram.0.counts[1].load(Ordering::Relaxed), 4 * EACH);
        let sum: f64 = histogram.0.sum.get();
        assert_eq!(sum.to_string(), (4 * EACH).to_string());
    }
}
