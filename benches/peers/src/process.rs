//! A server as a process of its own, pinned to cores, with what the kernel reports about it.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use crate::Failure;

/// The kernel's unit of processor time: a hundredth of a second on every Linux.
const TICK_MICROS: u64 = 10_000;
const LONGEST_START: Duration = Duration::from_secs(20);

/// Processor time of a server and of its descendants, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) user: u64,
    pub(crate) kernel: u64,
}

impl Cpu {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            kernel: self.kernel.saturating_sub(earlier.kernel),
        }
    }
}

/// A server; ended when it is dropped, or by the kernel if this process dies first.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on these cores. Its output goes to a file next to its configuration.
    pub(crate) fn start(
        cores: &str,
        address: SocketAddr,
        log: &Path,
        program: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let out = File::create(log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "--cpu-list", cores])
            .args(program)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, address })
    }

    /// Waits until it accepts connections.
    pub(crate) async fn ready(mut self) -> Result<Self, Failure> {
        let started = Instant::now();
        loop {
            let connecting = TcpStream::connect(self.address);
            if matches!(timeout(LONGEST_START, connecting).await, Ok(Ok(_))) {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("a server exited during start-up, {status}").into());
            }
            if started.elapsed() > LONGEST_START {
                return Err(format!("no server listens on {}", self.address).into());
            }
            sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let processes = processes();
        let own = family(&processes, self.child.id());
        let ticks = own.iter().filter_map(|id| processes.get(id));
        ticks.fold(Cpu::default(), |sum, process| Cpu {
            user: sum.user + process.user * TICK_MICROS,
            kernel: sum.kernel + process.kernel * TICK_MICROS,
        })
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.ok_or("no VmRSS")?.trim().parse()?;
        Ok(kibibytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut own = family(&processes(), self.child.id());
        own.insert(self.child.id());
        // The processes may have ended already.
        let _ = Command::new("kill")
            .arg("-KILL")
            .args(own.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

/// An address on loopback that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

struct Process {
    parent: u32,
    user: u64,
    kernel: u64,
}

fn processes() -> HashMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, read(id)?))).collect()
}

/// The fields of `/proc/…/stat` after the command's name, which may contain any character.
fn read(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        user: fields.get(11)?.parse().ok()?,
        kernel: fields.get(12)?.parse().ok()?,
    })
}

/// The process and its descendants.
fn family(processes: &HashMap<u32, Process>, root: u32) -> HashSet<u32> {
    let mut family = HashSet::from([root]);
    loop {
        let before = family.len();
        let children = processes.iter();
        let children = children.filter(|(_, process)| family.contains(&process.parent));
        let children: Vec<u32> = children.map(|(id, _)| *id).collect();
        family.extend(children);
        if family.len() == before {
            return family;
        }
    }
}
