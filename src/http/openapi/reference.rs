//! The reference: each document as one static page, without scripts. The operations listener serves them.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{assert_committed, document};
use crate::http::routes::ListenerKind;

/// A page as committed, and the paths that it links to.
struct Page {
    listener: ListenerKind,
    file: &'static str,
    committed: &'static str,
    /// The path of the document.
    document: &'static str,
    /// The path of the other page, and what it is about.
    other: (&'static str, &'static str),
}

const PAGES: [Page; 2] = [
    Page {
        listener: ListenerKind::Data,
        file: "src/http/operations/reference.html",
        committed: include_str!("../operations/reference.html"),
        document: "/openapi.json",
        other: ("/docs/operations", "operations listener"),
    },
    Page {
        listener: ListenerKind::Operations,
        file: "src/http/operations/reference-operations.html",
        committed: include_str!("../operations/reference-operations.html"),
        document: "/openapi-operations.json",
        other: ("/docs", "data listener"),
    },
];

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886;--mark:#8882;background:Canvas;color:CanvasText}\
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
code{font:14px/1.4 ui-monospace,monospace;background:var(--mark);border-radius:3px;padding:.1em .3em}\
code,td{overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}\
td,th{border-bottom:1px solid var(--line);padding:.3em .8em .3em 0;text-align:left;vertical-align:top}\
h2{margin-top:3rem;border-bottom:2px solid var(--line)}h3{margin-top:2rem}\
nav ul{columns:18rem;padding-left:1rem}\
@media(max-width:45rem){\
table,tbody,tr,td{display:block}th{display:none}\
tr{border-bottom:1px solid var(--line);padding:.4em 0}td{border:0;padding:0}}";

/// The page, as the document describes it.
fn page(about: &Page, document: &Value) -> String {
    let mut page = String::new();
    let (other, of_other) = about.other;
    let title = text(&document["info"]["title"]);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}: reference</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title} {}</h1>\n<p>{}. The same as <a href=\"{}\">OpenAPI</a>. See also the <a href=\"{other}\">{of_other}</a>.</p>\n",
        text(&document["info"]["version"]),
        text(&document["info"]["summary"]),
        about.document,
    );
    write_contents(&mut page, document);
    write_description(
        &mut page,
        document["info"]["description"].as_str().unwrap_or_default(),
    );
    page.push_str("<h2 id=\"credentials\">Credentials</h2>\n<table>\n");
    for (name, scheme) in members(&document["components"]["securitySchemes"]) {
        let _ = writeln!(page, "<tr><td><code>{name}</code><td>{}", prose(scheme));
    }
    page.push_str("</table>\n<h2 id=\"operations\">Operations</h2>\n");
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            write_operation(&mut page, document, &method.to_uppercase(), path, operation);
        }
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        write_schema(&mut page, name, schema);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write_contents(page: &mut String, document: &Value) {
    page.push_str("<nav>\n<ul>\n");
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let id = text(&operation["operationId"]);
            let method = method.to_uppercase();
            let _ = writeln!(
                page,
                "<li><a href=\"#{id}\"><code>{method} {path}</code></a>"
            );
        }
    }
    page.push_str("<li><a href=\"#schemas\">Schemas</a>\n</ul>\n</nav>\n");
}

/// Paragraphs and headings of the description.
fn write_description(page: &mut String, description: &str) {
    for paragraph in description.split("\n\n") {
        let _ = match paragraph.strip_prefix("## ") {
            Some(heading) => writeln!(page, "<h2>{}</h2>", inline(heading)),
            None => writeln!(page, "<p>{}</p>", inline(paragraph)),
        };
    }
}

fn write_operation(
    page: &mut String,
    document: &Value,
    method: &str,
    path: &str,
    operation: &Value,
) {
    let id = text(&operation["operationId"]);
    let _ = writeln!(page, "<h3 id=\"{id}\"><code>{method} {path}</code></h3>");
    let _ = writeln!(
        page,
        "<p>{}. {}</p>",
        text(&operation["summary"]),
        prose(operation)
    );
    let credentials = operation["security"].as_array().into_iter().flatten();
    let credentials: Vec<_> = credentials.map(credential).collect();
    if !credentials.is_empty() {
        let _ = writeln!(page, "<p>Credential: {}.</p>", credentials.join("; or "));
    }
    if let Some(body) = operation.get("requestBody") {
        for (media_type, content) in members(&body["content"]) {
            let of = type_of(&content["schema"]);
            let _ = writeln!(page, "<p>Body: <code>{media_type}</code>, {of}.</p>");
        }
    }
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters {
        page.push_str("<table>\n<tr><th>parameter<th>in<th>type<th>meaning\n");
        for parameter in parameters {
            let parameter = resolve(document, parameter);
            let _ = writeln!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}<td>{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                type_of(&parameter["schema"]),
                prose(parameter),
            );
        }
        page.push_str("</table>\n");
    }
    page.push_str("<table>\n<tr><th>status<th>body<th>meaning\n");
    for (status, response) in members(&operation["responses"]) {
        let response = resolve(document, response);
        let bodies = members(&response["content"]).map(|(media_type, content)| {
            format!("<code>{media_type}</code> {}", type_of(&content["schema"]))
        });
        let bodies = bodies.collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "<tr><td>{status}<td>{bodies}<td>{}", prose(response));
    }
    page.push_str("</table>\n");
}

/// The credentials of one alternative, with their scopes.
fn credential(requirement: &Value) -> String {
    let one = |(name, scopes): (&String, &Value)| {
        let scopes = scopes.as_array().into_iter().flatten();
        let scopes: Vec<_> = scopes
            .map(|scope| format!("<code>{}</code>", text(scope)))
            .collect();
        let scopes = if scopes.is_empty() {
            String::new()
        } else {
            format!(" with {}", scopes.join(", "))
        };
        format!("<code>{name}</code>{scopes}")
    };
    members(requirement)
        .map(one)
        .collect::<Vec<_>>()
        .join(" and ")
}

fn write_schema(page: &mut String, name: &str, schema: &Value) {
    let _ = writeln!(
        page,
        "<h3 id=\"schema-{name}\">{name}</h3>\n<p>{}</p>",
        prose(schema)
    );
    if schema.get("properties").is_none() {
        let _ = writeln!(page, "<p>{}</p>", type_of(schema));
        return;
    }
    let required = schema["required"].as_array();
    page.push_str("<table>\n<tr><th>member<th>type<th>meaning\n");
    for (name, member) in members(&schema["properties"]) {
        let is_required = required.is_some_and(|names| names.contains(&Value::from(&**name)));
        let optional = if is_required { "" } else { " (optional)" };
        let deprecated = if member["deprecated"] == true {
            " (deprecated)"
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "<tr><td><code>{name}</code>{optional}{deprecated}<td>{}<td>{}",
            type_of(member),
            prose(member),
        );
    }
    page.push_str("</table>\n");
}

/// A schema in a few words, with links to named ones.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(content) = schema.get("contentSchema") {
        return format!("JSON of {}", type_of(content));
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        let parts = schema[key].as_array().into_iter().flatten().map(type_of);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            return parts.join(between);
        }
    }
    if let Some(names) = schema["enum"].as_array() {
        let names: Vec<_> = names
            .iter()
            .map(|name| format!("<code>{}</code>", text(name)))
            .collect();
        return names.join(", ");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", text(value));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::Null => return members_of(schema),
        one => text(one),
    };
    let types = match schema["format"].as_str() {
        Some(format) => format!("{types} ({format})"),
        None => types,
    };
    if schema
        .get("items")
        .is_some_and(|items| items != &serde_json::json!({}))
    {
        return format!("{types} of {}", type_of(&schema["items"]));
    }
    let members = members_of(schema);
    if members.is_empty() {
        types
    } else {
        format!("{types}: {members}")
    }
}

/// The members of a schema without a name.
fn members_of(schema: &Value) -> String {
    let member = |(name, member): (&String, &Value)| match type_of(member) {
        of if of.is_empty() => format!("<code>{name}</code>"),
        of => format!("<code>{name}</code> {of}"),
    };
    members(&schema["properties"])
        .map(member)
        .collect::<Vec<_>>()
        .join("; ")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

/// The description of a part of the document.
fn prose(value: &Value) -> String {
    inline(value["description"].as_str().unwrap_or_default())
}

/// Text with code between backticks.
fn inline(text: &str) -> String {
    let mut parts = escaped(text);
    while let Some((before, after)) = parts.split_once('`') {
        let Some((code, rest)) = after.split_once('`') else {
            break;
        };
        parts = format!("{before}<code>{code}</code>{rest}");
    }
    parts
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
fn committed_references_are_the_pages_of_the_documents() {
    for about in &PAGES {
        let described = page(about, &document(about.listener));
        assert_committed(about.file, about.committed, &described);
    }
}
