//! The commands of the real binary.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::MetadataExt,
    process::{Child, Command},
    thread,
};

use crate::harness::{BINARY, MINIMAL, Running, Service, path, run, temp_file, text};

#[test]
fn check_config_prints_the_effective_configuration_with_secrets_masked() {
    let file = temp_file(MINIMAL);
    let pairs = [
        ("BFF_ENGAGE__API_KEY", "sesame-open"),
        ("BFF_TELEMETRY__DIGEST_KEY", "sesame-shut-at-night"),
        ("BFF_CACHE__POINTS_LIFETIME", "7s"),
        ("BFF_SERVER__MAX_BODY", "65537B"),
    ];
    let output = run(&["check-config", "--config", path(&file)], &pairs);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!printed.contains("sesame"), "{printed}");
    let parsed: toml::Table = printed.parse().expect("TOML");
    assert_eq!(parsed["engage"]["api_key"].as_str(), Some("********"));
    assert_eq!(parsed["telemetry"]["digest_key"].as_str(), Some("********"));
    assert_eq!(parsed["cache"]["points_lifetime"].as_str(), Some("7s"));
    // Sizes are printed exactly, in the largest unit that fits.
    assert_eq!(parsed["server"]["max_body"].as_str(), Some("65537B"));
    assert_eq!(parsed["cache"]["max_size"].as_str(), Some("512MiB"));
    assert_eq!(parsed["server"]["listen"].as_str(), Some("127.0.0.1:8080"));
    assert_eq!(parsed["engage"]["overview_lag"].as_str(), Some("10m"));
}

#[test]
fn invalid_configuration_is_reported_on_stderr_and_nothing_starts() {
    for command in ["check-config", "serve"] {
        let pairs = [
            ("BFF_ENGAGE__API_KEY", "sesame open"),
            ("BFF_ENGAGE__BURST", "0"),
        ];
        let output = run(&[command], &pairs);
        assert!(!output.status.success());
        assert_eq!(text(&output.stdout), "");
        let error = text(&output.stderr);
        for key in [
            "engage.base_url",
            "engage.api_key",
            "engage.burst",
            "auth.clients",
        ] {
            assert!(error.contains(&format!("{key}: ")), "{error}");
        }
        assert!(
            !error.contains("sesame") && !error.contains("panicked"),
            "{error}"
        );
        let unreadable = run(&[command, "--config", "/nowhere/at-all.toml"], &[]);
        assert!(!unreadable.status.success());
        let error = text(&unreadable.stderr);
        assert!(
            error.starts_with("/nowhere/at-all.toml: can't be read"),
            "{error}"
        );
    }
}

/// The program without root's capabilities, which allow access to other processes.
fn without_rights(program: &str) -> Command {
    let is_root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-all", "--", program]);
    command
}

/// Whether another process of the same user may read the process's environment.
fn may_read(process: &Child) -> bool {
    let mut look = without_rights("cat");
    look.arg(format!("/proc/{}/environ", process.id()));
    look.output().expect("it runs").status.success()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_of_the_service_is_neither_dumped_nor_readable() {
    let sleeper = without_rights("sleep").arg("60").spawn();
    let sleeper = Running(sleeper.expect("it starts"));
    // The process is not readable until it has dropped the capabilities with which it was started.
    let is_open = (0..1000).any(|_| may_read(&sleeper.0));
    assert!(is_open, "no process is readable");
    let service = Service::new().start_as(without_rights(BINARY));
    assert!(!may_read(&service.process.0));
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.id()));
    let limits = limits.expect("a process's limits");
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
}

#[test]
fn service_passes_the_healthcheck_and_ends_cleanly_on_sigterm() {
    let service = Service::new().start();
    assert!(service.before.is_empty(), "{:?}", service.before);
    assert_ne!(service.operations, service.data);
    let address = service.operations.to_string();
    let check = || run(&["healthcheck"], &[("BFF_OPERATIONS__LISTEN", &address)]);
    let output = check();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let anywhere = format!("0.0.0.0:{}", service.operations.port());
    let output = run(&["healthcheck"], &[("BFF_OPERATIONS__LISTEN", &anywhere)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    service.signal("TERM");
    let (status, lines) = service.end();
    assert!(status.success(), "{status}");
    let last = lines.last().expect("a line");
    assert!(last.contains("\"message\":\"stopped\""), "{last}");
    let output = check();
    assert!(!output.status.success());
    assert!(!output.stderr.is_empty());
}

#[test]
fn address_in_use_is_reported_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = temp_file(MINIMAL);
    let output = run(
        &["serve", "--config", path(&file)],
        &[("BFF_SERVER__LISTEN", &address)],
    );
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.starts_with("server.listen: "), "{error}");
}

#[test]
fn healthcheck_fails_unless_livez_is_200() {
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
        let output = run(&["healthcheck"], &[("BFF_OPERATIONS__LISTEN", &address)]);
        assert!(!output.status.success());
        let request = server.join().expect("an end");
        assert!(request.starts_with("GET /livez HTTP/1.1\r\n"), "{request}");
    }
}

#[test]
fn start_is_logged_with_version_and_commit() {
    let service = Service::new().start();
    assert_eq!(service.serving["version"], env!("CARGO_PKG_VERSION"));
    // The field is present only if the build was given a revision.
    let revision = service.serving.get("revision").cloned();
    assert_eq!(revision, option_env!("REVISION").map(Into::into));
}
