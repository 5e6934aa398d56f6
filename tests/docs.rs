//! The documents against the tree: every key and every error code is told, and every link leads somewhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use engage_bff::config::{ClientConfig, JwtConfig, layers::DEFAULTS};
use toml::{Table, Value};

/// What stands in the default's cell of a key that has none.
const UNSET: &str = "unset";
/// What stands there where the key must be given.
const REQUIRED: &str = "required";
/// The keys of one client, of which `config/default.toml` shows an example.
const CLIENT: &str = "auth.clients[]";
/// The keys of the issuer of tokens, likewise.
const JWT: &str = "auth.jwt.";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under a heading, without the heads: the cells of each, trimmed.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let rows: Vec<_> = document
        .lines()
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table {head}");
    rows
}

fn without_backticks(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// The defaults that the README tells, by key.
fn told_defaults() -> BTreeMap<String, String> {
    let readme = read(&root().join("README.md"));
    let mut told = BTreeMap::new();
    for row in table(&readme, "| key | default | meaning |") {
        let [key, default, meaning] = &row[..] else {
            panic!("not three cells: {row:?}");
        };
        assert!(!meaning.is_empty(), "{key} has no meaning");
        let again = told.insert(without_backticks(key).to_owned(), default.clone());
        assert_eq!(again, None, "{key} is told twice");
    }
    told
}

/// The default that a cell tells; `None` for words.
fn value_in(cell: &str) -> Option<Value> {
    let literal = cell.strip_prefix('`')?.strip_suffix('`')?;
    let mut table: Table = format!("value = {literal}").parse().ok()?;
    table.remove("value")
}

fn flatten(prefix: &str, table: &Table, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, into),
            value => {
                into.insert(key, value.clone());
            }
        }
    }
}

/// The keys that `config/default.toml` shows commented out: those that have no default.
fn commented_out() -> Vec<String> {
    let mut keys = Vec::new();
    let mut section = "";
    let mut shown_section = String::new();
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
            section.clone_into(&mut shown_section);
        } else if let Some(shown) = line.strip_prefix("# ") {
            let key = shown.split(" = ").next().unwrap_or_default();
            let is_key = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
            };
            if shown.starts_with("[[") {
                shown_section = format!("{}[]", shown.trim_matches(['[', ']']));
            } else if shown.starts_with('[') && shown.ends_with(']') {
                shown
                    .trim_matches(['[', ']'])
                    .clone_into(&mut shown_section);
            } else if shown.contains(" = ") && is_key(key) {
                keys.push(format!("{shown_section}.{key}"));
            }
        } else {
            section.clone_into(&mut shown_section);
        }
    }
    keys
}

#[test]
fn the_readme_tells_every_key_with_its_default() {
    let mut told = told_defaults();
    let mut defaults = BTreeMap::new();
    let parsed: Table = DEFAULTS.parse().expect("TOML");
    flatten("", &parsed, &mut defaults);
    for (key, default) in &defaults {
        let cell = told.remove(key);
        let cell = cell.unwrap_or_else(|| panic!("README.md does not tell {key}"));
        assert_eq!(
            value_in(&cell).as_ref(),
            Some(default),
            "{key}: README.md says {cell}"
        );
    }
    let is_optional = |key: &String| key.starts_with(CLIENT) || key.starts_with(JWT);
    let (optional, unset): (Vec<_>, Vec<_>) = commented_out().into_iter().partition(is_optional);
    assert!(optional.len() > 12 && unset.len() > 3, "nothing was found");
    for key in unset {
        let cell = told.remove(&key);
        assert_eq!(cell.as_deref(), Some(UNSET), "{key} in README.md");
    }
    let (of_client, of_jwt) = (client_defaults(), jwt_defaults());
    for key in optional {
        let cell = told.remove(&key);
        let cell = cell.unwrap_or_else(|| panic!("README.md does not tell {key}"));
        let (name, defaults) = match key.strip_prefix(JWT) {
            Some(name) => (name, &of_jwt),
            None => (key.trim_start_matches(CLIENT), &of_client),
        };
        let default = match name.trim_start_matches('.') {
            "id" | "key_sha256" | "scopes" | "issuer" | "audience" | "algorithms" => None,
            name => Some(defaults.get(name)),
        };
        match default {
            None => assert_eq!(cell, REQUIRED, "{key} in README.md"),
            Some(None) => assert_eq!(cell, UNSET, "{key} in README.md"),
            Some(default) => assert_eq!(value_in(&cell).as_ref(), default, "{key} in README.md"),
        }
    }
    assert!(
        told.is_empty(),
        "config/default.toml does not show {:?}",
        told.keys()
    );
}

/// What a client has that names only what it must.
fn client_defaults() -> Table {
    let least = "id = \"shop\"\nkey_sha256 = []\nscopes = []";
    let client: ClientConfig = toml::from_str(least).expect("these three are enough");
    Table::try_from(client).expect("a client has a TOML form")
}

/// What an issuer of tokens has that names only what it must.
fn jwt_defaults() -> Table {
    let least = "issuer = \"i\"\naudience = \"a\"\nalgorithms = []";
    let jwt: JwtConfig = toml::from_str(least).expect("these three are enough");
    Table::try_from(jwt).expect("an issuer has a TOML form")
}

/// The codes of `src/http/error/code.rs` with their statuses.
fn codes() -> BTreeMap<String, u16> {
    let source = read(&root().join("src/http/error/code.rs"));
    let list = source.rsplit("codes! {").next().unwrap_or_default();
    let codes: BTreeMap<_, _> = list
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(code, status)| {
            let is_word = |text: &str| !text.is_empty() && !text.contains(['"', ' ']);
            is_word(code) && is_word(status)
        })
        .map(|(code, status)| (code.to_owned(), number(status)))
        .collect();
    assert!(codes.len() > 20, "the list is not read: {codes:?}");
    codes
}

/// The number of a status that `http::StatusCode` has as a constant.
fn number(constant: &str) -> u16 {
    let named = |code: &u16| {
        let status = http::StatusCode::from_u16(*code).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        reason.is_some_and(|reason| reason.to_uppercase().replace(' ', "_") == constant)
    };
    let found = (100..600).find(named);
    found.unwrap_or_else(|| panic!("no status {constant}"))
}

#[test]
fn the_readme_tells_every_error_code_with_its_status() {
    let readme = read(&root().join("README.md"));
    let mut told = BTreeMap::new();
    for row in table(&readme, "| status | code | meaning and what to do |") {
        let status: u16 = row[0].parse().expect("a status");
        let again = told.insert(without_backticks(&row[1]).to_owned(), status);
        assert_eq!(again, None, "{} is told twice", row[1]);
    }
    assert_eq!(told, codes());
}

/// Every document of the tree.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !path.is_symlink() {
                if name != "target" && name != "node_modules" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines that are prose: not those between fences.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    document.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// The targets of the links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// What a heading is called in a link.
fn anchors(document: &str) -> Vec<String> {
    prose(document)
        .filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()))
        .map(|heading| {
            let kept = heading.chars().filter_map(|letter| match letter {
                ' ' => Some('-'),
                '-' | '_' => Some(letter),
                letter if letter.is_alphanumeric() => Some(letter),
                _ => None,
            });
            kept.collect::<String>().to_lowercase()
        })
        .collect()
}

#[test]
fn every_relative_link_of_every_document_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for document in documents() {
        let text = read(&document);
        let folder = document.parent().expect("a folder");
        for link in prose(&text).flat_map(links) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                folder.join(path)
            };
            let leads = target.exists()
                && (anchor.is_empty() || anchors(&read(&target)).iter().any(|name| name == anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(followed > 10, "no links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The Rust files of a folder and of those in it.
fn sources(folder: PathBuf, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&read(&path));
        }
    }
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let mut code = String::new();
    for folder in ["tests", "src"] {
        sources(root().join(folder), &mut code);
    }
    let page = read(&root().join("docs/SECURITY.md"));
    let is_test = |word: &&str| word.matches('_').count() >= 4 && !word.contains([' ', '.', '/']);
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(code.contains(&format!("fn {name}(")), "no test {name}");
    }
}
