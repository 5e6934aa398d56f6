//! The rule for every text, whether it stands in the file, in the environment or in a secret's file: it is neither empty
//! nor padded nor in quotes, and nothing in it is left to be filled in.

/// What is wrong with a text, and what to do.
pub(super) type Fault = (&'static str, &'static str);

/// The keys of secrets: in a random one any character may stand anywhere.
const SECRETS: [&str; 5] = [
    "engage.api_key",
    "operations.token",
    "telemetry.digest_key",
    "webhooks.encryption_key",
    "webhooks.secrets",
];

/// What is wrong with the value of a key.
pub(super) fn fault(key: &str, text: &str) -> Option<Fault> {
    let general = blank(text)
        .or_else(|| quoted(text))
        .or_else(|| unseen(text));
    general.or_else(|| {
        let key = key.split('[').next().unwrap_or_default();
        // A filter's spans are written in braces; placeholders in place of secrets are found with the secrets.
        let is_exempt = key == "telemetry.log" || SECRETS.contains(&key);
        (!is_exempt && holds_placeholder(text)).then_some(PLACEHOLDER)
    })
}

/// The same for a text that was read from a secret's file.
pub(super) fn fault_of_file(text: &str) -> Option<Fault> {
    if text.contains(['\n', '\r']) {
        return Some((
            "has more than one line",
            "put nothing but the secret into the file",
        ));
    }
    let general = blank(text)
        .or_else(|| quoted(text))
        .or_else(|| unseen(text));
    general.or_else(|| is_placeholder(text).then_some(PLACEHOLDER))
}

const PLACEHOLDER: Fault = (
    "contains a placeholder",
    "replace it with a value: variables are not expanded here",
);

fn blank(text: &str) -> Option<Fault> {
    let visible = text.trim();
    if visible.is_empty() {
        return Some(("is empty", "give a value, or remove the key"));
    }
    (visible.len() != text.len()).then_some((
        "begins or ends with white space",
        "remove it: it would be part of the value",
    ))
}

/// Quotes that belong to a shell's or a file's syntax, which `docker run --env-file` takes for a part of the value, or that
/// a word processor made of them.
pub(super) fn quoted(text: &str) -> Option<Fault> {
    const STRAIGHT: [char; 3] = ['"', '\'', '`'];
    // Which of them opens and which closes differs from language to language.
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

fn unseen(text: &str) -> Option<Fault> {
    if text.contains('\u{fffd}') {
        return Some(("is not UTF-8", "give the value in UTF-8"));
    }
    let is_unseen = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
                    | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            )
    };
    text.contains(is_unseen).then_some((
        "contains invisible characters",
        "type it again, without control characters and byte order marks",
    ))
}

/// Whether something in the text is left to be filled in: `{client}`, `<client>`, `$CLIENT`, `…`.
fn holds_placeholder(text: &str) -> bool {
    let holds_pair = |open: char, close: char| {
        let rest = text.split_once(open);
        rest.is_some_and(|(_, rest)| rest.contains(close))
    };
    let names_variable = text.split('$').skip(1).any(|rest| {
        rest.starts_with(|first: char| {
            first.is_ascii_alphabetic() || matches!(first, '_' | '{' | '(')
        })
    });
    names_variable || holds_pair('{', '}') || holds_pair('<', '>') || text.contains('…')
}

/// Whether the text as a whole is one: `<your key>`, `{key}`, `${KEY}`, `$(key)`, `$API_KEY`, or it ends in `…`.
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
