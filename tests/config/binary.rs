//! The commands of the real binary, as an operator or an orchestrator runs them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    thread,
};

use crate::{LEAST, TempFile};

/// The binary with nothing of the test's own environment.
fn engage_bff(arguments: &[&str], pairs: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engage-bff"));
    command
        .env_clear()
        .envs(pairs.iter().copied())
        .args(arguments);
    command
}

fn run(arguments: &[&str], pairs: &[(&str, &str)]) -> Output {
    engage_bff(arguments, pairs)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn check_config_prints_what_counts_with_the_secrets_masked() {
    let file = TempFile::new("check.toml", LEAST);
    let pairs = [
        ("BFF_ENGAGE__API_KEY", "sesame-open"),
        ("BFF_TELEMETRY__DIGEST_KEY", "sesame-shut"),
        ("BFF_CACHE__POINTS_LIFETIME", "7s"),
    ];
    let output = run(&["check-config", "--config", file.path()], &pairs);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!printed.contains("sesame"), "{printed}");
    let parsed: toml::Table = printed.parse().expect("TOML");
    assert_eq!(parsed["engage"]["api_key"].as_str(), Some("********"));
    assert_eq!(parsed["telemetry"]["digest_key"].as_str(), Some("********"));
    assert_eq!(parsed["cache"]["points_lifetime"].as_str(), Some("7s"));
    assert_eq!(parsed["server"]["listen"].as_str(), Some("127.0.0.1:8080"));
    assert_eq!(parsed["engage"]["overview_lag"].as_str(), Some("10m"));
}

#[test]
fn a_wrong_configuration_is_told_on_stderr_and_nothing_starts() {
    for command in ["check-config", "serve"] {
        let pairs = [
            ("BFF_ENGAGE__API_KEY", "sesame open"),
            ("BFF_ENGAGE__BURST", "0"),
        ];
        let output = run(&[command], &pairs);
        assert!(!output.status.success());
        assert_eq!(text(&output.stdout), "");
        let told = text(&output.stderr);
        for key in [
            "engage.base_url",
            "engage.api_key",
            "engage.burst",
            "auth.clients",
        ] {
            assert!(told.contains(&format!("{key}: ")), "{told}");
        }
        assert!(
            !told.contains("sesame") && !told.contains("panicked"),
            "{told}"
        );
        let unreadable = run(&[command, "--config", "/nowhere/at-all.toml"], &[]);
        assert!(!unreadable.status.success());
        let told = text(&unreadable.stderr);
        assert!(
            told.starts_with("/nowhere/at-all.toml: can't be read"),
            "{told}"
        );
    }
}

/// Ends what it started, also when the test fails.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_serving_process_is_alive_and_ends_cleanly_on_sigterm() {
    let file = TempFile::new("serve.toml", LEAST);
    let pairs = [("BFF_SERVER__LISTEN", "127.0.0.1:0")];
    let mut command = engage_bff(&["serve", "--config", file.path()], &pairs);
    let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut serving = Serving(child);
    let stdout = serving.0.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let address = loop {
        let line = lines.next().expect("a line").expect("text");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if event["message"] == "serving" {
            break event["listen"].as_str().expect("an address").to_owned();
        }
    };
    let check = || run(&["healthcheck"], &[("BFF_SERVER__LISTEN", &address)]);
    let output = check();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (_, port) = address.rsplit_once(':').expect("a port");
    let anywhere = format!("0.0.0.0:{port}");
    let output = run(&["healthcheck"], &[("BFF_SERVER__LISTEN", &anywhere)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pid = serving.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.expect("kill runs").success());
    assert!(serving.0.wait().expect("it ends").success());
    let last = lines.last().expect("a line").expect("text");
    assert!(last.contains("\"message\":\"stopped\""), "{last}");
    let output = check();
    assert!(!output.status.success());
    assert!(!output.stderr.is_empty());
}

#[test]
fn an_address_that_is_taken_is_told_by_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = TempFile::new("taken.toml", LEAST);
    let output = run(
        &["serve", "--config", file.path()],
        &[("BFF_SERVER__LISTEN", &address)],
    );
    assert!(!output.status.success());
    let told = text(&output.stderr);
    assert!(told.starts_with("server.listen: "), "{told}");
}

#[test]
fn a_service_that_answers_otherwise_is_not_healthy() {
    for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "", "nonsense"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut request = [0; 256];
            let read = stream.read(&mut request).expect("a request");
            stream.write_all(answer.as_bytes()).expect("sent");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let output = run(&["healthcheck"], &[("BFF_SERVER__LISTEN", &address)]);
        assert!(!output.status.success());
        let request = server.join().expect("an end");
        assert!(request.starts_with("GET /livez HTTP/1.1\r\n"), "{request}");
    }
}
