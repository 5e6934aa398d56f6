//! The layers, merged: the defaults, the file, the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use toml::{Table, Value};

use super::{
    Config, files,
    key_path::{KeyPath, Step},
    known_keys,
    links::is_link,
    mistakes::Mistakes,
    syntax, texts, typed,
};

/// Every key with its default; compiled into the binary.
pub const DEFAULTS: &str = known_keys::TEXT;

/// Lists without a default, so their type is not known from one.
const LISTS_WITHOUT_DEFAULT: [&str; 2] = ["auth.jwt.algorithms", "auth.jwt.types"];

/// Where the layer between the defaults and the environment comes from.
#[derive(Clone, Copy)]
pub(super) enum FileLayer<'a> {
    File(&'a Path),
    Text(&'a str),
    Nothing,
}

/// The merged layers.
pub(super) struct Merged {
    /// The configuration, with defaults in place of invalid values.
    pub(super) config: Config,
    /// If the file could not be read: the keys that the environment sets. Nothing is known about the others.
    pub(super) known: Option<BTreeSet<String>>,
}

/// Merges the layers without checking the result.
pub fn read(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Mistakes> {
    let mut mistakes = Mistakes::default();
    let file = file.map_or(FileLayer::Nothing, FileLayer::File);
    let merged = merge(file, environment, &mut mistakes);
    mistakes.or_ok().map(|()| merged.config)
}

/// The address of the operations listener, for a health check. A health check may have the service's environment but
/// not its file, so the result may be incomplete: mistakes about other keys do not count.
pub fn operations_listen(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<SocketAddr, Mistakes> {
    let mut mistakes = Mistakes::default();
    let name = file.map(|path| path.display().to_string());
    let file = file.map_or(FileLayer::Nothing, FileLayer::File);
    let merged = merge(file, environment, &mut mistakes);
    let mut keys = vec!["operations.listen"];
    keys.extend(name.as_deref());
    mistakes.keep_about(&keys);
    let listen = merged.config.operations.listen;
    mistakes.or_ok().map(|()| listen)
}

/// Merges the layers and deserializes the result.
pub(super) fn merge(
    file: FileLayer<'_>,
    environment: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Merged {
    let defaults: Table = DEFAULTS.parse().expect("the defaults are TOML");
    let mut table = defaults.clone();
    let is_read = match read_file(file) {
        Ok(mut layer) => {
            check_texts(&mut layer, mistakes);
            override_with(&mut table, layer);
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
        overlay.set(name, value);
    }
    let keys = overlay.keys;
    Merged {
        config: typed::read(table, &defaults, mistakes),
        known: (!is_read).then_some(keys),
    }
}

/// The layer between the defaults and the environment; the error is key, mistake and remedy.
fn read_file(file: FileLayer<'_>) -> Result<Table, (String, String, String)> {
    let read;
    let (name, text) = match file {
        FileLayer::Nothing => return Ok(Table::new()),
        FileLayer::Text(text) => ("configuration".to_owned(), text),
        FileLayer::File(path) => {
            let name = path.display().to_string();
            match files::text(path) {
                Ok(text) => read = text,
                // Treated as no file: the environment may set everything.
                Err(files::FileFault::Empty) => return Ok(Table::new()),
                Err(fault) => {
                    let remedy = fault.remedy();
                    let remedy = remedy.unwrap_or("give the path of a readable TOML file");
                    return Err((name, fault.what(), remedy.to_owned()));
                }
            }
            (name, read.as_str())
        }
    };
    text.parse::<Table>().map_err(|error| {
        let (what, remedy) = syntax::fault(text, &error);
        (name, what, remedy)
    })
}

/// Replaces the values of `table` by those of `upper`; lists are replaced as a whole.
fn override_with(table: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => override_with(lower, upper),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Removes and reports the texts that break the rules of [`texts`].
fn check_texts(table: &mut Table, mistakes: &mut Mistakes) {
    let mut faults = Vec::new();
    for (key, value) in table.iter() {
        find_faults(&KeyPath::default().key(key), value, &mut faults);
    }
    for (path, (what, remedy)) in &faults {
        mistakes.add(path.to_string(), *what, *remedy);
    }
    // In reverse, since removing an item of a list moves the later ones.
    for (path, _) in faults.iter().rev() {
        path.remove(table);
    }
}

fn find_faults(path: &KeyPath, value: &Value, faults: &mut Vec<(KeyPath, texts::TextFault)>) {
    match value {
        Value::String(text) => {
            let fault = texts::fault(&path.to_string(), text);
            faults.extend(fault.map(|fault| (path.clone(), fault)));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_faults(&path.then(Step::Item(index)), item, faults);
            }
        }
        Value::Table(table) => {
            for (key, value) in table {
                find_faults(&path.key(key), value, faults);
            }
        }
        _ => {}
    }
}

/// Sets the values of the environment over the other layers.
struct Overlay<'a> {
    table: &'a mut Table,
    defaults: &'a Table,
    mistakes: &'a mut Mistakes,
    /// The keys that the environment sets.
    keys: BTreeSet<String>,
}

impl Overlay<'_> {
    /// Sets the key of one variable. Only names of the form `BFF_<SECTION>__<KEY>` count, because Kubernetes sets
    /// `BFF_SERVICE_HOST` for a Service named bff. Values stay strings until the type of their key is known, so that a
    /// secret of digits keeps its leading zeros.
    fn set(&mut self, name: &str, value: &str) {
        let ours = name.strip_prefix("BFF_");
        let Some(ours) = ours.filter(|_| name.contains("__")) else {
            self.report_misspelt(name);
            return;
        };
        let ours = ours.to_lowercase();
        let path = KeyPath::of_keys(ours.split("__"));
        let (section, _) = ours.split_once("__").unwrap_or_default();
        let is_known = path.get(self.defaults).is_some();
        if !is_known && is_link(name, value, self.defaults.contains_key(section)) {
            return;
        }
        if !ours.contains("__") || ours.split("__").any(str::is_empty) {
            let remedy = "variables of the service are named BFF_<SECTION>__<KEY>";
            self.mistakes.add(name, "is an unknown key", remedy);
            return;
        }
        let key = path.to_string();
        if key == "auth.clients" || key.starts_with("auth.clients.") {
            let remedy = "write each as [[auth.clients]] there";
            self.mistakes
                .add("auth.clients", "can only be set in the file", remedy);
            return;
        }
        let is_list = matches!(path.get(self.defaults), Some(Value::Array(_)));
        let value = if is_list || LISTS_WITHOUT_DEFAULT.contains(&key.as_str()) {
            self.list(&key, value)
        } else {
            self.text(&key, value)
                .then(|| Value::String(value.to_owned()))
        };
        if let Some(value) = value
            && !path.set(self.table, value)
        {
            // Not if the section itself has a wrong type, which is reported elsewhere.
            let is_in_section = path
                .split()
                .is_some_and(|(parent, _)| parent.get(self.defaults).is_some_and(Value::is_table));
            if !is_in_section {
                self.mistakes.add(&key, "is an unknown key", "leave it out");
            }
        }
        self.keys.insert(key);
    }

    /// Reports a variable that is ignored but differs from a key's name only in underscores or case.
    fn report_misspelt(&mut self, name: &str) {
        let plain = |name: &str| name.to_ascii_uppercase().replace("__", "_");
        let given = plain(name);
        let Some(rest) = given.strip_prefix("BFF_") else {
            return;
        };
        let name_of = |(section, key): (&str, &str)| format!("{section}__{key}").replace('.', "__");
        let mut names = known_keys::all().map(name_of);
        if let Some(meant) = names.find(|name| plain(name) == rest) {
            let meant = meant.to_ascii_uppercase();
            let remedy = format!("did you mean BFF_{meant}? Otherwise remove it");
            self.mistakes
                .add(name, "is not a variable of the service", remedy);
        }
    }

    /// Whether the text follows the rules of [`texts`]. If not, reports it.
    fn text(&mut self, key: &str, text: &str) -> bool {
        let fault = texts::fault(key, text);
        if let Some((what, remedy)) = fault {
            self.mistakes.add(key, what, remedy);
        }
        fault.is_none()
    }

    /// The items between the commas; an empty list for an empty text.
    fn list(&mut self, key: &str, text: &str) -> Option<Value> {
        let text = text.trim();
        if text.starts_with('[') && text.ends_with(']') {
            let remedy = "give the items separated by commas, without brackets";
            self.mistakes.add(key, "is in brackets", remedy);
            return None;
        }
        // Quotes around the whole list. Quotes around an item are found below.
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
