//! The real binary as a process of its own, with a configuration in a temporary file.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{self, Command, Stdio},
    thread,
};

use crate::Failure;

/// The callers' keys.
pub(crate) const KEYS: [&str; 2] = ["test-shop-key", "test-till-key"];

/// The service; ended when it is dropped.
pub(crate) struct Child {
    process: process::Child,
    file: PathBuf,
    address: SocketAddr,
    operations: SocketAddr,
}

impl Child {
    /// Starts the service in front of the Engage at this address, with two clients and defaults otherwise.
    pub(crate) fn serve(engage: &str) -> Result<Self, Failure> {
        // The port was free a moment ago. Another process may take it before the service does, but that is unlikely.
        let operations = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let name = format!("overload-{}.toml", process::id());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, configuration(engage, operations))?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_engage-bff"))
            .env_clear()
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut child = Self {
            process,
            file,
            address: operations,
            operations,
        };
        let mut lines = BufReader::new(stdout).lines();
        child.address = loop {
            let line = lines.next().ok_or("the service does not start")??;
            let event: serde_json::Value = serde_json::from_str(&line)?;
            if event["message"] == "serving" {
                break event["listen"].as_str().ok_or("no address")?.parse()?;
            }
        };
        // Drains the pipe: a full one would block the service.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(child)
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.ok_or("no VmRSS")?.trim().parse()?;
        Ok(kibibytes * 1024)
    }

    /// How often a breaker has opened so far.
    pub(crate) async fn openings(&self) -> Result<u64, Failure> {
        let url = format!("http://{}/metrics", self.operations);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let metrics = client.get(url).send().await?.text().await?;
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("engage_bff_engage_breaker_openings_total"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(counts.sum())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The process may have ended already, and a file that stays does no harm.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.file);
    }
}

fn configuration(engage: &str, operations: SocketAddr) -> String {
    format!(
        r#"[server]
listen = "127.0.0.1:0"
[operations]
listen = "{operations}"
[engage]
base_url = "{engage}"
api_key = "test-engage-key"
default_contact_type = "Member"
default_point_definition = "1"
[[auth.clients]]
id = "shop"
key_sha256 = ["e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f"]
scopes = ["customer:read"]
[[auth.clients]]
id = "till"
key_sha256 = ["cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11"]
scopes = ["customer:read"]
"#
    )
}
