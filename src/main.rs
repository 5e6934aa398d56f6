//! The command line: which command, and what it says at its end.

mod process;

use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use engage_bff::{app::App, config::Config, telemetry};

/// A cache that fills and empties leaves holes, which this one gives back: docs/PERFORMANCE.md has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A caching backend-for-frontend for Voyado Engage.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve {
        /// A TOML file laid over the defaults; the environment is laid over both.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Print the effective configuration, secrets masked, or every mistake with its remedy.
    CheckConfig {
        /// A TOML file laid over the defaults; the environment is laid over both.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Ask the service on this machine whether it is alive: for container health checks.
    Healthcheck {
        /// A TOML file laid over the defaults; the environment is laid over both.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { config } => process::serve(config),
        Command::CheckConfig { config } => {
            load(config.as_deref()).and_then(|config| check(&config))
        }
        Command::Healthcheck { config } => healthcheck(config.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::last_word(&format!("{error:#}\n"), telemetry::LAST_WORD);
            ExitCode::FAILURE
        }
    }
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        // What is no text is reported with its key instead of left out.
        .filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        })
        .collect()
}

fn load(file: Option<&Path>) -> Result<Config, anyhow::Error> {
    Ok(Config::load(file, &environment())?)
}

#[tokio::main(flavor = "current_thread")]
async fn check(config: &Config) -> Result<(), anyhow::Error> {
    process::rehearse(config)?;
    App::rehearse(config).await?;
    for warning in config.warnings() {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    print(config)
}

fn print(config: &Config) -> Result<(), anyhow::Error> {
    let text = toml::to_string_pretty(config).context("the configuration can't be printed")?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Asks the operations listener, which answers however many callers there are. Needs no more of the configuration than
/// where it is.
#[tokio::main(flavor = "current_thread")]
async fn healthcheck(file: Option<&Path>) -> Result<(), anyhow::Error> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let config = engage_bff::config::layers::read(file, &environment())?;
    let address: SocketAddr = config.operations.listen;
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let at: Vec<IpAddr> = match address.ip() {
        // All addresses are those of IPv4 too, and these alone where the machine has no IPv6.
        ip if ip.is_unspecified() && ip.is_ipv6() => vec![v6, v4],
        ip if ip.is_unspecified() => vec![v4],
        ip => vec![ip],
    };
    let at: Vec<_> = at
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect();
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(&at[..]).await?;
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), ask)
        .await
        .context("no answer in time")?
        .with_context(|| format!("{address} can't be asked"))?;
    anyhow::ensure!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "the service is not alive"
    );
    Ok(())
}
