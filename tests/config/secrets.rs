//! Secrets that are refused: placeholders, short ones, and one used for two keys.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{MINIMAL, refusal, refusals::changed};

/// The SHA-256 of a text in the form of `key_sha256`.
fn sha256(text: &str) -> String {
    let mut hex = String::new();
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        write!(hex, "{byte:02x}").expect("writing to a String does not fail");
    }
    hex
}

#[test]
fn placeholder_secrets_are_refused_and_not_printed() {
    const KEYS: [&str; 3] = [
        "ENGAGE__API_KEY",
        "OPERATIONS__TOKEN",
        "TELEMETRY__DIGEST_KEY",
    ];
    const REMEDY: &str = "generate a secret: head -c 32 /dev/urandom | sha256sum";
    for name in KEYS {
        let key = name.to_lowercase().replace("__", ".");
        for value in [
            "changeme",
            "ChangeMe",
            "change-me-123",
            "CHANGE_ME_CHANGE_ME",
            "secret",
            "secretsecretsecret",
            "password",
            "Password123456789",
            "your-api-key",
            "example",
            "<token>",
            "x",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "0000000000000000",
            "****************",
        ] {
            let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), value)]);
            // The exact message, which does not contain the value.
            let expected = format!("{key}: is a placeholder, which anyone can guess; {REMEDY}");
            let short = format!("{key}: is shorter than 16 characters; generate a random one");
            let mut lines = error.lines();
            assert_eq!(lines.next(), Some(&*expected), "{value}");
            assert!(lines.all(|line| line.starts_with(&short)), "{error}");
        }
        let good = "not-a-secret-that-anybody-knows-1";
        crate::load(MINIMAL, &[(&format!("BFF_{name}"), good)]).expect("a valid configuration");
    }
}

#[test]
fn secrets_chosen_by_operators_have_at_least_sixteen_characters() {
    for name in ["OPERATIONS__TOKEN", "TELEMETRY__DIGEST_KEY"] {
        let key = name.to_lowercase().replace("__", ".");
        let name = format!("BFF_{name}");
        let error = refusal(MINIMAL, &[(&name, "k7Qm2xW9pLr4tYz")]);
        let expected = format!("{key}: is shorter than 16 characters; generate a random one");
        assert!(error.starts_with(&expected), "{error}");
        crate::load(MINIMAL, &[(&name, "k7Qm2xW9pLr4tYzB")]).expect("a valid configuration");
    }
}

#[test]
fn secret_used_for_two_keys_is_refused() {
    const SAME: &str = "one-and-the-same-for-all";
    for (pairs, expected) in [
        (
            ["ENGAGE__API_KEY", "OPERATIONS__TOKEN"],
            "operations.token: is the same as engage.api_key; ",
        ),
        (
            ["ENGAGE__API_KEY", "TELEMETRY__DIGEST_KEY"],
            "telemetry.digest_key: is the same as engage.api_key; ",
        ),
        (
            ["OPERATIONS__TOKEN", "TELEMETRY__DIGEST_KEY"],
            "telemetry.digest_key: is the same as operations.token; ",
        ),
    ] {
        let [one, other] = pairs.map(|name| format!("BFF_{name}"));
        let error = refusal(MINIMAL, &[(&one, SAME), (&other, SAME)]);
        assert!(error.starts_with(expected), "{error}");
        assert!(
            !error.contains(SAME) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn webhook_secret_reused_elsewhere_is_refused() {
    const SECRET: &str = "whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X";
    const KEY: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
    let given = ("BFF_WEBHOOKS__SECRETS", SECRET);
    let error = refusal(MINIMAL, &[given, ("BFF_OPERATIONS__TOKEN", SECRET)]);
    let expected = "webhooks.secrets: is the same as operations.token; ";
    assert!(error.starts_with(expected), "{error}");
    let twice = format!("{SECRET},{SECRET}");
    let error = refusal(MINIMAL, &[("BFF_WEBHOOKS__SECRETS", &twice)]);
    let expected = "webhooks.secrets: is the same as webhooks.secrets; ";
    assert!(error.starts_with(expected), "{error}");
    let error = refusal(&changed(KEY, &sha256(SECRET)), &[given]);
    let expected = "auth.clients[0].key_sha256: is the digest of webhooks.secrets; ";
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn client_whose_key_is_another_secret_is_refused() {
    const KEY: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
    const TOKEN: &str = "an-operators-own-token";
    let placeholder =
        "auth.clients[0].key_sha256: is the digest of an empty key or of a placeholder; ";
    for (key, expected) in [
        ("", placeholder),
        ("secret", placeholder),
        ("changeme", placeholder),
        (
            "a-key",
            "auth.clients[0].key_sha256: is the digest of engage.api_key; ",
        ),
        (
            TOKEN,
            "auth.clients[0].key_sha256: is the digest of operations.token; ",
        ),
    ] {
        let file = changed(KEY, &sha256(key));
        let pairs = [("BFF_OPERATIONS__TOKEN", TOKEN)];
        let error = refusal(&file, &pairs);
        assert!(error.starts_with(expected), "{key}: {error}");
    }
    let second = "[[auth.clients]]\nid = \"shop\"\nscopes = [\"customer:read\"]\n";
    let file = format!("{MINIMAL}{second}key_sha256 = [\"{KEY}\"]\n");
    let error = refusal(&file, &[]);
    let expected =
        "auth.clients[1].key_sha256: is also listed for another client; give each client";
    assert!(error.starts_with(expected), "{error}");
}
