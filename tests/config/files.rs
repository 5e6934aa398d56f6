//! Files that the configuration names: unusable ones are reported with key, path and cause.

use std::{fs, os::unix::fs::symlink, path::Path};

use engage_bff::config::Config;

use crate::{MINIMAL, environment, load, path, refusal, temp_file};

const JWT: &str = "[auth.jwt]\nissuer = \"https://login.example.com/\"\naudience = \"bff\"\n\
    algorithms = [\"ES256\"]\ncontact_id_claim = \"contactId\"\n";
/// The public key of RFC 7517, appendix A.1.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn with_jwks(file: &str) -> String {
    format!("{MINIMAL}{JWT}jwks_file = \"{file}\"\n")
}

fn bytes_file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = temp_file("");
    fs::write(file.path(), bytes).expect("free disk space");
    file
}

#[test]
fn every_missing_file_is_reported_at_once_with_its_path() {
    let pairs = [
        ("BFF_ENGAGE__CA_FILE", "/nowhere/ca.pem"),
        ("BFF_OPERATIONS__TOKEN_FILE", "/nowhere/token"),
        ("BFF_WEBHOOKS__SECRETS_FILE", "/nowhere/secrets"),
        ("BFF_WEBHOOKS__ENCRYPTION_KEY_FILE", "/nowhere/encryption"),
        ("BFF_TELEMETRY__DIGEST_KEY_FILE", "/nowhere/digest"),
        ("BFF_ENGAGE__BURST", "0"),
    ];
    let error = refusal(&with_jwks("/nowhere/keys.json"), &pairs);
    for (key, at) in [
        ("engage.ca_file", "/nowhere/ca.pem"),
        ("auth.jwt.jwks_file", "/nowhere/keys.json"),
        ("operations.token_file", "/nowhere/token"),
        ("webhooks.secrets_file", "/nowhere/secrets"),
        ("webhooks.encryption_key_file", "/nowhere/encryption"),
        ("telemetry.digest_key_file", "/nowhere/digest"),
    ] {
        let line = format!("{key}: can't be read: no such file: {at}; ");
        assert!(
            error.lines().any(|error| error.starts_with(&line)),
            "{line}\n{error}"
        );
    }
    assert!(error.contains("engage.burst: "), "{error}");
    assert_eq!(error.lines().count(), 7, "{error}");
}

#[test]
fn unreadable_file_is_reported_with_its_cause() {
    let folder = tempfile::tempdir().expect("a directory");
    let folder = folder.path().to_str().expect("text");
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
    for (key, file) in [
        ("engage.api_key_file", keyless.as_str()),
        ("engage.ca_file", MINIMAL),
        ("telemetry.digest_key_file", MINIMAL),
    ] {
        let name = format!("BFF_{}", key.to_uppercase().replace('.', "__"));
        let error = refusal(file, &[(&name, folder)]);
        let expected = format!("{key}: can't be read: it is a directory: {folder}; ");
        assert!(
            error.starts_with(&expected) && error.lines().count() == 1,
            "{error}"
        );
    }
    let error = refusal(&with_jwks(folder), &[]);
    assert!(
        error.starts_with("auth.jwt.jwks_file: can't be read: it is a directory: "),
        "{error}"
    );
    let below = temp_file("");
    let below = format!("{}/key", path(&below));
    let error = refusal(&keyless, &[("BFF_ENGAGE__API_KEY_FILE", &below)]);
    assert!(
        error.starts_with("engage.api_key_file: can't be read: "),
        "{error}"
    );
    let at = Path::new(folder);
    let error = Config::load(Some(at), &environment(&[]))
        .expect_err("a directory")
        .to_string();
    assert_eq!(
        error.lines().next(),
        Some(&*format!(
            "{folder}: can't be read: it is a directory; give the path of a readable TOML file"
        ))
    );
}

#[test]
fn relative_path_to_no_file_is_not_printed() {
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
    let error = refusal(
        &keyless,
        &[("BFF_ENGAGE__API_KEY_FILE", "k7Qm2xW9pLr4tYzB")],
    );
    assert!(
        error.starts_with("engage.api_key_file: can't be read: no such file"),
        "{error}"
    );
    assert!(!error.contains("k7Qm"), "{error}");
    let error = refusal(MINIMAL, &[("BFF_ENGAGE__CA_FILE", "k7Qm2xW9pLr4tYzB")]);
    assert!(
        error.starts_with("engage.ca_file: can't be read: no such file; "),
        "{error}"
    );
}

#[test]
fn files_must_contain_what_their_key_requires() {
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, what) in [
        ("", "is empty"),
        ("no certificates here\n", "contains no certificate"),
        (KEY, "contains no certificate"),
        (DAMAGED, "contains something that is not a certificate"),
    ] {
        let file = temp_file(text);
        let error = refusal(MINIMAL, &[("BFF_ENGAGE__CA_FILE", path(&file))]);
        assert!(
            error.starts_with(&format!("engage.ca_file: {what}: {}; ", path(&file))),
            "{error}"
        );
    }
    for (text, what) in [
        ("", "is empty"),
        ("no keys", "is not a JWK set"),
        ("{\"keys\":[]}", "contains no key that can verify a token"),
        (
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
            "contains no key that can verify a token",
        ),
    ] {
        let file = temp_file(text);
        let error = refusal(&with_jwks(path(&file)), &[]);
        assert!(
            error.starts_with(&format!("auth.jwt.jwks_file: {what}: {}; ", path(&file))),
            "{error}"
        );
        assert!(!error.contains("c2Vj"), "{error}");
    }
    let keys = temp_file(KEYS);
    load(&with_jwks(path(&keys)), &[]).expect("a valid configuration");
    let other = with_jwks(path(&keys)).replace("ES256", "RS256");
    let error = refusal(&other, &[]);
    assert!(
        error.starts_with("auth.jwt.jwks_file: contains no key for auth.jwt.algorithms: "),
        "{error}"
    );
}

#[test]
fn utf_16_files_are_reported_as_such() {
    let wide = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
    let without_mark = &wide("a-key")[2..];
    for bytes in [wide("a-key"), without_mark.to_vec()] {
        let file = bytes_file(&bytes);
        let error = refusal(&keyless, &[("BFF_ENGAGE__API_KEY_FILE", path(&file))]);
        assert!(
            error.starts_with("engage.api_key_file: is UTF-16: "),
            "{error}"
        );
    }
    let file = bytes_file(b"sm\xf6r-key");
    let error = refusal(&keyless, &[("BFF_ENGAGE__API_KEY_FILE", path(&file))]);
    assert!(
        error.starts_with("engage.api_key_file: is not UTF-8: "),
        "{error}"
    );
    let file = bytes_file(&wide(MINIMAL));
    let error = Config::load(Some(file.path()), &environment(&[]))
        .expect_err("UTF-16")
        .to_string();
    assert!(
        error.starts_with(&format!("{}: is UTF-16; ", path(&file))),
        "{error}"
    );
}

#[test]
fn secret_mounted_as_a_chain_of_links_is_read() {
    let folder = tempfile::tempdir().expect("a directory");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("..2026_11_23")).expect("a directory");
    fs::write(at("..2026_11_23/api-key"), "from-a-mount\n").expect("room");
    symlink("..2026_11_23", at("..data")).expect("a link");
    symlink("..data/api-key", at("api-key")).expect("a link");
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
    let file = at("api-key");
    let pairs = [("BFF_ENGAGE__API_KEY_FILE", file.to_str().expect("text"))];
    let key = load(&keyless, &pairs)
        .expect("a valid configuration")
        .engage
        .api_key
        .expect("a key");
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), "from-a-mount");
    fs::remove_dir_all(at("..2026_11_23")).expect("gone");
    let error = refusal(&keyless, &pairs);
    assert!(
        error.starts_with("engage.api_key_file: can't be read: no such file"),
        "{error}"
    );
}

#[test]
fn unreadable_file_hides_no_mistake_of_the_environment() {
    let pairs = [
        ("BFF_ENGAGE__BURST", "many"),
        ("BFF_CACHE__MAX_SIZE", "1B"),
        ("BFF_OPERATIONS__TOKEN", ""),
    ];
    let error = Config::load(
        Some(Path::new("/nowhere/at-all.toml")),
        &environment(&pairs),
    );
    let error = error.expect_err("no file").to_string();
    let keys: Vec<_> = error
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys.len(), 4, "{error}");
    for key in [
        "/nowhere/at-all.toml",
        "engage.burst",
        "cache.max_size",
        "operations.token",
    ] {
        assert!(keys.contains(&key), "{error}");
    }
}
