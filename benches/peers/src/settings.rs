//! What to measure and for how long, from the command line, each within bounds.

use std::{ops::RangeInclusive, path::PathBuf};

use crate::{Failure, rounds::Pace};

/// The measurements, in this order.
pub(crate) const SHAPES: [&str; 10] = [
    "hit",
    "not-modified",
    "gzip",
    "background",
    "miss",
    "burst",
    "workers",
    "footprint",
    "overfull",
    "cold",
];

const USAGE: &str = "[--seconds N] [--rounds N] [--contacts N] [SHAPE...]";

/// What to measure, and how.
pub(crate) struct Settings {
    /// The service's release binary.
    pub(crate) binary: String,
    /// The directory of the table and the plot.
    pub(crate) out: PathBuf,
    /// The directory of the servers' configurations and data, in memory.
    pub(crate) scratch: PathBuf,
    pub(crate) pace: Pace,
    /// The number of contacts for measuring memory.
    pub(crate) contacts: usize,
    shapes: Vec<String>,
}

impl Settings {
    /// Reads `BINARY OUT SCRATCH` and the arguments that the user gave to the script.
    pub(crate) fn read(words: &[&str]) -> Result<Self, Failure> {
        let [binary, out, scratch, given @ ..] = words else {
            return Err("run scripts/bench".into());
        };
        let mut settings = Self {
            binary: (*binary).to_owned(),
            out: out.into(),
            scratch: scratch.into(),
            pace: Pace {
                rounds: 5,
                seconds: 4,
            },
            contacts: 100_000,
            shapes: Vec::new(),
        };
        let mut given = given.iter();
        while let Some(word) = given.next() {
            let mut number = |bounds| number(word, given.next(), bounds);
            match *word {
                "--seconds" => settings.pace.seconds = number(1..=30)?,
                "--rounds" => settings.pace.rounds = number(1..=12)?,
                "--contacts" => settings.contacts = usize::try_from(number(1000..=1_000_000)?)?,
                shape if SHAPES.contains(&shape) => settings.shapes.push(shape.to_owned()),
                other => {
                    let shapes = SHAPES.join(" ");
                    return Err(format!("unknown: {other}. {USAGE}; shapes: {shapes}").into());
                }
            }
        }
        Ok(settings)
    }

    /// Whether to measure it: all are measured if none is named.
    pub(crate) fn wants(&self, shape: &str) -> bool {
        self.shapes.is_empty() || self.shapes.iter().any(|wanted| wanted == shape)
    }
}

fn number(name: &str, text: Option<&&str>, bounds: RangeInclusive<u64>) -> Result<u64, Failure> {
    let value = text.and_then(|text| text.parse().ok());
    value.filter(|value| bounds.contains(value)).ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        format!("{name} wants a number from {least} to {most}").into()
    })
}
