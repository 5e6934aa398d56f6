//! The examples of docs/INTEGRATING.md and of the client, compared with the OpenAPI document: the paths, parameters,
//! members and codes that they use exist. Examples in TypeScript and Liquid are also run, by `scripts/client`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document;

/// The documents with examples.
const PAGES: [&str; 2] = ["docs/INTEGRATING.md", "clients/typescript/README.md"];
/// The client's own codes, in `clients/typescript/src/failure.ts`.
const OF_CLIENT: [&str; 6] = [
    "TokenFailed",
    "DeadlineExceeded",
    "Aborted",
    "NetworkFailed",
    "Unreadable",
    "Other",
];

fn openapi() -> Value {
    serde_json::from_str(&document("docs/openapi.json")).expect("JSON")
}

/// The blocks of code of a page, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let parts = page.split("```").skip(1).step_by(2);
    let split = |block: &str| {
        let (info, code) = block.split_once('\n')?;
        let language = info.split(' ').next().unwrap_or_default();
        Some((language.to_owned(), code.to_owned()))
    };
    parts.filter_map(split).collect()
}

/// The names of all members of the document's schemas.
fn members(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| members(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| members(value, found)),
        _ => {}
    }
}

/// The names of the query parameters of the path's `GET` operation.
fn parameters(openapi: &Value, path: &str) -> BTreeSet<String> {
    let of_path = openapi["paths"].get(path).and_then(|path| path.get("get"));
    let parameters = of_path.and_then(|get| get["parameters"].as_array());
    let name = |parameter: &Value| {
        let reference = parameter["$ref"].as_str()?;
        let parameter = openapi.pointer(reference.strip_prefix('#')?)?;
        (parameter["in"] == "query").then(|| parameter["name"].as_str().map(str::to_owned))?
    };
    parameters.into_iter().flatten().filter_map(name).collect()
}

/// The paths of the service in a text, each with the names in its query.
fn targets(text: &str) -> Vec<(String, Vec<String>)> {
    let is_of_target = |letter: char| letter.is_ascii_alphanumeric() || "/?=&,-_".contains(letter);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("/customer") {
        let is_start = !text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric());
        let target: String = text[at..]
            .chars()
            .take_while(|c| is_of_target(*c))
            .collect();
        // A path follows a port, a host or a character that is neither a letter nor a digit; other occurrences are
        // names of files.
        if !is_start
            && !text[..at].ends_with(|letter: char| letter.is_ascii_digit())
            && !text[..at].ends_with("com")
        {
            continue;
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let names = query.split('&').filter(|pair| !pair.is_empty());
        let names = names.map(|pair| pair.split('=').next().unwrap_or_default().to_owned());
        // Punctuation after a path is not part of it.
        let path = path.trim_end_matches([',', '-', '/']);
        found.push((path.to_owned(), names.collect()));
    }
    found
}

/// The names in an object that begins after `opening`, written as `name: value`, `name = value`, `name` or `"name":
/// value`. Names in nested objects are left out.
fn names_of_object(code: &str, opening: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(opening) {
        let (mut depth, mut name, mut is_name) = (0, String::new(), true);
        for letter in code[at + opening.len()..].chars() {
            match letter {
                '[' | '{' | '(' => depth += 1,
                '}' if depth == 0 => break,
                ']' | '}' | ')' => depth -= 1,
                ',' if depth == 0 => {
                    found.push(std::mem::take(&mut name));
                    is_name = true;
                }
                ':' | '=' if depth == 0 => is_name = false,
                letter if is_name && depth == 0 && letter.is_ascii_alphanumeric() => {
                    name.push(letter);
                }
                _ => {}
            }
        }
        found.push(name);
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn paths_and_parameters_of_examples_exist() {
    let openapi = openapi();
    let mut count = 0;
    for page in PAGES {
        for (path, names) in targets(&document(page)) {
            assert!(openapi["paths"].get(&path).is_some(), "{page}: {path}");
            let known = parameters(&openapi, &path);
            for name in names {
                assert!(known.contains(&name), "{page}: {name} of {path}");
                count += 1;
            }
        }
    }
    assert!(count >= 8, "only {count} parameters were found");
}

#[test]
fn members_that_examples_send_exist() {
    let openapi = openapi();
    let schema = &openapi["components"]["schemas"]["LookupRequest"]["properties"];
    let mut count = 0;
    for page in PAGES {
        for (language, code) in blocks(&document(page)) {
            let openings: &[&str] = match language.as_str() {
                "ts" | "liquid" => &[".customer({", ".me({"],
                "csharp" => &["lookup = new {"],
                "sh" => &["-d '{"],
                _ => &[],
            };
            for name in openings
                .iter()
                .flat_map(|opening| names_of_object(&code, opening))
            {
                assert!(schema.get(&name).is_some(), "{page}: {name} in {language}");
                count += 1;
            }
        }
    }
    assert!(count >= 15, "only {count} members were found");
}

#[test]
fn members_that_csharp_examples_read_exist() {
    let mut known = BTreeSet::new();
    members(&openapi(), &mut known);
    let page = document("docs/INTEGRATING.md");
    let blocks = blocks(&page);
    let csharp = blocks.iter().filter(|(language, _)| language == "csharp");
    let mut count = 0;
    for (_, code) in csharp {
        for read in code.split("GetProperty(\"").skip(1) {
            let name = read.split('"').next().unwrap_or_default();
            assert!(known.contains(name), "{name}");
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} members were found");
}

#[test]
fn codes_that_examples_name_exist() {
    let openapi = openapi();
    let codes = &openapi["components"]["schemas"]["ProblemCode"]["enum"];
    let codes = codes
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str);
    let known: BTreeSet<&str> = codes.chain(OF_CLIENT).collect();
    let mut count = 0;
    for page in PAGES {
        for (_, code) in blocks(&document(page)) {
            let lines = code
                .lines()
                .filter(|line| line.contains("code") || line.trim_start().starts_with("case "));
            for text in lines.flat_map(|line| line.split('"').skip(1).step_by(2)) {
                let is_code = text.starts_with(|first: char| first.is_ascii_uppercase())
                    && text.chars().all(|letter| letter.is_ascii_alphabetic());
                assert!(!is_code || known.contains(text), "{page}: {text}");
                count += usize::from(is_code);
            }
        }
    }
    assert!(count >= 5, "only {count} codes were found");
}
