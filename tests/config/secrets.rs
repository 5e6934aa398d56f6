//! Secrets that the service refuses to start with: placeholders, short ones, and one in two places.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{LEAST, refusal, refusals::changed};

/// The SHA-256 of a text, as `key_sha256` wants it.
fn sha256(text: &str) -> String {
    let mut hex = String::new();
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        write!(hex, "{byte:02x}").expect("writing to a String does not fail");
    }
    hex
}

#[test]
fn secrets_that_are_none_are_refused_and_not_repeated() {
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
            let told = refusal(LEAST, &[(&format!("BFF_{name}"), value)]);
            // To the letter, so that the value is not repeated.
            let expected = format!("{key}: is a placeholder, which anyone can guess; {REMEDY}");
            let short =
                format!("{key}: is shorter than 16 characters; a random one can't be guessed");
            let mut lines = told.lines();
            assert_eq!(lines.next(), Some(&*expected), "{value}");
            assert!(lines.all(|line| line.starts_with(&short)), "{told}");
        }
        let good = "not-a-secret-that-anybody-knows-1";
        crate::load(LEAST, &[(&format!("BFF_{name}"), good)]).expect("valid");
    }
}

#[test]
fn secrets_of_ours_are_no_shorter_than_sixteen_characters() {
    for name in ["OPERATIONS__TOKEN", "TELEMETRY__DIGEST_KEY"] {
        let key = name.to_lowercase().replace("__", ".");
        let name = format!("BFF_{name}");
        let told = refusal(LEAST, &[(&name, "k7Qm2xW9pLr4tYz")]);
        let expected = format!("{key}: is shorter than 16 characters; a random one");
        assert!(told.starts_with(&expected), "{told}");
        crate::load(LEAST, &[(&name, "k7Qm2xW9pLr4tYzB")]).expect("valid");
    }
}

#[test]
fn one_secret_in_two_places_is_refused() {
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
        let told = refusal(LEAST, &[(&one, SAME), (&other, SAME)]);
        assert!(told.starts_with(expected), "{told}");
        assert!(!told.contains(SAME) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_webhook_secret_is_no_other_secret_and_no_clients_key() {
    const SECRET: &str = "whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X";
    const KEY: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
    let given = ("BFF_WEBHOOKS__SECRETS", SECRET);
    let told = refusal(LEAST, &[given, ("BFF_OPERATIONS__TOKEN", SECRET)]);
    let expected = "webhooks.secrets: is the same as operations.token; ";
    assert!(told.starts_with(expected), "{told}");
    let twice = format!("{SECRET},{SECRET}");
    let told = refusal(LEAST, &[("BFF_WEBHOOKS__SECRETS", &twice)]);
    let expected = "webhooks.secrets: is the same as webhooks.secrets; ";
    assert!(told.starts_with(expected), "{told}");
    let told = refusal(&changed(KEY, &sha256(SECRET)), &[given]);
    let expected = "auth.clients[0].key_sha256: is the digest of webhooks.secrets; ";
    assert!(told.starts_with(expected), "{told}");
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn a_client_whose_key_is_known_elsewhere_is_refused() {
    const KEY: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
    const TOKEN: &str = "an-operators-own-token";
    let nobody = "auth.clients[0].key_sha256: is the digest of an empty key or of a placeholder; ";
    for (key, expected) in [
        ("", nobody),
        ("secret", nobody),
        ("changeme", nobody),
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
        let told = refusal(&file, &pairs);
        assert!(told.starts_with(expected), "{key}: {told}");
    }
    let second = "[[auth.clients]]\nid = \"shop\"\nscopes = [\"customer:read\"]\n";
    let file = format!("{LEAST}{second}key_sha256 = [\"{KEY}\"]\n");
    let told = refusal(&file, &[]);
    let expected =
        "auth.clients[1].key_sha256: is also listed for another client; give each client";
    assert!(told.starts_with(expected), "{told}");
}
