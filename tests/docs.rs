//! The documents, compared with the tree: keys, defaults, error codes, routes, links, commands, paths and tests that
//! they name.

#[path = "docs/examples.rs"]
mod examples;
#[path = "docs/metrics.rs"]
mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use engage_bff::{
    config::{ClientConfig, JwtConfig, layers::DEFAULTS},
    domain::{IdentifierKind, Part},
    http::{ListenerKind, ROUTES},
};
use toml::{Table, Value};

/// The cell of a key that has no default.
const UNSET: &str = "unset";
/// The cell of a key that must be set.
const REQUIRED: &str = "required";
/// The keys of one client, of which `config/default.toml` has an example in comments.
const CLIENT: &str = "auth.clients[]";
/// The keys of the token issuer, likewise.
const JWT: &str = "auth.jwt.";
/// The most lines of a README that a newcomer reads to the end.
const README_LINES: usize = 200;
/// A reader does not remember more words of our own than this.
const GLOSSARY_TERMS: usize = 25;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A document, by its path from the root.
fn document(path: &str) -> String {
    read(&root().join(path))
}

/// The trimmed cells of each row of the table with that header.
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

/// The defaults in docs/CONFIGURATION.md, by key.
fn documented_defaults() -> BTreeMap<String, String> {
    let page = document("docs/CONFIGURATION.md");
    let mut documented = BTreeMap::new();
    for row in table(&page, "| key | default | meaning |") {
        let [key, default, meaning] = &row[..] else {
            panic!("not three cells: {row:?}");
        };
        assert!(!meaning.is_empty(), "{key} has no meaning");
        let earlier = documented.insert(without_backticks(key).to_owned(), default.clone());
        assert_eq!(earlier, None, "{key} is listed twice");
    }
    documented
}

/// The value in a default's cell; `None` if the cell has words instead.
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

/// The keys in comments of `config/default.toml`: those without a default, those of a client and those of the token
/// issuer.
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
fn configuration_page_lists_every_key_with_its_default() {
    let mut documented = documented_defaults();
    let mut defaults = BTreeMap::new();
    let parsed: Table = DEFAULTS.parse().expect("TOML");
    flatten("", &parsed, &mut defaults);
    for (key, default) in &defaults {
        let cell = documented.remove(key);
        let cell = cell.unwrap_or_else(|| panic!("docs/CONFIGURATION.md does not list {key}"));
        assert_eq!(
            value_in(&cell).as_ref(),
            Some(default),
            "{key} in docs/CONFIGURATION.md: {cell}"
        );
    }
    let is_optional = |key: &String| key.starts_with(CLIENT) || key.starts_with(JWT);
    let (optional, unset): (Vec<_>, Vec<_>) = commented_out().into_iter().partition(is_optional);
    assert!(optional.len() > 12 && unset.len() > 3, "no keys were found");
    for key in unset {
        let cell = documented.remove(&key);
        assert_eq!(
            cell.as_deref(),
            Some(UNSET),
            "{key} in docs/CONFIGURATION.md"
        );
    }
    let (of_client, of_jwt) = (client_defaults(), jwt_defaults());
    for key in optional {
        let cell = documented.remove(&key);
        let cell = cell.unwrap_or_else(|| panic!("docs/CONFIGURATION.md does not list {key}"));
        let (name, defaults) = match key.strip_prefix(JWT) {
            Some(name) => (name, &of_jwt),
            None => (key.trim_start_matches(CLIENT), &of_client),
        };
        let default = match name.trim_start_matches('.') {
            "id" | "key_sha256" | "scopes" | "issuer" | "audience" | "algorithms" => None,
            name => Some(defaults.get(name)),
        };
        match default {
            None => assert_eq!(cell, REQUIRED, "{key} in docs/CONFIGURATION.md"),
            Some(None) => assert_eq!(cell, UNSET, "{key} in docs/CONFIGURATION.md"),
            Some(default) => assert_eq!(
                value_in(&cell).as_ref(),
                default,
                "{key} in docs/CONFIGURATION.md"
            ),
        }
    }
    assert!(
        documented.is_empty(),
        "config/default.toml does not have {:?}",
        documented.keys()
    );
}

/// The values of a client that sets only its required keys.
fn client_defaults() -> Table {
    let least = "id = \"shop\"\nkey_sha256 = []\nscopes = []";
    let client: ClientConfig = toml::from_str(least).expect("these three are enough");
    Table::try_from(client).expect("a client has a TOML form")
}

/// The values of a token issuer that sets only its required keys.
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
fn api_page_lists_every_error_code_with_its_status() {
    let page = document("docs/API.md");
    let mut documented = BTreeMap::new();
    for row in table(&page, "| status | code | meaning and what to do |") {
        let status: u16 = row[0].parse().expect("a status");
        let earlier = documented.insert(without_backticks(&row[1]).to_owned(), status);
        assert_eq!(earlier, None, "{} is listed twice", row[1]);
    }
    assert_eq!(documented, codes());
}

/// Whether the sources contain the path as a route, or a route with a parameter in place of the path's last segment.
fn is_route(sources: &str, path: &str) -> bool {
    let with_parameter = path
        .rsplit_once('/')
        .map(|(parent, _)| format!("\"{parent}/{{"));
    sources.contains(&format!("\"{path}\""))
        || with_parameter.is_some_and(|route| sources.contains(&route))
}

#[test]
fn routes_of_each_listener_are_listed() {
    for (listener, page) in [
        (ListenerKind::Data, "docs/API.md"),
        (ListenerKind::Operations, "docs/OPERATIONS.md"),
    ] {
        let routes = ROUTES.iter().filter(|route| route.listener() == listener);
        let routes: BTreeSet<_> = routes
            .map(|route| format!("`{} {}`", route.method, route.path))
            .collect();
        let rows = table(&document(page), "| route | what |");
        let documented: BTreeSet<_> = rows.into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(documented, routes, "{page}");
    }
}

#[test]
fn api_page_lists_every_identifier_kind_and_part() {
    let page = document("docs/API.md");
    let rows = table(&page, "| parameter | value |");
    let parameters: Vec<_> = rows.iter().map(|row| without_backticks(&row[0])).collect();
    for kind in IdentifierKind::ALL {
        assert!(parameters.contains(&kind.as_str()), "{kind:?}");
    }
    for part in Part::ALL {
        let key = format!("\"{}\": ", part.as_str());
        assert!(page.contains(&key), "no {part:?} in the response");
    }
}

#[test]
fn operations_page_lists_log_messages_that_exist() {
    let code = sources(&["src"]);
    // A text may continue on the next line.
    let code: String = code.split("\\\n").map(str::trim_start).collect();
    let page = document("docs/OPERATIONS.md");
    let rows = table(&page, "| message | level | fields | meaning | what to do |");
    let messages: BTreeSet<_> = rows.iter().map(|row| without_backticks(&row[0])).collect();
    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !code.contains(&format!("\"{message}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
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

/// The lines outside code blocks.
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

/// The anchors of the headings.
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
fn every_relative_link_of_every_document_resolves() {
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
            let resolves = target.exists()
                && (anchor.is_empty() || anchors(&read(&target)).iter().any(|name| name == anchor));
            if !resolves {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(followed > 10, "no links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The texts of all Rust files below the folders.
fn source_files(folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(&path));
            }
        }
    }
    found
}

/// The texts of all Rust files below the folders, in one text.
fn sources(folders: &[&str]) -> String {
    source_files(folders).concat()
}

/// The words in backticks of the lines outside code blocks.
fn code_spans(document: &str) -> Vec<&str> {
    prose(document)
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// The documents for developers: their paths and test names are checked.
fn developers_documents() -> Vec<PathBuf> {
    let decisions = root().join("docs/decisions");
    let decisions = documents()
        .into_iter()
        .filter(move |path| path.starts_with(&decisions));
    let others = ["CONTRIBUTING.md", "docs/ARCHITECTURE.md"].map(|path| root().join(path));
    others.into_iter().chain(decisions).collect()
}

#[test]
fn every_test_that_a_document_names_exists() {
    let code = sources(&["tests", "src", "crates", "examples"]);
    let is_test = |word: &&str| word.matches('_').count() >= 4 && !word.contains([' ', '.', '/']);
    let mut documents = developers_documents();
    documents.push(root().join("docs/SECURITY.md"));
    let mut named = 0;
    for document in documents {
        let text = read(&document);
        for name in code_spans(&text).into_iter().filter(is_test) {
            named += 1;
            assert!(
                code.contains(&format!("fn {name}(")),
                "{}: no test {name}",
                document.display()
            );
        }
    }
    assert!(named > 30, "{named}");
}

/// The path from the root that a word in backticks names, up to the first wildcard or placeholder; `None` if it names
/// none.
fn path_in(span: &str) -> Option<&str> {
    const FOLDERS: [&str; 11] = [
        "src/",
        "tests/",
        "crates/",
        "docs/",
        "config/",
        "benches/",
        "examples/",
        "scripts/",
        "fuzz/",
        ".ci/",
        ".config/",
    ];
    let path = span.split([' ', ':']).next()?;
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return None;
    }
    let is_literal =
        |piece: &&str| !piece.contains(['*', '<', '{', '…']) && !piece.contains("NNNN");
    let literal = path.split('/').take_while(is_literal).map(str::len);
    // The lengths of the pieces, and one separator after each but the last.
    let length = literal.map(|length| length + 1).sum::<usize>();
    path.get(..length.saturating_sub(1))
}

#[test]
fn every_path_in_the_developers_documents_exists() {
    let mut missing = Vec::new();
    let mut named = 0;
    for document in developers_documents() {
        let text = read(&document);
        for path in code_spans(&text).into_iter().filter_map(path_in) {
            named += 1;
            if !root().join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(named > 30, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn index_of_decisions_lists_every_decision() {
    let index = document("docs/decisions/README.md");
    for entry in fs::read_dir(root().join("docs/decisions")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        let is_listed = name == "README.md" || index.contains(&format!("]({name})"));
        assert!(is_listed, "{name}");
    }
}

#[test]
fn glossary_stays_short() {
    let terms = table(
        &document("docs/ARCHITECTURE.md"),
        "| term | meaning | lives in |",
    );
    assert!(terms.len() <= GLOSSARY_TERMS, "{} terms", terms.len());
}

#[test]
fn readme_stays_short() {
    let lines = document("README.md").lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

/// The commands in the code blocks of a document, and the commands in backticks that call cargo or a script.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block = None;
    let mut command = String::new();
    for line in document.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            block = block.is_none().then(|| language.to_owned());
            continue;
        }
        let starts = match block.as_deref() {
            Some("console") => line.strip_prefix("$ "),
            Some("sh") => Some(line).filter(|line| !line.is_empty() && !line.starts_with('#')),
            _ => None,
        };
        let Some(text) = starts.or_else(|| (!command.is_empty()).then_some(line)) else {
            continue;
        };
        command.push_str(text.trim_end_matches('\\'));
        if !text.ends_with('\\') {
            commands.push(std::mem::take(&mut command));
        }
    }
    let spans = code_spans(document).into_iter();
    let is_ours = |span: &&str| span.starts_with("cargo ") || span.starts_with("scripts/");
    commands.extend(spans.filter(is_ours).map(str::to_owned));
    commands
}

/// Whether the command only sets a variable to the output of another command.
fn is_assignment(command: &str) -> bool {
    let before = command.split("=$(").next().unwrap_or_default();
    before != command && !before.contains(' ')
}

/// The words of a command, without the variables that are set before it.
fn words(command: &str) -> Vec<&str> {
    let command = command.split(" #").next().unwrap_or_default();
    command
        .split_whitespace()
        .skip_while(|word| word.contains('=') && !word.starts_with('-'))
        .collect()
}

/// Whether the target exists that an option of cargo names; `true` for options that name no target.
fn is_target(option: &str, name: &str) -> bool {
    let is_in = |folder: &str| {
        let folder = root().join(folder);
        folder.join(format!("{name}.rs")).exists() || folder.join(name).join("main.rs").exists()
    };
    match option {
        "--example" => is_in("examples"),
        "--bench" => is_in("benches"),
        "--test" => {
            is_in("tests") || document("Cargo.toml").contains(&format!("name = \"{name}\""))
        }
        "--package" | "-p" => name == "engage-bff" || root().join("crates").join(name).exists(),
        _ => true,
    }
}

/// Whether the service's binary has the subcommand.
fn is_subcommand(name: &str) -> bool {
    Command::new(env!("CARGO_BIN_EXE_engage-bff"))
        .args([name, "--help"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What is wrong with a command that a document shows; `None` if nothing is.
fn defect(command: &str, routes: &str) -> Option<String> {
    if is_assignment(command) {
        return None;
    }
    let words = words(command);
    let (program, arguments) = words.split_first()?;
    match *program {
        "cargo" => {
            let options = arguments.windows(2);
            let unknown = options.filter(|pair| !is_target(pair[0], pair[1]));
            unknown
                .map(|pair| format!("no {} {}", pair[0], pair[1]))
                .next()
        }
        "engage-bff" => {
            let name = arguments.first().filter(|name| !is_subcommand(name))?;
            Some(format!("no subcommand {name}"))
        }
        "curl" => {
            let urls = arguments.iter().map(|word| word.trim_matches(['\'', '"']));
            let ours = ["http://127.0.0.1:", "$OPERATIONS", "$SERVICE"];
            let paths = urls.filter_map(|url| {
                let address = ours.iter().find_map(|start| url.strip_prefix(start))?;
                let (_, rest) = address.split_once('/')?;
                rest.split('?').next()
            });
            let unknown = paths
                .map(|path| format!("/{path}"))
                .find(|path| !is_route(routes, path))?;
            Some(format!("no route {unknown}"))
        }
        script if script.starts_with("scripts/") => {
            (!root().join(script).is_file()).then(|| "no such script".to_owned())
        }
        "kubectl" => {
            let mut options = arguments.windows(2);
            let applied = options.find(|pair| pair[0] == "--kustomize")?[1];
            let is_there = root().join(applied).join("kustomization.yaml").is_file();
            (!is_there).then(|| format!("no kustomization in {applied}"))
        }
        "eval" | "export" | "printf" | "docker" | "sed" | "ssh" | "sudo" => None,
        other => Some(format!("unknown program {other}: list it here")),
    }
}

#[test]
fn every_command_in_the_documents_exists() {
    let routes = sources(&["src", "crates"]);
    let mut defects = Vec::new();
    let mut shown = 0;
    for path in documents() {
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        for command in commands(&read(&path)) {
            shown += 1;
            if let Some(defect) = defect(&command, &routes) {
                defects.push(format!("{}: {command}: {defect}", path.display()));
            }
        }
    }
    assert!(shown > 20, "{shown}");
    assert!(defects.is_empty(), "{defects:#?}");
}
