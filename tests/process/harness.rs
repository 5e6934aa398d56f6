//! Starts the real binary on free ports, and kills it at the end of the test.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use engage_simulator::Simulator;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_engage-bff");

/// The longest wait of a test for an event: far longer than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The minimal valid configuration. The key of its client is `test-till-key`.
pub(crate) const MINIMAL: &str = r#"
    [engage]
    base_url = "https://192.0.2.1"
    api_key = "a-key"
    [[auth.clients]]
    id = "till"
    key_sha256 = ["cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11"]
    scopes = ["customer:read"]
"#;

/// A file that is deleted at the end of the test.
pub(crate) fn temp_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a writable directory");
    file.write_all(text.as_bytes()).expect("free disk space");
    file
}

pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a readable path")
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// The command, without the test's own environment.
fn with(mut command: Command, arguments: &[&str], pairs: &[(&str, &str)]) -> Command {
    command
        .env_clear()
        .envs(pairs.iter().copied())
        .args(arguments);
    command
}

/// Runs a command of the binary and returns its output.
pub(crate) fn run(arguments: &[&str], pairs: &[(&str, &str)]) -> Output {
    with(Command::new(BINARY), arguments, pairs)
        .output()
        .expect("the binary runs")
}

/// A started process, killed when it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service to be started.
pub(crate) struct Service {
    file: String,
    environment: Vec<(String, String)>,
}

impl Service {
    /// A service with [`MINIMAL`], on free ports.
    pub(crate) fn new() -> Self {
        let service = Self {
            file: MINIMAL.to_owned(),
            environment: Vec::new(),
        };
        service
            .env("BFF_SERVER__LISTEN", "127.0.0.1:0")
            .env("BFF_OPERATIONS__LISTEN", "127.0.0.1:0")
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds to its configuration file.
    pub(crate) fn file(mut self, toml: &str) -> Self {
        self.file.push_str(toml);
        self
    }

    /// Uses this simulator as Engage, with a call budget that no test exhausts.
    pub(crate) fn engage(self, engage: &Engage) -> Self {
        self.asks(&engage.simulator)
            .env("BFF_ENGAGE__REQUESTS_PER_SECOND", "1000000.0")
            .env("BFF_ENGAGE__BURST", "1000000")
    }

    /// Uses this simulator as Engage.
    pub(crate) fn asks(self, engage: &Simulator) -> Self {
        self.env("BFF_ENGAGE__BASE_URL", &engage.base_url())
            .env("BFF_ENGAGE__API_KEY", engage.api_key())
    }

    /// Starts it with another configuration file.
    pub(crate) fn start_with(mut self, toml: &str) -> Started {
        toml.clone_into(&mut self.file);
        self.start()
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(self) -> Started {
        self.start_as(Command::new(BINARY))
    }

    /// Like [`Service::start`], with a command to which the arguments of `serve` are appended.
    pub(crate) fn start_as(self, command: Command) -> Started {
        let file = temp_file(&self.file);
        let pairs: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut command = with(command, &["serve", "--config", path(&file)], &pairs);
        let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut process = Running(child);
        let stdout = process.0.stdout.take().expect("a pipe");
        let mut log = BufReader::new(stdout).lines();
        let mut before = Vec::new();
        let serving = loop {
            let line = log.next().expect("a line").expect("text");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["message"] == "serving" {
                break event;
            }
            before.push(line);
        };
        Started {
            file,
            process,
            log,
            before,
            data: address(&serving["listen"]),
            operations: address(&serving["operations"]),
            serving,
        }
    }
}

/// A simulated Engage in the test's own process.
pub(crate) struct Engage {
    pub(crate) simulator: Simulator,
    /// The runtime that runs it.
    _runtime: Runtime,
}

impl Engage {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let simulator = Simulator::builder()
            .seed(7)
            .contacts(50)
            .api_key("test-engage-key")
            .rate_limit(None)
            .start();
        Self {
            simulator: runtime.block_on(simulator).expect("the simulator starts"),
            _runtime: runtime,
        }
    }
}

/// Waits for the end of the process. Kills it and fails if it does not end.
pub(crate) fn status(mut process: Running) -> ExitStatus {
    let id = process.0.id();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(process.0.wait()));
    let Ok(status) = ended.recv_timeout(PATIENCE) else {
        let _ = Command::new("kill")
            .args(["-s", "KILL", &id.to_string()])
            .status();
        panic!("the process did not end");
    };
    status.expect("a status")
}

fn address(field: &Value) -> SocketAddr {
    let text = field.as_str().expect("an address");
    text.parse().expect("an address")
}

/// A running service.
pub(crate) struct Started {
    /// Its configuration file.
    pub(crate) file: NamedTempFile,
    pub(crate) process: Running,
    /// The log after the event `serving`.
    pub(crate) log: Lines<BufReader<ChildStdout>>,
    /// The lines before that event.
    pub(crate) before: Vec<String>,
    /// The event `serving`.
    pub(crate) serving: Value,
    /// The data listener.
    pub(crate) data: SocketAddr,
    /// The operations listener.
    pub(crate) operations: SocketAddr,
}

/// A simulator of 50 contacts without a rate limit.
pub(crate) async fn engage() -> Simulator {
    let builder = Simulator::builder().seed(7).contacts(50);
    let started = builder.api_key("test-engage-key").rate_limit(None).start();
    started.await.expect("the simulator starts")
}

impl Started {
    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Replaces the content of its configuration file.
    pub(crate) fn configure(&self, toml: &str) {
        fs::write(self.file.path(), toml).expect("a writable file");
    }

    /// The next event with one of these messages.
    pub(crate) fn event(&mut self, messages: &[&str]) -> Value {
        loop {
            let line = self.log.next().expect("it runs").expect("text");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            let message = event["message"].as_str().expect("a message");
            if messages.contains(&message) {
                return event;
            }
        }
    }

    /// Sends the process a signal, named without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
    }

    /// Waits for the end of the process; returns its status and the rest of its log.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let rest = self.log.map(|line| line.expect("text")).collect();
        (self.process.0.wait().expect("it ends"), rest)
    }
}
