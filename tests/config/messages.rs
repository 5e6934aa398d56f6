//! The messages about frequent mistakes: they say what is wrong, where, and what to do.

use engage_bff::config::Mistake;

use crate::{MINIMAL, load, refusal};

/// The message about a file, without its path.
#[track_caller]
fn message(file: &str) -> String {
    let error = refusal(file, &[]);
    assert_eq!(error.lines().count(), 1, "{error}");
    let (path, message) = error.split_once(": ").expect("a key or a path");
    if path.starts_with('/') {
        message.to_owned()
    } else {
        error
    }
}

#[test]
fn text_that_is_not_toml_is_explained_without_its_values() {
    for (file, expected) in [
        (
            "[cache]\nmax_size = 512MiB\n",
            "is not TOML: line 2, column 12: a value that is neither quoted nor a number, true or false; write texts, ",
        ),
        (
            "[cache]\nmax_size =\n",
            "is not TOML: line 2, column 11: there is no value; give one, or remove the key",
        ),
        (
            "[cache]\nmax_size = # 1MiB\n",
            "is not TOML: line 2, column 12: there is no value; ",
        ),
        (
            "[cache]\nmax_size = “1MiB”\n",
            "is not TOML: line 2, column 12: typographic quotes; write straight ones",
        ),
        (
            "[cache]\nmax_size = \"1MiB\nx = 1\n",
            "is not TOML: line 2, column 17: a text whose quotes are not closed; ",
        ),
        (
            "[cache]\nmax_size = \"1MiB\"\nmax_size = \"sesame\"\n",
            "is not TOML: line 3, column 1: max_size is there twice; merge the two",
        ),
        (
            "[cache]\n[server]\n[cache]\n",
            "is not TOML: line 3, column 2: cache is there twice; merge the two",
        ),
        (
            "engage:\n  base_url: sesame\n",
            "is not TOML: line 1, column 8: a key without a value; write key = value",
        ),
        (
            "{\"engage\": {\"api_key\": \"sesame\"}}",
            "is not TOML: line 1, column 1: this looks like JSON; write [section] and key = value",
        ),
    ] {
        let message = message(file);
        assert!(message.starts_with(expected), "{file}: {message}");
        assert!(!message.contains("sesame"), "{message}");
    }
}

#[test]
fn key_in_the_wrong_place_is_reported_with_its_section() {
    for (file, expected) in [
        (
            format!("base_url = \"https://shop.example.com\"\n{MINIMAL}"),
            "base_url: is an unknown key; did you mean engage.base_url? It belongs below [engage]",
        ),
        (
            format!("{MINIMAL}[cache]\nmax_connections = 5\n"),
            "cache.max_connections: is an unknown key; did you mean server.max_connections?",
        ),
        (
            format!(
                "engage = \"https://shop.example.com\"\n{}",
                MINIMAL
                    .replace("[engage]", "[cache]")
                    .replace("base_url", "max_size")
                    .replace("https://shop.example.com", "1MiB")
                    .replace("api_key = \"a-key\"", "")
            ),
            "engage: is not a section; write its name in brackets on a line of its own",
        ),
        (
            MINIMAL.replace("[[auth.clients]]", "[auth.clients]"),
            "auth.clients: is not a list of tables; begin each client with [[auth.clients]]",
        ),
    ] {
        let message = message(&file);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn variable_that_differs_from_a_key_in_underscores_or_case_is_reported() {
    for (name, meant) in [
        ("BFF_ENGAGE_API_KEY", "BFF_ENGAGE__API_KEY"),
        ("BFF_ENGAGE_API_KEY_FILE", "BFF_ENGAGE__API_KEY_FILE"),
        ("bff_engage__burst", "BFF_ENGAGE__BURST"),
        ("BFF_AUTH_JWT_JWKS_URL", "BFF_AUTH__JWT__JWKS_URL"),
        ("Bff_Cache_Max_Size", "BFF_CACHE__MAX_SIZE"),
    ] {
        let error = refusal(MINIMAL, &[(name, "sesame")]);
        let expected = format!(
            "{name}: is not a variable of the service; did you mean {meant}? Otherwise remove it"
        );
        assert_eq!(error, expected);
    }
    for name in [
        "BFF_SERVICE_HOST",
        "BFF_PORT",
        "BFF_ENGAGE_PORT",
        "BFF_VERSION",
        "HOME",
    ] {
        assert!(load(MINIMAL, &[(name, "sesame")]).is_ok(), "{name}");
    }
}

#[test]
fn each_secret_is_named_and_reported_once() {
    let secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,sesame";
    let error = refusal(MINIMAL, &[("BFF_WEBHOOKS__SECRETS", secrets)]);
    let expected = "webhooks.secrets[1]: is not \"whsec_\" followed by base64; ";
    assert!(
        error.starts_with(expected) && error.lines().count() == 1,
        "{error}"
    );
    let error = refusal(MINIMAL, &[("BFF_WEBHOOKS__ENCRYPTION_KEY", "sesame")]);
    let expected = "webhooks.encryption_key: does not have 32 ASCII characters; ";
    assert!(
        error.starts_with(expected) && error.lines().count() == 1,
        "{error}"
    );
    let error = refusal(MINIMAL, &[("BFF_OPERATIONS__TOKEN", "admin")]);
    let expected = "operations.token: is a placeholder, which anyone can guess; ";
    assert!(
        error.starts_with(expected) && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn connect_timeout_longer_than_the_call_timeout_causes_a_warning() {
    let pairs = [
        ("BFF_ENGAGE__CONNECT_TIMEOUT", "9s"),
        ("BFF_ENGAGE__TIMEOUT", "8s"),
    ];
    let warnings = load(MINIMAL, &pairs).expect("a configuration").warnings();
    let keys: Vec<_> = warnings.iter().map(Mistake::key).collect();
    assert_eq!(keys, ["engage.connect_timeout"]);
}
