//! How the layers are laid over one another: the defaults, the file, the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use toml::{Table, Value};

use super::{
    Config, files,
    key_path::{KeyPath, Step},
    links::is_link,
    mistakes::Mistakes,
    texts, typed,
};

/// Every key with its default; compiled into the binary.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The list among the keys that has no default by which it could be known.
const LISTS_WITHOUT_DEFAULT: [&str; 2] = ["auth.jwt.algorithms", "auth.jwt.types"];

/// Where the layer between the defaults and the environment comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    File(&'a Path),
    Text(&'a str),
    Nothing,
}

/// What the layers make together.
pub(super) struct Gathered {
    /// With defaults in place of what is mistaken.
    pub(super) config: Config,
    /// The keys that the environment sets, where the file could not be read: of the others nothing is known.
    pub(super) known: Option<BTreeSet<String>>,
}

/// The configuration of the layers, unchecked.
pub fn read(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Mistakes> {
    let mut mistakes = Mistakes::default();
    let source = file.map_or(Source::Nothing, Source::File);
    let gathered = gather(source, environment, &mut mistakes);
    mistakes.or_ok().map(|()| gathered.config)
}

/// Lays the layers over one another and reads the result in the configuration's types.
pub(super) fn gather(
    source: Source<'_>,
    environment: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Gathered {
    let defaults: Table = DEFAULTS.parse().expect("the defaults are TOML");
    let mut table = defaults.clone();
    let is_read = match between(source) {
        Ok(mut between) => {
            check_texts(&mut between, mistakes);
            lay_over(&mut table, between);
            true
        }
        Err((key, what, remedy)) => {
            mistakes.add(key, what, remedy);
            false
        }
    };
    let mut overlay = Overlay {
        table: &mut table,
        defaults: &defaults,
        mistakes,
        keys: BTreeSet::new(),
    };
    for (name, value) in environment {
        overlay.lay(name, value);
    }
    let keys = overlay.keys;
    Gathered {
        config: typed::read(table, &defaults, mistakes),
        known: (!is_read).then_some(keys),
    }
}

/// The layer between the defaults and the environment, or key, fault and remedy.
fn between(source: Source<'_>) -> Result<Table, (String, String, &'static str)> {
    let read;
    let (name, text) = match source {
        Source::Nothing => return Ok(Table::new()),
        Source::Text(text) => ("configuration".to_owned(), text),
        Source::File(path) => {
            let name = path.display().to_string();
            match files::text(path) {
                Ok(text) => read = text,
                // As good as none: the environment may say everything.
                Err(files::Fault::Empty) => return Ok(Table::new()),
                Err(fault) => {
                    let remedy = fault.remedy();
                    let remedy = remedy.unwrap_or("give the path of a readable TOML file");
                    return Err((name, fault.what(), remedy));
                }
            }
            (name, read.as_str())
        }
    };
    text.parse::<Table>().map_err(|error| {
        // The message alone: its other form quotes the line, which may hold a secret.
        let cause = error.message().lines().next().unwrap_or("unknown cause");
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        let what = format!("is not TOML: line {line}, column {column}: {cause}");
        (
            name,
            what,
            "config/default.toml lists every key and its form",
        )
    })
}

/// Puts the values of one table over those of the other; lists as a whole.
fn lay_over(table: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => lay_over(lower, upper),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Takes the texts away that break the rule for texts.
fn check_texts(table: &mut Table, mistakes: &mut Mistakes) {
    let mut faults = Vec::new();
    for (key, value) in table.iter() {
        find_faults(&KeyPath::default().key(key), value, &mut faults);
    }
    for (place, (what, remedy)) in &faults {
        mistakes.add(place.to_string(), *what, *remedy);
    }
    // The last first: what is behind an item of a list moves up.
    for (place, _) in faults.iter().rev() {
        place.remove(table);
    }
}

fn find_faults(place: &KeyPath, value: &Value, faults: &mut Vec<(KeyPath, texts::Fault)>) {
    match value {
        Value::String(text) => {
            let fault = texts::fault(&place.to_string(), text);
            faults.extend(fault.map(|fault| (place.clone(), fault)));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_faults(&place.then(Step::Item(index)), item, faults);
            }
        }
        Value::Table(table) => {
            for (key, value) in table {
                find_faults(&place.key(key), value, faults);
            }
        }
        _ => {}
    }
}

/// The environment, laid over the other layers.
struct Overlay<'a> {
    table: &'a mut Table,
    defaults: &'a Table,
    mistakes: &'a mut Mistakes,
    /// The keys that it sets.
    keys: BTreeSet<String>,
}

impl Overlay<'_> {
    /// Only names of the form `BFF_<SECTION>__<KEY>` are ours: Kubernetes puts `BFF_SERVICE_HOST` beside a Service that is
    /// named bff. Values stay texts until a key's type is known: a secret of digits would lose its zeros.
    fn lay(&mut self, name: &str, value: &str) {
        let ours = name.strip_prefix("BFF_");
        let Some(ours) = ours.filter(|_| name.contains("__")) else {
            return;
        };
        let ours = ours.to_lowercase();
        let place = KeyPath::of_keys(ours.split("__"));
        let (section, _) = ours.split_once("__").unwrap_or_default();
        let is_known = place.get(self.defaults).is_some();
        if !is_known && is_link(name, value, self.defaults.contains_key(section)) {
            return;
        }
        if !ours.contains("__") || ours.split("__").any(str::is_empty) {
            let remedy = "variables of the service are named BFF_<SECTION>__<KEY>";
            self.mistakes.add(name, "is an unknown key", remedy);
            return;
        }
        let key = place.to_string();
        if key == "auth.clients" || key.starts_with("auth.clients.") {
            let remedy = "write each as [[auth.clients]] there";
            self.mistakes
                .add("auth.clients", "can only be set in the file", remedy);
            return;
        }
        let is_list = matches!(place.get(self.defaults), Some(Value::Array(_)));
        let value = if is_list || LISTS_WITHOUT_DEFAULT.contains(&key.as_str()) {
            self.list(&key, value)
        } else {
            self.text(&key, value)
                .then(|| Value::String(value.to_owned()))
        };
        if let Some(value) = value
            && !place.set(self.table, value)
        {
            // Unless what it would stand in is itself of a wrong type.
            let is_in_section = place
                .split()
                .is_some_and(|(parent, _)| parent.get(self.defaults).is_some_and(Value::is_table));
            if !is_in_section {
                self.mistakes.add(&key, "is an unknown key", "leave it out");
            }
        }
        self.keys.insert(key);
    }

    /// Whether the text keeps to the rule for texts.
    fn text(&mut self, key: &str, text: &str) -> bool {
        let fault = texts::fault(key, text);
        if let Some((what, remedy)) = fault {
            self.mistakes.add(key, what, remedy);
        }
        fault.is_none()
    }

    /// The items between the commas; none where there is nothing.
    fn list(&mut self, key: &str, text: &str) -> Option<Value> {
        let text = text.trim();
        if text.starts_with('[') && text.ends_with(']') {
            let remedy = "give the items separated by commas, without brackets";
            self.mistakes.add(key, "is in brackets", remedy);
            return None;
        }
        // Around all of them; around each they are found below.
        if let Some((what, remedy)) = texts::quoted(text).filter(|_| !is_list_of_quoted(text)) {
            self.mistakes.add(key, what, remedy);
            return None;
        }
        if text.is_empty() {
            return Some(Value::Array(Vec::new()));
        }
        let mut items = Vec::new();
        for (index, item) in text.split(',').map(str::trim).enumerate() {
            if self.text(&format!("{key}[{index}]"), item) {
                items.push(Value::String(item.to_owned()));
            }
        }
        Some(Value::Array(items))
    }
}

fn is_list_of_quoted(text: &str) -> bool {
    text.split(',')
        .all(|item| texts::quoted(item.trim()).is_some())
}
