//! Starts `redis-server` on a free port of this machine, with its files in a directory of its own, and kills it at the
//! end of the test. Tests include this file with `#[path]`.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server.
pub(crate) struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
    process: Child,
}

impl RedisServer {
    /// Starts an empty server that writes no files by itself.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an empty server with more arguments, such as `["--maxmemory", "10mb"]`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a writable directory");
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let port = free_port();
            if let Some(process) = spawn(port, &directory, &arguments) {
                return Self {
                    port,
                    arguments,
                    directory,
                    process,
                };
            }
        }
        panic!("redis-server does not start: is it installed?");
    }

    /// Its URL, for the default user.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its URL for a user.
    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// Its port at 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command as the default user, on a connection of its own.
    #[track_caller]
    pub(crate) fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> Value {
        let client = redis::Client::open(self.url()).expect("a valid URL");
        let mut connection = client.get_connection().expect("a running server");
        let mut words = words.iter().map(AsRef::as_ref);
        let mut command = redis::Cmd::new();
        command.arg(words.next().expect("a command"));
        for word in words {
            command.arg(word);
        }
        command
            .query(&mut connection)
            .expect("the server accepts it")
    }

    /// Removes every key.
    pub(crate) fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    /// Changes a setting.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.command(&["CONFIG", "SET", name, value]);
    }

    /// Stops the process without ending it: connections stay, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the process continue after [`RedisServer::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.process);
        kill_process(id, signal).expect("the process is there");
    }

    /// Kills the process, as in a crash.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the process is there");
        self.process.wait().expect("it ends");
    }

    /// Starts the process again after [`RedisServer::kill`], on the same port, with what its files contain.
    pub(crate) fn start_again(&mut self) {
        let process = spawn(self.port, &self.directory, &self.arguments);
        self.process = process.expect("the port is free");
    }

    /// Restarts it with its keys.
    pub(crate) fn restart_with_keys(&mut self) {
        self.command(&["SAVE"]);
        self.kill();
        self.start_again();
    }

    /// Restarts it without its keys.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        // There may be no such file.
        let _ = std::fs::remove_file(self.directory.path().join("dump.rdb"));
        self.start_again();
    }

    /// Removes its directory, so that it can't save and refuses writes from now on.
    pub(crate) fn fail_to_save(&self) {
        std::fs::remove_dir_all(self.directory.path()).expect("it is there");
        self.set("save", "3600 1000000");
        self.command(&["BGSAVE"]);
        while self
            .info("persistence", "rdb_last_bgsave_status")
            .as_deref()
            != Some("err")
        {
            std::thread::yield_now();
        }
    }

    /// Makes it a replica of another server, and waits until it has that one's keys.
    pub(crate) fn replicate(&self, primary: &RedisServer) {
        let port = primary.port.to_string();
        self.command(&["REPLICAOF", "127.0.0.1", &port]);
        while self.info("replication", "master_link_status").as_deref() != Some("up") {
            std::thread::yield_now();
        }
    }

    /// Makes a replica a primary.
    pub(crate) fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]);
    }

    /// The value of a field of `INFO`.
    pub(crate) fn info(&self, section: &str, field: &str) -> Option<String> {
        let Value::BulkString(text) = self.command(&["INFO", section]) else {
            panic!("INFO returns text");
        };
        let text = String::from_utf8(text).expect("INFO returns text");
        let start = format!("{field}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.map(str::to_owned)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Starts the process, and waits until it accepts connections. `None` if it ends instead.
fn spawn(port: u16, directory: &TempDir, arguments: &[String]) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
            "0",
        ])
        .arg("--dir")
        .arg(directory.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = process.stdout.take().expect("it is piped");
    let is_ready = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("Ready to accept connections"));
    if is_ready {
        return Some(process);
    }
    process.wait().expect("it ends");
    None
}

mod tests {
    use redis::Value;

    use super::RedisServer;

    #[test]
    fn server_keeps_or_loses_its_keys_at_a_restart() {
        let mut server = RedisServer::start_with(&["--maxmemory", "10mb"]);
        assert_eq!(
            server.info("memory", "maxmemory").as_deref(),
            Some("10485760")
        );
        server.set("maxmemory", "20mb");
        server.command(&["SET", "key", "value"]);
        server.freeze();
        server.thaw();
        server.restart_with_keys();
        assert_eq!(
            server.command(&["GET", "key"]),
            Value::BulkString(b"value".to_vec())
        );
        server.flush();
        assert_eq!(server.command(&["GET", "key"]), Value::Nil);
        server.command(&["SET", "key", "value"]);
        server.restart_empty();
        assert_eq!(server.command(&["GET", "key"]), Value::Nil);
        assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
        assert!(server.url_as("user", "password").contains("user:password@"));
    }

    #[test]
    fn a_server_that_can_not_save_refuses_writes() {
        let server = RedisServer::start();
        server.fail_to_save();
        let client = redis::Client::open(server.url()).expect("a valid URL");
        let mut connection = client.get_connection().expect("a running server");
        let refused = redis::cmd("SET")
            .arg("key")
            .arg("value")
            .exec(&mut connection);
        assert_eq!(refused.expect_err("it is refused").code(), Some("MISCONF"));
    }

    #[test]
    fn a_replica_of_a_server_takes_over() {
        let (primary, replica) = (RedisServer::start(), RedisServer::start());
        primary.command(&["SET", "key", "value"]);
        replica.replicate(&primary);
        drop(primary);
        replica.promote();
        assert_eq!(
            replica.command(&["GET", "key"]),
            Value::BulkString(b"value".to_vec())
        );
        replica.command(&["SET", "key", "other"]);
    }
}
