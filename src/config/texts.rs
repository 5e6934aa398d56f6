//! The rules for every text of the file, the environment and the files of secrets: not empty, no white space around it,
//! not in quotes, no placeholders, no invisible characters.

/// What is wrong with a text, and the remedy.
pub(super) type TextFault = (&'static str, &'static str);

/// The keys of secrets except `redis.url`. Their values may contain the characters of placeholders, such as `{`, `<`
/// and `$`.
const SECRETS: [&str; 9] = [
    "engage.api_key",
    "operations.token",
    "redis.encryption_keys",
    "redis.password",
    "redis.sentinel_password",
    "telemetry.digest_key",
    "telemetry.otlp_headers",
    "webhooks.encryption_key",
    "webhooks.secrets",
];

/// What is wrong with the value of a key.
pub(super) fn fault(key: &str, text: &str) -> Option<TextFault> {
    let general = blank(text)
        .or_else(|| quoted(text))
        .or_else(|| invisible(text));
    general.or_else(|| {
        let key = key.split('[').next().unwrap_or_default();
        // The log's filter uses braces for spans. Placeholders of secrets are found by the checks of secrets.
        let is_exempt = key == "telemetry.log" || SECRETS.contains(&key);
        (!is_exempt && contains_placeholder(text)).then_some(PLACEHOLDER)
    })
}

/// What is wrong with the text of a secret's file.
pub(super) fn fault_of_file(text: &str) -> Option<TextFault> {
    if text.contains(['\n', '\r']) {
        return Some((
            "has more than one line",
            "put nothing but the secret into the file",
        ));
    }
    let general = blank(text)
        .or_else(|| quoted(text))
        .or_else(|| invisible(text));
    general.or_else(|| is_placeholder(text).then_some(PLACEHOLDER))
}

const PLACEHOLDER: TextFault = (
    "contains a placeholder",
    "replace it with a value: variables are not expanded here",
);

fn blank(text: &str) -> Option<TextFault> {
    let visible = text.trim();
    if visible.is_empty() {
        return Some(("is empty", "give a value, or remove the key"));
    }
    (visible.len() != text.len()).then_some((
        "begins or ends with white space",
        "remove it: it would be part of the value",
    ))
}

/// Quotes around the text: from shell or TOML syntax, which `docker run --env-file` keeps as part of the value, or
/// typographic ones from a word processor.
pub(super) fn quoted(text: &str) -> Option<TextFault> {
    const STRAIGHT: [char; 3] = ['"', '\'', '`'];
    // The language determines which of them opens and which closes.
    const TYPOGRAPHIC: [char; 10] = ['“', '”', '„', '‘', '’', '‚', '«', '»', '‹', '›'];
    let mut characters = text.chars();
    let (open, close) = (characters.next()?, characters.next_back()?);
    let is_between = (open == close && STRAIGHT.contains(&open))
        || (TYPOGRAPHIC.contains(&open) && TYPOGRAPHIC.contains(&close));
    is_between.then_some((
        "is in quotes, which would be part of the value",
        "remove them: docker run --env-file, for example, keeps them",
    ))
}

fn invisible(text: &str) -> Option<TextFault> {
    if text.contains('\u{fffd}') {
        return Some(("is not UTF-8", "give the value in UTF-8"));
    }
    let is_invisible = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
                    | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            )
    };
    text.contains(is_invisible).then_some((
        "contains invisible characters",
        "type it again, without control characters and byte order marks",
    ))
}

/// Whether the text contains a placeholder: `{client}`, `<client>`, `$CLIENT`, `…`.
fn contains_placeholder(text: &str) -> bool {
    let contains_pair = |open: char, close: char| {
        let rest = text.split_once(open);
        rest.is_some_and(|(_, rest)| rest.contains(close))
    };
    let names_variable = text.split('$').skip(1).any(|rest| {
        rest.starts_with(|first: char| {
            first.is_ascii_alphabetic() || matches!(first, '_' | '{' | '(')
        })
    });
    names_variable || contains_pair('{', '}') || contains_pair('<', '>') || text.contains('…')
}

/// Whether the whole text is a placeholder: `<your key>`, `{key}`, `${KEY}`, `$(key)`, `$API_KEY`, or any with `…`.
pub(super) fn is_placeholder(text: &str) -> bool {
    let is_between = |open: &str, close: char| text.starts_with(open) && text.ends_with(close);
    let variable = text.strip_prefix('$').unwrap_or_default();
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    is_between("<", '>')
        || is_between("{", '}')
        || is_between("${", '}')
        || is_between("$(", ')')
        || (!variable.is_empty() && variable.bytes().all(is_name))
        || text.contains('…')
}
