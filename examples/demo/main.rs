//! The service and the Engage simulator on loopback, with curl commands to try. Runs until Ctrl-C.
//!
//! ```sh
//! cargo run --release --example demo
//! ```

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use engage_bff::{app::App, clock::Clock, config::Config, telemetry};
use engage_simulator::{Simulator, SimulatorClock, fixtures};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Compiled in, so that the demo runs from any directory.
const CONFIG: &str = include_str!("../../config/demo.toml");
const CONTACTS: usize = 2000;
/// How late the simulated overview shows changes, which the service must hide from callers.
const OVERVIEW_LAG: Duration = Duration::from_secs(60);

/// The service and the Engage simulator on loopback. An address in use is replaced by a free one.
#[derive(Clone, Debug, Parser)]
struct Addresses {
    /// The data listener of the service.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The operations listener of the service.
    #[arg(long, default_value = "127.0.0.1:9090")]
    operations: SocketAddr,
    /// The Engage simulator.
    #[arg(long, default_value = "127.0.0.1:8090")]
    engage: SocketAddr,
}

/// The started simulator and service.
struct Demo {
    engage: Simulator,
    app: App,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Addresses::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, nothing is left to do.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(wanted: &Addresses) -> Result<(), anyhow::Error> {
    let config = Config::parse(CONFIG)?;
    let _log = telemetry::start(&config.telemetry, std::io::stderr())?;
    let Demo { engage, app } = start(config, wanted).await?;
    let tour = tour(
        &format!("http://{}", app.local_addr()),
        &format!("http://{}", app.operations_addr()),
        &engage.base_url(),
    );
    writeln!(std::io::stdout(), "{tour}")?;

    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // If the signal can't be handled, the demo ends at once instead of never.
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });
    app.run(shutdown).await?;
    engage.shutdown().await;
    Ok(())
}

/// Starts both at the wanted addresses, or on free ports.
async fn start(mut config: Config, wanted: &Addresses) -> Result<Demo, anyhow::Error> {
    let engage = Simulator::builder()
        .seed(7)
        .contacts(CONTACTS)
        .api_key("demo-engage-key")
        .clock(SimulatorClock::system())
        .overview_lag(OVERVIEW_LAG)
        .listen(free_or_any(wanted.engage).await)
        .start()
        .await?;
    config.engage.base_url = engage.base_url();
    config.server.listen = free_or_any(wanted.listen).await;
    config.operations.listen = match wanted.operations {
        // Not bound yet, but already assigned.
        taken if taken == config.server.listen => SocketAddr::new(taken.ip(), 0),
        wanted => free_or_any(wanted).await,
    };
    let app = App::build(&config, Clock::system()).await?;
    Ok(Demo { engage, app })
}

/// The wanted address if it is free, else the same IP with port 0.
async fn free_or_any(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

/// The addresses, and commands to try in a shell.
fn tour(bff: &str, operations: &str, engage: &str) -> String {
    let steps = steps(bff, engage);
    let steps: Vec<_> = steps
        .iter()
        .map(|(what, line)| format!("# {what}\n{line}\n"))
        .collect();
    let lag = OVERVIEW_LAG.as_secs();
    format!(
        "engage-bff        {bff}\n\
         operations        {operations}   (/metrics, /readyz)\n\
         Engage simulator  {engage}   ({CONTACTS} invented contacts; its overview lags {lag} s)\n\
         \n{}\n\
         Ctrl-C stops both.",
        steps.join("\n")
    )
}

/// The commands to try in a shell, each with what it shows.
fn steps(bff: &str, engage: &str) -> Vec<(&'static str, String)> {
    let alva = fixtures::ALVA;
    let shop = "curl -si -H 'X-Api-Key: demo-shop-key'";
    let till = "curl -si -H 'X-Api-Key: demo-till-key'";
    let escaped = alva.phone.replace('+', "%2B");
    let post = |path: &str, body: &str| {
        format!("{till} -H 'Content-Type: application/json' {bff}/customer/{path} -d '{body}'")
    };
    let body = |kind: &str, value: &str| post("lookup", &format!("{{\"{kind}\":\"{value}\"}}"));
    vec![
        (
            "By contact id: a miss, then (run it twice) a hit",
            format!("{shop} '{bff}/customer?contactId={}'", alva.id),
        ),
        (
            "By e-mail",
            format!("{shop} '{bff}/customer?email={}'", alva.email),
        ),
        (
            "By phone; + is written %2B in a URL",
            format!("{shop} '{bff}/customer?mobilePhone={escaped}'"),
        ),
        (
            "By member number",
            format!("{shop} '{bff}/customer?customKey={}'", alva.member_number),
        ),
        (
            "By national id: in the body only, and only for the till",
            body("socialSecurityNumber", alva.national_id),
        ),
        (
            "By any identifier: the service finds out which",
            body("any", alva.email),
        ),
        (
            "Points, fresh from Engage",
            format!("{shop} '{bff}/customer?email={}&fresh=points'", alva.email),
        ),
        (
            "For a content panel on every page view: profile and audiences only",
            format!("{shop} '{bff}/customer?email={}&parts=none'", alva.email),
        ),
        (
            "What expires within sixty days",
            format!(
                "{shop} '{bff}/customer?email={}&expiringWithin=60d'",
                alva.email
            ),
        ),
        (
            "An unknown contact: 404",
            format!("{shop} '{bff}/customer?email=unknown@example.com'"),
        ),
        (
            "An address of two contacts: 409; the till is sent which ones",
            format!("{till} '{bff}/customer?email={}'", fixtures::DORA.email),
        ),
        (
            "Why points are pending: a contact's history",
            format!(
                "{till} '{bff}/customer?contactId={}&parts=pointTransactions&limit=3'",
                alva.id
            ),
        ),
        (
            "Several customers at once, each in a line as it becomes known",
            post(
                "batch",
                &format!(
                    "{{\"lookups\":[{{\"email\":\"{}\"}},{{\"email\":\"unknown@example.com\"}}]}}",
                    alva.email
                ),
            ),
        ),
        (
            "The till has just redeemed a voucher: what is cached of vouchers is not served any more",
            post(
                "changed",
                &format!("{{\"contactId\":\"{}\",\"parts\":[\"vouchers\"]}}", alva.id),
            ),
        ),
        (
            "No key: 401",
            format!("curl -si '{bff}/customer?email={}'", alva.email),
        ),
        (
            "Change the points in Engage, then look up without (old) and with fresh=points (new)",
            format!(
                "curl -s {engage}/control/contacts/{} -d '[{{\"points\":\"742.25\"}}]'",
                alva.id
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that is in use until the listener is dropped.
    async fn taken() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    async fn start_at(wanted: &Addresses) -> Demo {
        let config = Config::parse(CONFIG).expect("a valid configuration");
        start(config, wanted).await.expect("it starts")
    }

    #[tokio::test]
    async fn address_in_use_is_replaced_and_the_tour_shows_the_new_one() {
        let (_one, listen) = taken().await;
        let (_two, operations) = taken().await;
        let (_three, engage) = taken().await;
        let wanted = Addresses {
            listen,
            operations,
            engage,
        };
        let demo = start_at(&wanted).await;
        let chosen = [demo.app.local_addr(), demo.app.operations_addr()];
        let base = demo.engage.base_url();
        let tour = tour(
            &format!("http://{}", chosen[0]),
            &format!("http://{}", chosen[1]),
            &base,
        );
        for address in [listen, operations, engage] {
            assert!(!chosen.contains(&address) && !base.ends_with(&address.to_string()));
            assert!(!tour.contains(&address.to_string()), "{tour}");
        }
        for address in chosen {
            assert!(tour.contains(&format!("http://{address}")), "{tour}");
        }
        assert!(tour.contains(&base), "{tour}");
    }

    #[tokio::test]
    async fn free_address_is_used_from_any_directory() {
        let folder = tempfile::tempdir().expect("a directory");
        std::env::set_current_dir(folder.path()).expect("it exists");
        let (listener, listen) = taken().await;
        drop(listener);
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let wanted = Addresses {
            listen,
            operations: any,
            engage: any,
        };
        assert_eq!(start_at(&wanted).await.app.local_addr(), listen);
    }

    #[tokio::test]
    async fn address_wanted_twice_is_used_once() {
        let (listener, one) = taken().await;
        drop(listener);
        let wanted = Addresses {
            listen: one,
            operations: one,
            engage: ([127, 0, 0, 1], 0).into(),
        };
        let demo = start_at(&wanted).await;
        assert_eq!(demo.app.local_addr(), one);
        assert_ne!(demo.app.operations_addr(), one);
    }

    #[test]
    fn default_addresses_are_those_of_the_documents() {
        let wanted = Addresses::parse_from(["demo"]);
        let documented = [wanted.listen, wanted.operations, wanted.engage];
        let documented = documented.map(|address| address.to_string());
        assert_eq!(
            documented,
            ["127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:8090"]
        );
    }
}
