//! The samples of the registry: each series, as it is written in `/metrics`, with its value.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::Registry;

/// The value of each series. `None`: it is not a number, or the series has ended.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Samples(BTreeMap<Box<str>, Option<f64>>);

impl Samples {
    /// Reads the registry; `None` if it can't be encoded.
    pub(super) fn read(registry: &Registry) -> Option<Self> {
        let metrics = registry.encode().ok()?;
        Some(Self::parse(&metrics))
    }

    /// Parses the text of `/metrics`.
    fn parse(metrics: &str) -> Self {
        let samples = metrics.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| {
            let (series, rest) = line.split_at(series_length(line)?);
            // A time or an exemplar may follow the value.
            let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
            Some((series.into(), value.is_finite().then_some(value)))
        });
        Self(samples.collect())
    }

    /// What has changed since `earlier`; a series that is gone has no value.
    pub(super) fn difference_to(&self, earlier: &Self) -> Self {
        let changed = self
            .0
            .iter()
            .filter(|(series, value)| earlier.0.get(*series) != Some(*value));
        let changed = changed.map(|(series, value)| (series.clone(), *value));
        let gone = earlier
            .0
            .keys()
            .filter(|series| !self.0.contains_key(*series));
        let gone = gone.map(|series| (series.clone(), None));
        Self(changed.chain(gone).collect())
    }
}

/// The length of the name and the labels at the beginning of a line. Values of labels are quoted and may contain anything.
fn series_length(line: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b' ' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(entries: &[(&str, Option<f64>)]) -> Samples {
        let entries = entries.iter();
        Samples(
            entries
                .map(|(series, value)| ((*series).into(), *value))
                .collect(),
        )
    }

    #[test]
    fn values_are_read_whatever_labels_contain() {
        let text = "# HELP a Some help.\n\
                    # TYPE a counter\n\
                    a_total 12\n\
                    a_total{client=\"a shop \\\" # 9\"} 3.5\n\
                    b_bucket{le=\"+Inf\"} 7 # {trace_id=\"0af7\"} 0.3\n\
                    c NaN\n\
                    # EOF\n";
        let expected = samples(&[
            ("a_total", Some(12.0)),
            ("a_total{client=\"a shop \\\" # 9\"}", Some(3.5)),
            ("b_bucket{le=\"+Inf\"}", Some(7.0)),
            ("c", None),
        ]);
        assert_eq!(Samples::parse(text), expected);
    }

    #[test]
    fn difference_has_changed_new_and_ended_series() {
        let earlier = samples(&[
            ("same", Some(1.0)),
            ("more", Some(1.0)),
            ("ended", Some(1.0)),
        ]);
        let later = samples(&[("same", Some(1.0)), ("more", Some(2.0)), ("new", Some(0.0))]);
        let expected = samples(&[("more", Some(2.0)), ("new", Some(0.0)), ("ended", None)]);
        assert_eq!(later.difference_to(&earlier), expected);
        assert_eq!(later.difference_to(&later), Samples::default());
    }
}
