//! The rules for texts of every layer: empty, quoted and padded texts and placeholders are refused.

use crate::{MINIMAL, load, path, refusal, refusals::changed, temp_file};

/// A key of every kind of text, with a valid value.
const TEXTS: [(&str, &str); 12] = [
    ("ENGAGE__API_KEY", "k7Qm2xW9pLr4tYzB"),
    ("OPERATIONS__TOKEN", "k7Qm2xW9pLr4tYzC"),
    ("TELEMETRY__DIGEST_KEY", "k7Qm2xW9pLr4tYzD"),
    (
        "WEBHOOKS__ENCRYPTION_KEY",
        "k7Qm2xW9pLr4tYzDk7Qm2xW9pLr4tYzD",
    ),
    ("ENGAGE__BASE_URL", "https://shop.example.com"),
    ("ENGAGE__USER_AGENT", "shop/1.0"),
    ("ENGAGE__DEFAULT_CONTACT_TYPE", "Member"),
    ("ENGAGE__DEFAULT_POINT_DEFINITION", "1"),
    ("ENGAGE__TIME_ZONE", "Europe/Stockholm"),
    ("IDENTIFIERS__PHONE_REGION", "SE"),
    ("TELEMETRY__LOG", "info"),
    ("CACHE__POINTS_LIFETIME", "30s"),
];

/// Asserts that this is the only mistake.
#[track_caller]
fn only(error: &str, expected: &str) {
    assert!(error.starts_with(expected), "{expected}\n{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn key_of(name: &str) -> String {
    name.to_lowercase().replace("__", ".")
}

/// The minimal file with one key set.
fn in_file(name: &str, toml_value: &str) -> String {
    let (section, key) = name.split_once("__").expect("a section");
    let (section, key) = (section.to_lowercase(), key.to_lowercase());
    let line = format!("{key} = {toml_value}");
    if section == "engage" {
        let kept = MINIMAL
            .lines()
            .filter(|line| !line.trim().starts_with(&format!("{key} =")));
        let kept: Vec<_> = kept.collect();
        kept.join("\n")
            .replace("[engage]", &format!("[engage]\n{line}"))
    } else {
        format!("{MINIMAL}[{section}]\n{line}\n")
    }
}

#[test]
fn empty_text_is_refused_in_file_and_environment() {
    for (name, good) in TEXTS {
        let variable = format!("BFF_{name}");
        load(MINIMAL, &[(&variable, good)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        for empty in ["", " ", "\t "] {
            let expected = format!("{}: is empty; ", key_of(name));
            only(&refusal(MINIMAL, &[(&variable, empty)]), &expected);
            only(
                &refusal(&in_file(name, &format!("'{empty}'")), &[]),
                &expected,
            );
        }
    }
    for (file, expected) in [
        (
            changed("\"till\"", "\"\""),
            "auth.clients[0].id: is empty; ",
        ),
        (
            format!("{MINIMAL}[views.full]\nattributes = [\"rfm\", \"\"]\n"),
            "views.full.attributes[1]: is empty; ",
        ),
        (
            format!("{MINIMAL}[webhooks]\nsecrets = [\"\"]\n"),
            "webhooks.secrets[0]: is empty; ",
        ),
        (
            format!("{MINIMAL}[engage2]\n").replace("[engage2]", "[operations]\ntoken_file = \"\""),
            "operations.token_file: is empty; ",
        ),
    ] {
        only(&refusal(&file, &[]), expected);
    }
    for name in [
        "ENGAGE__CA_FILE",
        "ENGAGE__API_KEY_FILE",
        "TELEMETRY__DIGEST_KEY_FILE",
    ] {
        let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), "")]);
        only(&error, &format!("{}: is empty; ", key_of(name)));
    }
}

#[test]
fn lists_may_be_empty() {
    let config = load(
        MINIMAL,
        &[
            ("BFF_VIEWS__FULL__ATTRIBUTES", ""),
            ("BFF_WEBHOOKS__SECRETS", ""),
        ],
    );
    let config = config.expect("a valid configuration");
    assert!(config.views.full.attributes.is_empty() && config.webhooks.secrets.is_empty());
    let error = refusal(MINIMAL, &[("BFF_VIEWS__FULL__ATTRIBUTES", "rfm,,age")]);
    only(&error, "views.full.attributes[1]: is empty; ");
}

/// The two characters of a text.
fn pair(text: &str) -> (char, char) {
    let mut characters = text.chars();
    let mut next = || characters.next().expect("two characters");
    (next(), next())
}

#[test]
fn quotes_around_a_value_are_refused() {
    for (name, good) in TEXTS {
        for quote in ['"', '\''] {
            let quoted = format!("{quote}{good}{quote}");
            let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), &quoted)]);
            only(
                &error,
                &format!(
                    "{}: is in quotes, which would be part of the value; ",
                    key_of(name)
                ),
            );
            assert!(!error.contains(good) || good.len() < 5, "{error}");
        }
    }
    for (open, close) in ["‘’", "’’", "‚‘", "“”", "„“", "””", "«»", "»«", "‹›"].map(pair)
    {
        let quoted = format!("{open}k7Qm2xW9pLr4tYzD{close}");
        let error = refusal(MINIMAL, &[("BFF_TELEMETRY__DIGEST_KEY", &quoted)]);
        only(&error, "telemetry.digest_key: is in quotes, ");
    }
    for list in ["\"rfm,age\"", "'rfm,age'", "“rfm,age”"] {
        let error = refusal(MINIMAL, &[("BFF_VIEWS__FULL__ATTRIBUTES", list)]);
        only(&error, "views.full.attributes: is in quotes, ");
    }
    let file = in_file("ENGAGE__API_KEY", "'\"k7Qm2xW9pLr4tYzB\"'");
    only(&refusal(&file, &[]), "engage.api_key: is in quotes, ");
    for list in ["[\"rfm\", \"age\"]", "[]"] {
        let error = refusal(MINIMAL, &[("BFF_VIEWS__FULL__ATTRIBUTES", list)]);
        only(&error, "views.full.attributes: is in brackets; ");
    }
    let error = refusal(MINIMAL, &[("BFF_ENGAGE__BURST", "\"5\"")]);
    only(&error, "engage.burst: is in quotes, ");
}

#[test]
fn surrounding_white_space_and_invisible_characters_are_refused() {
    for (name, good) in TEXTS {
        for (padded, what) in [
            (format!(" {good}"), "begins or ends with white space; "),
            (format!("{good} "), "begins or ends with white space; "),
            (format!("{good}\n"), "begins or ends with white space; "),
            (
                format!("{good}\u{2003}"),
                "begins or ends with white space; ",
            ),
            (
                format!("\u{3000}{good}"),
                "begins or ends with white space; ",
            ),
            (format!("{good}\u{2069}"), "contains invisible characters; "),
            (format!("\u{61c}{good}"), "contains invisible characters; "),
            (format!("\u{feff}{good}"), "contains invisible characters; "),
            (format!("{good}\u{200b}"), "contains invisible characters; "),
            (format!("{good}\u{7}"), "contains invisible characters; "),
            (format!("{good}\u{fffd}"), "is not UTF-8; "),
        ] {
            let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), &padded)]);
            only(&error, &format!("{}: {what}", key_of(name)));
        }
    }
}

#[test]
fn placeholder_in_a_value_is_refused() {
    for (name, value) in [
        ("ENGAGE__BASE_URL", "https://{client}.voyado.com"),
        ("ENGAGE__BASE_URL", "https://<client>.voyado.com"),
        ("ENGAGE__BASE_URL", "https://${CLIENT}.voyado.com"),
        ("ENGAGE__BASE_URL", "https://$CLIENT.voyado.com"),
        ("ENGAGE__BASE_URL", "$(ENGAGE_URL)"),
        ("ENGAGE__BASE_URL", "https://….voyado.com"),
        ("ENGAGE__USER_AGENT", "{product}/1.0"),
        ("ENGAGE__DEFAULT_CONTACT_TYPE", "<type>"),
        ("ENGAGE__DEFAULT_POINT_DEFINITION", "${POINTS}"),
        ("ENGAGE__API_KEY_FILE", "$HOME/key"),
        ("ENGAGE__API_KEY_FILE", "${CREDENTIALS_DIRECTORY}/key"),
        ("ENGAGE__CA_FILE", "/etc/{client}.pem"),
        ("IDENTIFIERS__PHONE_REGION", "<region>"),
    ] {
        let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), value)]);
        only(
            &error,
            &format!("{}: contains a placeholder; ", key_of(name)),
        );
    }
    for name in [
        "ENGAGE__API_KEY",
        "OPERATIONS__TOKEN",
        "TELEMETRY__DIGEST_KEY",
    ] {
        for value in [
            "<your-key-from-the-vault>",
            "{engage-api-key-4}",
            "${ENGAGE_API_KEY}",
            "$ENGAGE_API_KEY_1",
            "$(engage-api-key)",
            "k7Qm2xW9pLr4tYz…",
        ] {
            let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), value)]);
            let expected = format!(
                "{}: is a placeholder, which anyone can guess; ",
                key_of(name)
            );
            let is_reported = error.lines().any(|line| line.starts_with(&expected));
            assert!(is_reported, "{value}: {error}");
        }
        // A random secret may contain any of these characters.
        for value in ["k7Q{m2x}W9pLr4tYzB", "k7Q$Wm2x<W9pLr4>tYzB"] {
            load(MINIMAL, &[(&format!("BFF_{name}"), value)])
                .unwrap_or_else(|error| panic!("{value}: {error}"));
        }
    }
    let file = changed("\"till\"", "\"{name}\"");
    only(
        &refusal(&file, &[]),
        "auth.clients[0].id: contains a placeholder; ",
    );
}

#[test]
fn byte_order_mark_and_line_ends_around_a_secret_are_removed() {
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
    for text in [
        "\u{feff}from-a-file",
        "\nfrom-a-file",
        "\u{feff}\r\nfrom-a-file\r\n\n",
        "from-a-file\n\n",
    ] {
        let secret = temp_file(text);
        let config = load(&keyless, &[("BFF_ENGAGE__API_KEY_FILE", path(&secret))]);
        let key = config
            .unwrap_or_else(|error| panic!("{text:?}: {error}"))
            .engage
            .api_key
            .expect("a key");
        assert_eq!(
            secrecy::ExposeSecret::expose_secret(&key),
            "from-a-file",
            "{text:?}"
        );
    }
    for (text, what) in [
        ("", "is empty: "),
        ("\n\r\n", "is empty: "),
        ("  \n", "is empty: "),
        ("\u{feff}\n", "is empty: "),
        (" from-a-file\n", "begins or ends with white space; "),
        ("from\na-file\n", "has more than one line; "),
        ("\"from-a-file\"\n", "is in quotes, "),
        ("<from the vault>", "contains a placeholder; "),
    ] {
        let secret = temp_file(text);
        let error = refusal(&keyless, &[("BFF_ENGAGE__API_KEY_FILE", path(&secret))]);
        only(&error, &format!("engage.api_key_file: {what}"));
    }
}

#[test]
fn configuration_file_may_begin_with_a_byte_order_mark() {
    load(&format!("\u{feff}{MINIMAL}"), &[]).expect("a valid configuration");
}
