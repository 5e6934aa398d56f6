//! The metrics: the definition of each family, and the counters, gauges and histograms in which modules count.
//!
//! [`catalogue`] defines every family once: name, kind, labels, help. `/metrics`, the table in `docs/OPERATIONS.md` and
//! the tests are made from these definitions. A module creates its [`Series`] from a definition and adds them to the
//! [`Registry`] of the service; values that are read at the scrape are written with [`Definition::write_each`].
//!
//! Each series whose labels have known values exists from the start with 0, so that the first event is seen as an
//! increase. A value from a caller or from Engage is never a label.

pub mod catalogue;
mod histogram;
mod process;
mod series;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, MetricEncoder,
        NoLabelSet, text,
    },
    metrics::MetricType,
};

pub use self::{
    histogram::{Histogram, Placed},
    process::ProcessMetrics,
    series::{Counters, Gauges, Histograms, Series},
};
pub use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// The prefix of every name except those of the process.
const PREFIX: &str = "engage_bff_";
/// The prefix of the metrics that every process has.
const OF_PROCESSES: &str = "process_";

/// What a family of metrics measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that grows and shrinks.
    Gauge,
    /// How often values up to these bounds were observed, in seconds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The name in `/metrics` and in the documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    const fn metric_type(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// A value that is counted or observed. Its clones share it.
pub trait Metric: EncodeMetric + Clone + fmt::Debug + Send + Sync + 'static {
    /// A metric of that kind, with nothing counted yet.
    fn of(kind: Kind) -> Self;
}

/// A label of a family.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values; empty if they are known only at run time, such as the clients.
    pub values: &'static [&'static str],
}

/// Which series a family has from the start.
#[derive(Clone, Copy, Debug)]
pub enum Rows {
    /// One for each combination of the labels' values; none if the values of a label are not known.
    Product,
    /// The series with these values of the labels.
    Listed(fn() -> Vec<Vec<&'static str>>),
}

/// A family of metrics.
#[derive(Debug)]
pub struct Definition {
    /// The name without [the prefix](Self::full_name), with its unit; a counter's ends with `_total`.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// Which series it has from the start.
    pub rows: Rows,
    /// What it counts or measures, in one sentence.
    pub help: &'static str,
    /// For the documents: what the values of its labels mean, and when it is absent. May be empty.
    pub note: &'static str,
}

impl Definition {
    /// The name in `/metrics`.
    pub fn full_name(&self) -> String {
        let prefix = if self.name.starts_with(OF_PROCESSES) {
            ""
        } else {
            PREFIX
        };
        format!("{prefix}{}", self.name)
    }

    /// The label values of each series that exists from the start.
    pub fn known_rows(&self) -> Vec<Vec<&'static str>> {
        match self.rows {
            Rows::Listed(rows) => rows(),
            Rows::Product => {
                let mut rows = vec![Vec::new()];
                for label in self.labels {
                    let with_each = |row: Vec<&'static str>| {
                        let values = label.values.iter();
                        values.map(move |value| [&row[..], &[*value]].concat())
                    };
                    rows = rows.into_iter().flat_map(with_each).collect();
                }
                rows
            }
        }
    }

    /// Whether a series may have these values of the labels.
    pub fn allows(&self, values: &[&str]) -> bool {
        let is_known = |(label, value): (&Label, &&str)| {
            label.values.is_empty() || label.values.contains(value)
        };
        let is_listed = match self.rows {
            Rows::Product => true,
            Rows::Listed(rows) => rows().iter().any(|row| row == values),
        };
        values.len() == self.labels.len()
            && self.labels.iter().zip(values).all(is_known)
            && is_listed
    }

    /// Writes the family with these samples, read at the scrape: the values of the labels, and the value.
    pub fn write_each<'a, const LABELS: usize, V>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        samples: impl IntoIterator<Item = ([&'a str; LABELS], V)>,
    ) -> fmt::Result
    where
        V: EncodeCounterValue + EncodeGaugeValue,
    {
        let samples = samples.into_iter().map(|(values, value)| {
            debug_assert!(self.allows(&values), "{}: {values:?}", self.name);
            (values.to_vec(), value)
        });
        self.encode(encoder, samples, |value, mut metric| match self.kind {
            Kind::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
            Kind::Gauge => metric.encode_gauge(&value),
            Kind::Histogram(_) => unreachable!("histograms are observed, not read"),
        })
    }

    /// Writes a family without labels, read at the scrape.
    pub fn write_value<V>(&self, encoder: &mut DescriptorEncoder<'_>, value: V) -> fmt::Result
    where
        V: EncodeCounterValue + EncodeGaugeValue,
    {
        self.write_each(encoder, [([], value)])
    }

    /// Writes the head of the family and its series. For each series `write` is called with its metric or sample, and
    /// an encoder that already has its labels.
    fn encode<'a, T>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        series: impl Iterator<Item = (Vec<&'a str>, T)>,
        mut write: impl FnMut(T, MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let name = self.full_name();
        // The encoder adds the ending of a counter.
        let name = name.strip_suffix("_total").unwrap_or(&name);
        let mut family =
            encoder.encode_descriptor(name, self.help, None, self.kind.metric_type())?;
        for (values, one) in series {
            let names = self.labels.iter().map(|label| label.name);
            let labels: Vec<_> = names.zip(values).collect();
            write(one, family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Everything that `/metrics` writes.
#[derive(Debug, Default)]
pub struct Registry(prometheus_client::registry::Registry);

impl Registry {
    /// Adds a collector, which is written at each scrape after those added before.
    pub fn add(&mut self, collector: impl Collector) {
        self.0.register_collector(Box::new(collector));
    }

    /// Adds a family without labels.
    pub fn add_single<M: Metric>(&mut self, definition: &'static Definition, metric: &M) {
        self.add(Series::single(definition, metric.clone()));
    }

    /// The text of `/metrics`.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// A part of the service that has metrics.
pub trait Source {
    /// Adds its metrics.
    fn register(&self, registry: &mut Registry);
}

impl<S: Source> Source for Arc<S> {
    fn register(&self, registry: &mut Registry) {
        self.as_ref().register(registry);
    }
}

/// A source that exists only with some configurations.
impl<S: Source> Source for Option<S> {
    fn register(&self, registry: &mut Registry) {
        if let Some(source) = self {
            source.register(registry);
        }
    }
}
