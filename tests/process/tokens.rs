//! The command `check-token`.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::{
    harness::{BINARY, MINIMAL, path, temp_file, text},
    issuer::{AUDIENCE, ISSUER, Issuer},
};

/// When the tokens of the tests are valid.
const AT: &str = "2026-11-23T12:00:00Z";
const CONTACT: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";

/// Runs the command with this standard input.
fn check(issuer: &Issuer, input: &str, more: &[&str]) -> Output {
    let jwks = issuer.jwks_file();
    let file = temp_file(&format!(
        "{MINIMAL}\n[auth.jwt]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nalgorithms = [\"ES256\"]\n\
         contact_id_claim = \"contactId\"\njwks_file = \"{}\"\n",
        jwks.display()
    ));
    let mut running = Command::new(BINARY)
        .env_clear()
        .args(["check-token", "--config", path(&file)])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = running.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("a token is read");
    drop(stdin);
    running.wait_with_output().expect("it ends")
}

#[test]
fn check_token_reads_standard_input_and_its_exit_status_is_the_verdict() {
    let issuer = Issuer::new();
    let at: jiff::Timestamp = AT.parse().expect("a time");
    let token = issuer.sign(&json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": at.as_second() + 600, "contactId": CONTACT,
    }));
    for input in [token.clone(), format!("Bearer {token}\n")] {
        let output = check(&issuer, &input, &["--at", AT]);
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{printed}{}", text(&output.stderr));
        assert!(printed.contains("\naccepted\n"), "{printed}");
        assert!(
            printed.contains("scopes: customer:read:self\n"),
            "{printed}"
        );
        assert!(
            !printed.contains(CONTACT) && !printed.contains("eyJ"),
            "{printed}"
        );
    }
    // Eleven minutes later the token has expired.
    for (input, more, why) in [
        (token, &["--at", "2026-11-23T12:11:00Z"][..], "expired"),
        ("nonsense".to_owned(), &["--at", AT][..], "malformed"),
        (String::new(), &["--at", AT][..], "malformed"),
    ] {
        let output = check(&issuer, &input, more);
        assert_eq!(output.status.code(), Some(1));
        let (printed, error) = (text(&output.stdout), text(&output.stderr));
        assert!(
            printed.contains(&format!("\nrefused: {why}\n")),
            "{printed}"
        );
        assert_eq!(error, "the token is not accepted\n");
        assert!(
            !printed.contains("nonsense") && !printed.contains("eyJ"),
            "{printed}"
        );
    }
}

#[test]
fn check_token_without_an_issuer_says_so() {
    let file = temp_file(MINIMAL);
    let output = Command::new(BINARY)
        .env_clear()
        .args(["check-token", "--config", path(&file)])
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("auth.jwt: is missing"));
}
