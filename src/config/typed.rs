//! Deserializes the configuration and reports every invalid value, not only the first: each is replaced by a
//! substitute, and deserialization starts again.

use std::collections::{HashMap, HashSet};

use toml::{Table, Value};

use super::{
    Config,
    key_path::{KeyPath, Step},
    known_keys,
    mistakes::Mistakes,
    spelling::most_alike,
};

/// More rounds than a file has mistakes worth reporting.
const MAX_ROUNDS: usize = 1000;

/// Deserializes the table. Values of a wrong type, unknown and missing keys are added to the mistakes, and replaced by
/// their defaults or empty values.
pub(super) fn read(table: Table, defaults: &Table, mistakes: &mut Mistakes) -> Config {
    let mut reader = Reader {
        table,
        defaults,
        mistakes,
        already_converted: HashSet::new(),
        tried: HashMap::new(),
    };
    for _ in 0..MAX_ROUNDS {
        let table = Value::Table(reader.table.clone());
        match serde_path_to_error::deserialize::<_, Config>(table) {
            Ok(config) => return config,
            Err(error) => reader.repair(&KeyPath::from(error.path()), error.inner().message()),
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
    /// Values already converted to another type.
    already_converted: HashSet<KeyPath>,
    /// How many substitutes were tried for a value.
    tried: HashMap<KeyPath, usize>,
}

impl Reader<'_> {
    /// Removes the cause of the error.
    fn repair(&mut self, path: &KeyPath, message: &str) {
        if let Some(field) = named(message, "unknown field ") {
            let is_named = matches!(path.split(), Some((_, Step::Key(last))) if last == field);
            let path = if is_named {
                path.clone()
            } else {
                path.key(field)
            };
            let remedy = remedy_for_unknown(field, &listed(message));
            self.report(&path, "is an unknown key", &remedy);
            path.remove(&mut self.table);
        } else if let Some(field) = named(message, "missing field ") {
            let path = path.key(field);
            self.report(&path, "is missing", "config/default.toml shows its form");
            self.substitute(&path);
        } else if let Some(value) = self.converted(path, message) {
            self.already_converted.insert(path.clone());
            path.set(&mut self.table, value);
        } else {
            let (what, remedy) = describe(path, message);
            self.report(path, what, &remedy);
            self.substitute(path);
        }
    }

    fn report(&mut self, path: &KeyPath, what: &str, remedy: &str) {
        self.mistakes
            .add_unless_covered(path.to_string(), what, remedy);
    }

    /// The value converted to the expected type: variables are always strings, and a string may be given as a number.
    fn converted(&self, path: &KeyPath, message: &str) -> Option<Value> {
        if self.already_converted.contains(path) {
            return None;
        }
        let (_, expected) = message.rsplit_once("expected ")?;
        match path.get(&self.table)? {
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

    /// Replaces a value: first by its default, then by no value, an empty string and an empty list. If all fail,
    /// removes its parent.
    fn substitute(&mut self, path: &KeyPath) {
        if let Some((_, Step::Item(_))) = path.split() {
            path.remove(&mut self.table);
            return;
        }
        let tried = self.tried.entry(path.clone()).or_default();
        *tried += 1;
        let is_there = path.get(&self.table).is_some();
        match (*tried, path.get(self.defaults)) {
            (1, Some(default)) => {
                path.set(&mut self.table, default.clone());
            }
            (1 | 2, _) if is_there => path.remove(&mut self.table),
            (..=3, _) => {
                *tried = 3;
                path.set(&mut self.table, Value::String(String::new()));
            }
            (4, _) => {
                path.set(&mut self.table, Value::Array(Vec::new()));
            }
            _ => {
                if let Some((parent, _)) = path.split() {
                    parent.remove(&mut self.table);
                }
            }
        }
    }
}

/// The name in backticks after these words.
fn named<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    let (name, _) = message
        .strip_prefix(words)?
        .strip_prefix('`')?
        .split_once('`')?;
    Some(name)
}

/// The names in backticks after "expected".
fn listed(message: &str) -> Vec<&str> {
    let (_, expected) = message.rsplit_once("expected ").unwrap_or_default();
    expected.split('`').skip(1).step_by(2).collect()
}

fn remedy_for_unknown(field: &str, known: &[&str]) -> String {
    if let Some(meant) = most_alike(field, known.iter().copied()) {
        return format!("did you mean {meant}?");
    }
    if let Some((section, _)) = known_keys::all().find(|(_, key)| *key == field) {
        return format!("did you mean {section}.{field}? It belongs below [{section}]");
    }
    if known.is_empty() {
        return "leave it out".to_owned();
    }
    format!("known keys: {}", known.join(", "))
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

/// What is wrong and the remedy, from serde's message. The message itself is not shown: it quotes the value, which may
/// be a secret given to the wrong key.
fn describe(path: &KeyPath, message: &str) -> (&'static str, String) {
    let is_section = path.split().is_some_and(|(parent, _)| parent.is_root());
    let expected = message
        .rsplit_once("expected ")
        .map(|(_, expected)| expected);
    let (what, remedy) = match expected.unwrap_or(message) {
        _ if message.starts_with("unknown variant") => {
            return (
                "is not one of the allowed values",
                format!("give {}", alternatives(&listed(message))),
            );
        }
        _ if message.contains("socket address") => (
            "is not an address with a port",
            "give an IP address and port such as \"127.0.0.1:8080\" or \"[::]:8080\"; host names are not resolved",
        ),
        "a duration" => (
            "is not a duration",
            "give whole milliseconds or more, such as \"800ms\", \"60s\", \"10m\", \"1h\" or \"1d\"",
        ),
        "at most a year" => ("is longer than a year", "give at most \"365d\""),
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
        "a sequence" if path.to_string() == "auth.clients" => (
            "is not a list of tables",
            "begin each client with [[auth.clients]], in double brackets",
        ),
        "a sequence" => ("is not a list", "give one such as [\"one\", \"other\"]"),
        "a string" | "path string" => ("is not a string", "write it in quotes"),
        table if is_section && table.starts_with("struct ") => (
            "is not a section",
            "write its name in brackets on a line of its own, and its keys below",
        ),
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
