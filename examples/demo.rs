//! The service and a pretend Engage, both on loopback, with ready-made curl lines to try them. Stays
//! up until Ctrl-C.
//!
//! ```sh
//! cargo run --release --example demo
//! ```

use std::{collections::BTreeMap, io::Write, net::SocketAddr, path::Path, time::Duration};

use engage_bff::{app::App, clock::Clock, config::Config, telemetry};
use engage_simulator::{Simulator, SimulatorClock, people};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const ENGAGE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8090);
const CONTACTS: usize = 2000;
/// The trap that the service exists to avoid: Engage's overview shows changes this much later.
const OVERVIEW_LAG: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), anyhow::Error> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml");
    let mut config = Config::load(Some(&file), &BTreeMap::new())?;
    let _log = telemetry::start(&config.telemetry, std::io::stderr())?;

    let engage = Simulator::builder()
        .seed(7)
        .contacts(CONTACTS)
        .api_key("demo-engage-key")
        .clock(SimulatorClock::system())
        .overview_lag(OVERVIEW_LAG)
        .listen(free_or_any(ENGAGE).await)
        .start()
        .await?;
    config.engage.base_url = engage.base_url();
    config.server.listen = free_or_any(config.server.listen).await;

    let app = App::build(&config, Clock::system()).await?;
    let tour = tour(&format!("http://{}", app.local_addr()), &engage.base_url());
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

/// The documented address where it is free, else any free port beside it.
async fn free_or_any(documented: SocketAddr) -> SocketAddr {
    match TcpListener::bind(documented).await {
        Ok(_) => documented,
        Err(_) => SocketAddr::new(documented.ip(), 0),
    }
}

/// What to try, as lines for a shell.
fn tour(bff: &str, engage: &str) -> String {
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
         pretend Engage  {engage}   ({CONTACTS} invented contacts; its overview lags {lag} s)\n\
         \n{}\n\
         Ctrl-C ends both.",
        steps.join("\n")
    )
}
