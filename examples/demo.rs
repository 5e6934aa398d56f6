//! The service and a pretend Engage, both on loopback, with ready-made curl lines to try them. Stays
//! up until Ctrl-C.
//!
//! ```sh
//! cargo run --release --example demo
//! ```

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use engage_bff::{app::App, clock::Clock, config::Config, telemetry};
use engage_simulator::{Simulator, SimulatorClock, people};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// In the program, so that it runs from any folder.
const CONFIG: &str = include_str!("../config/demo.toml");
const CONTACTS: usize = 2000;
/// The trap that the service exists to avoid: Engage's overview shows changes this much later.
const OVERVIEW_LAG: Duration = Duration::from_secs(60);

/// The service and a pretend Engage, both on loopback. An address that is taken is replaced by a free one.
#[derive(Clone, Debug, Parser)]
struct Addresses {
    /// Where the service answers.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where its operations listener is.
    #[arg(long, default_value = "127.0.0.1:9090")]
    operations: SocketAddr,
    /// Where the pretend Engage is.
    #[arg(long, default_value = "127.0.0.1:8090")]
    engage: SocketAddr,
}

/// What has been started.
struct Demo {
    engage: Simulator,
    app: App,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Addresses::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this can't be written there is nothing left to do.
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
        // Without a signal to wait for, the demo ends at once instead of never.
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });
    app.run(shutdown).await?;
    engage.shutdown().await;
    Ok(())
}

/// Starts both where that was wanted, or else on free ports.
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
        // Not bound yet, and no longer free.
        taken if taken == config.server.listen => SocketAddr::new(taken.ip(), 0),
        wanted => free_or_any(wanted).await,
    };
    let app = App::build(&config, Clock::system()).await?;
    Ok(Demo { engage, app })
}

/// The wanted address where it is free, else any free port beside it.
async fn free_or_any(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

/// What to try, as lines for a shell.
fn tour(bff: &str, operations: &str, engage: &str) -> String {
    let alva = people::ALVA;
    let shop = "curl -si -H 'X-Api-Key: demo-shop-key'";
    let till = "curl -si -H 'X-Api-Key: demo-till-key'";
    let escaped = alva.phone.replace('+', "%2B");
    let body = |kind: &str, value: &str| {
        format!(
            "{till} -H 'Content-Type: application/json' {bff}/customer/lookup -d '{{\"{kind}\":\"{value}\"}}'"
        )
    };
    let steps = [
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
        ("By whatever the customer says", body("any", alva.email)),
        (
            "Points as they are now",
            format!("{shop} '{bff}/customer?email={}&fresh=points'", alva.email),
        ),
        (
            "For a content panel on every page view: profile and audiences only",
            format!("{shop} '{bff}/customer?email={}&parts=none'", alva.email),
        ),
        (
            "What lapses within sixty days",
            format!(
                "{shop} '{bff}/customer?email={}&expiringWithin=60d'",
                alva.email
            ),
        ),
        (
            "Nobody: 404",
            format!("{shop} '{bff}/customer?email=nobody@example.com'"),
        ),
        (
            "Two who share an address: 409",
            format!("{shop} '{bff}/customer?email={}'", people::DORA.email),
        ),
        (
            "No key: 401",
            format!("curl -si '{bff}/customer?email={}'", alva.email),
        ),
        (
            "Change the points in Engage, then ask plainly (old) and with fresh=points (new)",
            format!(
                "curl -s {engage}/control/contacts/{} -d '[{{\"points\":\"742.25\"}}]'",
                alva.id
            ),
        ),
    ];
    let steps = steps.map(|(what, line)| format!("# {what}\n{line}\n"));
    let lag = OVERVIEW_LAG.as_secs();
    format!(
        "engage-bff      {bff}\n\
         operations      {operations}   (/metrics, /readyz)\n\
         pretend Engage  {engage}   ({CONTACTS} invented contacts; its overview lags {lag} s)\n\
         \n{}\n\
         Ctrl-C ends both.",
        steps.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that is taken as long as the listener lives.
    async fn taken() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    async fn start_at(wanted: &Addresses) -> Demo {
        let config = Config::parse(CONFIG).expect("valid");
        start(config, wanted).await.expect("it starts")
    }

    #[tokio::test]
    async fn each_address_that_is_taken_is_replaced_and_the_tour_names_what_was_chosen() {
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
    async fn an_address_that_is_free_is_taken_and_the_folder_does_not_matter() {
        let folder = tempfile::tempdir().expect("a folder");
        std::env::set_current_dir(folder.path()).expect("it is there");
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
    async fn one_address_for_all_is_given_to_one_of_them() {
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
    fn the_addresses_are_those_of_the_documents() {
        let wanted = Addresses::parse_from(["demo"]);
        let documented = [wanted.listen, wanted.operations, wanted.engage];
        let documented = documented.map(|address| address.to_string());
        assert_eq!(
            documented,
            ["127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:8090"]
        );
    }
}
