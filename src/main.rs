//! The command line: parses the command, runs it and reports how it ended.

mod process;

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use engage_bff::{
    app::{App, Status, check_online, check_token},
    config::{Config, layers},
    telemetry,
};
use jiff::Timestamp;

/// Returns fragmented pages to the system, which matters for a cache that fills and empties: see docs/PERFORMANCE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most bytes that are read from standard input: more than any token has.
const MAX_INPUT: u64 = 64 * 1024;

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
        /// A TOML file that overrides the defaults; environment variables override both.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Print the effective configuration with secrets masked, or every mistake with its remedy.
    CheckConfig {
        /// A TOML file that overrides the defaults; environment variables override both.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Also call Engage, the token issuer, Redis and the collector of traces, and print the result of each check
        /// instead.
        #[arg(long)]
        online: bool,
        /// Print the results of the checks as JSON.
        #[arg(long, requires = "online")]
        json: bool,
    },
    /// Check a shopper's token, read from standard input, as a request with it would be checked.
    CheckToken {
        /// A TOML file that overrides the defaults; environment variables override both.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The time for which the token is checked, such as 2026-11-30T12:00:00Z; now by default.
        #[arg(long)]
        at: Option<Timestamp>,
    },
    /// Check whether the service on this machine is alive: for container health checks.
    Healthcheck {
        /// A TOML file that overrides the defaults; environment variables override both.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { config } => process::serve(config),
        Command::CheckConfig {
            config,
            online,
            json,
        } => process::load(config.as_deref()).and_then(|config| check(&config, online, json)),
        Command::CheckToken { config, at } => {
            process::load(config.as_deref()).and_then(|config| report_token(&config, at))
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

#[tokio::main(flavor = "current_thread")]
async fn check(config: &Config, online: bool, json: bool) -> Result<(), anyhow::Error> {
    // With `--online` this is one of the checks.
    let fewer = if online {
        None
    } else {
        process::dry_run(config)?
    };
    App::dry_run(config).await?;
    let mut stderr = std::io::stderr();
    for warning in config.warnings() {
        writeln!(stderr, "warning: {warning}")?;
    }
    if let Some(left) = fewer {
        let what = "is more than the limit of open files allows";
        let remedy = "raise the limit: check-config --online says to what";
        writeln!(
            stderr,
            "warning: server.max_connections: {what}: {left}; {remedy}"
        )?;
    }
    if !online {
        return print(config);
    }
    if let Some(advice) = config.advice_about_unique() {
        writeln!(stderr, "advice: {advice}")?;
    }
    report(config, json).await
}

/// Prints the result of every check. Fails if one failed.
async fn report(config: &Config, json: bool) -> Result<(), anyhow::Error> {
    let descriptors = process::raise_descriptors();
    let report = check_online(config, descriptors).await?;
    let text = if json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report.to_string()
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let failed = report.count(Status::Failed);
    anyhow::ensure!(failed == 0, "{failed} of the checks failed");
    Ok(())
}

/// Reads the token from standard input: other users of the machine could read an argument. Fails if the token would be
/// refused.
#[tokio::main(flavor = "current_thread")]
async fn report_token(config: &Config, at: Option<Timestamp>) -> Result<(), anyhow::Error> {
    let mut token = String::new();
    std::io::stdin()
        .take(MAX_INPUT)
        .read_to_string(&mut token)
        .context("the token can't be read from standard input")?;
    let token = token.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let report = check_token(config, token, at).await?;
    std::io::stdout().write_all(report.to_string().as_bytes())?;
    anyhow::ensure!(report.is_accepted(), "the token is not accepted");
    Ok(())
}

fn print(config: &Config) -> Result<(), anyhow::Error> {
    let text = toml::to_string_pretty(config).context("the configuration can't be printed")?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Sends `GET /livez` to the operations listener, which answers even while the data listener has all its connections in
/// use. Reads the configuration without checking it, because only the listener's address is needed.
#[tokio::main(flavor = "current_thread")]
async fn healthcheck(file: Option<&Path>) -> Result<(), anyhow::Error> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = layers::operations_listen(file, &process::environment())?;
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let addresses: Vec<IpAddr> = match address.ip() {
        // A listener at `[::]` accepts IPv4 too; without IPv6 on the machine, it accepts IPv4 alone.
        ip if ip.is_unspecified() && ip.is_ipv6() => vec![v6, v4],
        ip if ip.is_unspecified() => vec![v4],
        ip => vec![ip],
    };
    let addresses: Vec<_> = addresses
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect();
    let request = async {
        let mut stream = tokio::net::TcpStream::connect(&addresses[..]).await?;
        let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head).await?;
        let mut response = Vec::new();
        stream.take(4096).read_to_end(&mut response).await?;
        Ok::<_, std::io::Error>(response)
    };
    let response = tokio::time::timeout(Duration::from_secs(2), request)
        .await
        .context("no response in time")?
        .with_context(|| format!("can't connect to {address}"))?;
    anyhow::ensure!(
        response.starts_with(b"HTTP/1.1 200 "),
        "the service is not alive"
    );
    Ok(())
}
