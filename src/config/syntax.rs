//! Explains what is wrong with a text that is not TOML to readers who do not know TOML's grammar. Names keys, never
//! values, which may be secrets.

/// Where it is wrong, what is wrong, and the remedy.
pub(super) fn fault(text: &str, error: &toml::de::Error) -> (String, String) {
    let start = error.span().map_or(text.len(), |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    let column = column.chars().count() + 1;
    let at = text.get(start..).unwrap_or_default();
    let rest = at.lines().next().unwrap_or_default();
    let named = error.span().and_then(|span| text.get(span));
    // Only the message: `Display` quotes the line, which may contain a secret.
    let message = error.message().lines().next().unwrap_or("unknown cause");
    let (what, remedy) = explain(message, before, rest, named.unwrap_or_default());
    let what = format!("is not TOML: line {line}, column {column}: {what}");
    (what, remedy)
}

/// `before` is the text before the fault, `rest` the rest of its line, `named` the part that the parser points at.
fn explain(message: &str, before: &str, rest: &str, named: &str) -> (String, String) {
    const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‘', '’', '‚', '«', '»'];
    let say = |what: &str, remedy: &str| (what.to_owned(), remedy.to_owned());
    let is_at_value = before.trim_end().ends_with('=');
    if rest.starts_with(TYPOGRAPHIC) {
        return say("typographic quotes", "write straight ones: \"…\"");
    }
    if before.trim().is_empty() && rest.starts_with(['{', '[']) && !rest.contains(']') {
        return say("this looks like JSON", "write [section] and key = value");
    }
    if message.starts_with("duplicate key") {
        let key = named.trim_matches(['[', ']', ' ', '"']);
        return (
            format!("{key} is there twice"),
            "merge the two: a section and a key may be written once".to_owned(),
        );
    }
    if message.starts_with("key with no value") {
        return say("a key without a value", "write key = value");
    }
    if is_at_value
        && rest
            .split('#')
            .next()
            .is_none_or(|value| value.trim().is_empty())
    {
        return say("there is no value", "give one, or remove the key");
    }
    if message.starts_with("string values must be quoted") {
        return say(
            "a value that is neither quoted nor a number, true or false",
            "write texts, durations and sizes in quotes: \"60s\", \"512MiB\"",
        );
    }
    if message.contains("basic string") || message.contains("literal string") {
        return say(
            "a text whose quotes are not closed",
            "close them on the same line",
        );
    }
    (
        message.to_owned(),
        "config/default.toml lists every key and its form".to_owned(),
    )
}
