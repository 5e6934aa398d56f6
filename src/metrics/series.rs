//! The series of a family.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Counter, Definition, Gauge, Histogram, Kind, Metric};

impl Metric for Counter {
    fn of(kind: Kind) -> Self {
        debug_assert_eq!(kind, Kind::Counter);
        Self::default()
    }
}

impl Metric for Gauge {
    fn of(kind: Kind) -> Self {
        debug_assert_eq!(kind, Kind::Gauge);
        Self::default()
    }
}

/// The series of a family of counters.
pub type Counters = Series<Counter>;
/// The series of a family of gauges.
pub type Gauges = Series<Gauge>;
/// The series of a family of histograms.
pub type Histograms = Series<Histogram>;

/// The series of a family. Clones share them. Code that counts frequently looks up its series once, at the start.
#[derive(Clone, Debug)]
pub struct Series<M> {
    definition: &'static Definition,
    all: Arc<RwLock<Vec<(Row, M)>>>,
}

/// The values of the labels.
type Row = Box<[Cow<'static, str>]>;

impl<M: Metric> Series<M> {
    /// All series that the family has from the start.
    pub fn new(definition: &'static Definition) -> Self {
        let known = definition.known_rows().into_iter();
        let known = known.map(|row| {
            let row = row.into_iter().map(Cow::Borrowed).collect();
            (row, M::of(definition.kind))
        });
        Self {
            definition,
            all: Arc::new(RwLock::new(known.collect())),
        }
    }

    /// The series with these values of the labels. Created if it does not exist: for labels whose values are known only
    /// at run time.
    pub fn of(&self, values: &[&str]) -> M {
        let is_it = |(row, _): &&(Row, M)| row.iter().eq(values);
        let known = self.all.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, metric)) = known.iter().find(is_it) {
            return metric.clone();
        }
        drop(known);
        let name = self.definition.name;
        debug_assert!(self.definition.allows(values), "{name}: {values:?}");
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have created it in the meantime.
        if let Some((_, metric)) = all.iter().find(is_it) {
            return metric.clone();
        }
        let metric = M::of(self.definition.kind);
        let row = values.iter().map(|value| Cow::Owned((*value).to_owned()));
        all.push((row.collect(), metric.clone()));
        metric
    }

    /// The series with these values of the last label, in that order, which must be all of its values. `first` are the
    /// values of the other labels.
    pub fn each<const N: usize>(&self, first: &[&str], last: [&'static str; N]) -> [M; N] {
        let label = self.definition.labels.last();
        let name = self.definition.name;
        debug_assert_eq!(label.map(|label| label.values), Some(&last[..]), "{name}");
        last.map(|value| self.of(&[first, &[value]].concat()))
    }

    /// The only series of a family without labels.
    pub fn single(definition: &'static Definition, metric: M) -> Self {
        debug_assert!(definition.labels.is_empty(), "{}", definition.name);
        Self {
            definition,
            all: Arc::new(RwLock::new(vec![(Row::default(), metric)])),
        }
    }
}

impl<M: Metric> Collector for Series<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let series = all.iter().map(|(row, metric)| {
            let values = row.iter().map(AsRef::as_ref).collect();
            (values, metric)
        });
        self.definition
            .encode(&mut encoder, series, |metric, encoder| {
                metric.encode(encoder)
            })
    }
}
