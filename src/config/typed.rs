//! From a table to the configuration's types. A type is wrong where it is wrong, and the rest is read nevertheless: what
//! can't be read is reported and replaced, and reading begins again, until nothing is left to report.

use std::collections::{HashMap, HashSet};

use toml::{Table, Value};

use super::{
    Config,
    check::Mistakes,
    place::{Place, Step},
};

/// More rounds than any file has values that people would want to hear of.
const MAX_ROUNDS: usize = 1000;

/// Less alike than this is another word.
const ALIKE: f64 = 0.7;

/// Reads the table's values in the types of the configuration. Where one is of another type, or unknown, or missing, that
/// is added to the mistakes, and its default or something empty stands in its place.
pub(super) fn read(table: Table, defaults: &Table, mistakes: &mut Mistakes) -> Config {
    let mut reader = Reader {
        table,
        defaults,
        mistakes,
        converted: HashSet::new(),
        tried: HashMap::new(),
    };
    for _ in 0..MAX_ROUNDS {
        let table = Value::Table(reader.table.clone());
        match serde_path_to_error::deserialize::<_, Config>(table) {
            Ok(config) => return config,
            Err(error) => reader.mend(&Place::from(error.path()), error.inner().message()),
        }
    }
    Value::Table(defaults.clone())
        .try_into()
        .expect("the defaults are complete")
}

struct Reader<'a> {
    table: Table,
    defaults: &'a Table,
    mistakes: &'a mut Mistakes,
    /// What was read in another type than it was written in.
    converted: HashSet<Place>,
    /// How many values stood in already.
    tried: HashMap<Place, usize>,
}

impl Reader<'_> {
    /// Does away with what stopped the last round.
    fn mend(&mut self, place: &Place, message: &str) {
        if let Some(field) = named(message, "unknown field ") {
            let is_named = matches!(place.split(), Some((_, Step::Key(last))) if last == field);
            let place = if is_named {
                place.clone()
            } else {
                place.key(field)
            };
            let remedy = remedy_for_unknown(field, &listed(message));
            self.report(&place, "is an unknown field", &remedy);
            place.remove(&mut self.table);
        } else if let Some(field) = named(message, "missing field ") {
            let place = place.key(field);
            self.report(&place, "is missing", "config/default.toml shows its form");
            self.stand_in(&place);
        } else if let Some(value) = self.in_another_type(place, message) {
            self.converted.insert(place.clone());
            place.set(&mut self.table, value);
        } else {
            let (what, remedy) = describe(message);
            self.report(place, what, &remedy);
            self.stand_in(place);
        }
    }

    fn report(&mut self, place: &Place, what: &str, remedy: &str) {
        self.mistakes
            .add_unless_covered(place.to_string(), what, remedy);
    }

    /// The value as it was meant: in the environment all are texts, and a text may be given as a number.
    fn in_another_type(&self, place: &Place, message: &str) -> Option<Value> {
        if self.converted.contains(place) {
            return None;
        }
        let (_, expected) = message.rsplit_once("expected ")?;
        match place.get(&self.table)? {
            Value::String(text) => match expected {
                "a boolean" => boolean(text).map(Value::Boolean),
                "f64" => text.parse().ok().map(Value::Float),
                _ if is_whole_number(expected) => text.parse().ok().map(Value::Integer),
                _ => None,
            },
            Value::Integer(number) if expected == "a string" => {
                Some(Value::String(number.to_string()))
            }
            _ => None,
        }
    }

    /// Puts the default in a value's place, or nothing, or what is empty, or else does without what holds it.
    fn stand_in(&mut self, place: &Place) {
        if let Some((_, Step::Item(_))) = place.split() {
            place.remove(&mut self.table);
            return;
        }
        let tried = self.tried.entry(place.clone()).or_default();
        *tried += 1;
        let is_there = place.get(&self.table).is_some();
        match (*tried, place.get(self.defaults)) {
            (1, Some(default)) => {
                place.set(&mut self.table, default.clone());
            }
            (1 | 2, _) if is_there => place.remove(&mut self.table),
            (..=3, _) => {
                *tried = 3;
                place.set(&mut self.table, Value::String(String::new()));
            }
            (4, _) => {
                place.set(&mut self.table, Value::Array(Vec::new()));
            }
            _ => {
                if let Some((parent, _)) = place.split() {
                    parent.remove(&mut self.table);
                }
            }
        }
    }
}

/// The name between backticks behind these words.
fn named<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    let (name, _) = message
        .strip_prefix(words)?
        .strip_prefix('`')?
        .split_once('`')?;
    Some(name)
}

/// The names between backticks behind "expected".
fn listed(message: &str) -> Vec<&str> {
    let (_, expected) = message.rsplit_once("expected ").unwrap_or_default();
    expected.split('`').skip(1).step_by(2).collect()
}

fn remedy_for_unknown(field: &str, known: &[&str]) -> String {
    match most_alike(field, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The one of the words that a misspelt one may have been meant for.
pub(super) fn most_alike<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(word, known);
    let best = known.max_by(|one, other| alike(one).total_cmp(&alike(other)))?;
    (alike(best) >= ALIKE).then_some(best)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn is_whole_number(expected: &str) -> bool {
    matches!(
        expected,
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64"
    )
}

/// What is wrong and what to do, from serde's message, which quotes the value: that may be a secret in the wrong place.
fn describe(message: &str) -> (&'static str, String) {
    let expected = message
        .rsplit_once("expected ")
        .map(|(_, expected)| expected);
    let (what, remedy) = match expected.unwrap_or(message) {
        _ if message.starts_with("unknown variant") => {
            return (
                "is not one of its values",
                format!("give {}", alternatives(&listed(message))),
            );
        }
        _ if message.contains("socket address") => (
            "is not an address with a port",
            "give numbers such as \"127.0.0.1:8080\" or \"[::]:8080\": names are not looked up",
        ),
        "a duration" => (
            "is not a duration",
            "give whole milliseconds or more, such as \"800ms\", \"60s\", \"10m\", \"1h\" or \"1d\"",
        ),
        "at most a year" => ("is longer than a year", "no duration needs to be"),
        "whole days" => ("is not a number of days", "give \"1d\" to \"365d\""),
        "an integer or string" | "parsable string" => (
            "is not a size",
            "give one such as \"65536B\", \"16KiB\" or \"512MiB\"",
        ),
        "a boolean" => ("is neither true nor false", "give true or false"),
        "f64" => ("is not a number", "give one such as 50.0"),
        number if is_whole_number(number) => {
            ("is not a whole number", "give one from 1 to 1000000")
        }
        "a sequence" => ("is not a list", "give one such as [\"one\", \"other\"]"),
        "a string" | "path string" => ("is not a text", "write it in quotes"),
        table if table.starts_with("struct ") || table == "a map" => {
            ("is not a table", "config/default.toml shows its form")
        }
        _ => ("can't be read", "config/default.toml shows its form"),
    };
    (what, remedy.to_owned())
}

/// `"one", "two" or "three"`.
fn alternatives(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "another".to_owned(),
    }
}
