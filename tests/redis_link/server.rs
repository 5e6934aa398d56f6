//! Servers and sentinels, each on a free port and in a folder of its own, stopped at the end of the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A `redis-server`.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl RedisServer {
    /// A server with these command-line options. Unless they say otherwise, it persists nothing to disk.
    pub(crate) fn start(options: &[&str]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let own = ["--port", &text, "--save", "", "--appendonly", "no"];
        Self::start_on(port, &[&own, options].concat())
    }

    /// A server that accepts only TLS.
    pub(crate) fn start_with_tls(options: &[&str]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let own = ["--port", "0", "--tls-port", &text, "--save", ""];
        Self::start_on(port, &[&own, options].concat())
    }

    /// A sentinel for the server at this port. It considers the server down after half a second.
    pub(crate) fn start_sentinel(service: &str, server: u16, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor {service} 127.0.0.1 {server} 2\n\
             sentinel down-after-milliseconds {service} 500\n\
             sentinel failover-timeout {service} 3000\n{more}\n"
        );
        fs::write(&file, text).expect("a file");
        let port = free_port();
        let options = [
            file.to_str().expect("text"),
            "--port",
            &port.to_string(),
            "--sentinel",
        ];
        Self::start_in(folder, port, &options)
    }

    fn start_on(port: u16, options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), port, options)
    }

    fn start_in(folder: TempDir, port: u16, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let process = spawn(folder.path(), &options);
        let server = Self {
            process,
            port,
            options,
            folder,
        };
        server.wait();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the process, as in a crash.
    pub(crate) fn crash(&mut self) {
        self.process.kill().expect("a process");
        self.process.wait().expect("a process");
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(self.folder.path(), &self.options);
        self.wait();
    }

    /// Freezes it, like a machine that hangs.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it run again.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("an id");
        kill_process(Pid::from_raw(id).expect("an id"), signal).expect("a process");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "another process is waited for, on a thread that has nothing else to do"
    )]
    fn wait(&self) {
        for _ in 0..2000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("redis-server does not start");
    }
}

fn spawn(folder: &Path, options: &[String]) -> Child {
    Command::new("redis-server")
        .args(options)
        .args(["--bind", "127.0.0.1", "--loglevel", "warning"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // This ends a frozen process too. It may have ended before.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
