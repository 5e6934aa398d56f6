//! No two public types share a name, except error types of different modules, so that a reader who searches for a name
//! finds the right type.

use std::{collections::BTreeMap, path::Path};

use crate::tree::files_under;

/// The names that types may share: several modules have an error type `Error`.
const SHARED: [&str; 1] = ["Error"];

/// The public type that a line declares, if any.
fn declared(line: &str) -> Option<&str> {
    let declaration = line.trim_start().strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let name = kinds
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    name.split(|next: char| !next.is_alphanumeric() && next != '_')
        .next()
}

/// The names that more than one public type has, each with the files of those types.
fn shared_names<'a>(files: &'a [(String, String)]) -> Vec<String> {
    let mut places: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
    for (path, text) in files {
        for name in text.lines().filter_map(declared) {
            places.entry(name).or_default().push(path);
        }
    }
    let is_shared = |(name, paths): &(&str, Vec<&str>)| paths.len() > 1 && !SHARED.contains(name);
    let shared = places.into_iter().filter(is_shared);
    shared
        .map(|(name, paths)| format!("{name}: {}", paths.join(", ")))
        .collect()
}

#[test]
fn no_two_public_types_share_a_name() {
    let files = files_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let texts = files.iter().map(|(_, text)| text);
    let types = texts.flat_map(|text| text.lines().filter_map(declared));
    assert!(types.count() > 100, "the sources are read");
    assert_eq!(shared_names(&files), Vec::<String>::new());
}

#[test]
fn name_of_two_public_types_is_noticed() {
    let files = [
        (
            "a.rs",
            "pub struct Grant<T>(T);\npub(crate) struct Own;\npub enum Error {}",
        ),
        (
            "b.rs",
            "mod c {\n    pub enum Grant {}\n}\nstruct Own;\npub struct Error;",
        ),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(shared_names(&files), ["Grant: a.rs, b.rs"]);
}
