//! A small shop, the service and the Engage simulator on loopback: pages to open in a browser, and curl commands to try.
//! Runs until Ctrl-C.
//!
//! ```sh
//! cargo run --release --example demo
//! ```

mod shop;
mod tour;

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use engage_bff::{app::App, clock::Clock, config::Config, telemetry};
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, Simulator, SimulatorClock, WebhookTarget};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    shop::{Issuer, Links},
    tour::tour,
};

/// Compiled in, so that the demo runs from any directory.
const CONFIG: &str = include_str!("../../config/demo.toml");
const CONTACTS: usize = 2000;
/// How late the simulated overview shows changes, which the service must hide from callers.
const OVERVIEW_LAG: Duration = Duration::from_secs(60);

/// A shop, the service and the Engage simulator on loopback. An address in use is replaced by a free one.
#[derive(Clone, Debug, Parser)]
struct Addresses {
    /// The shop's pages.
    #[arg(long, default_value = "127.0.0.1:8000")]
    shop: SocketAddr,
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

/// Everything that was started. Only the simulator serves already.
struct Demo {
    engage: Simulator,
    app: App,
    shop: TcpListener,
    issuer: Issuer,
    /// Contains the issuer's public key until the demo ends.
    _keys: TempDir,
}

/// The base URL of each server.
struct Started {
    shop: String,
    bff: String,
    operations: String,
    engage: String,
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
    let _log = telemetry::start(&Config::parse(CONFIG)?.telemetry, std::io::stderr())?;
    let demo = start(wanted).await?;
    let started = demo.started()?;
    writeln!(std::io::stdout(), "{}", tour(&started))?;

    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // If the signal can't be handled, the demo ends at once instead of never.
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });
    let links = Links {
        bff: started.bff,
        engage: started.engage,
    };
    let serving = shop::serve(demo.shop, links, demo.issuer, shutdown.clone());
    let serving = tokio::spawn(serving);
    demo.app.run(shutdown).await?;
    serving.await??;
    demo.engage.shutdown().await;
    Ok(())
}

/// Starts everything at the wanted addresses, or on free ports.
async fn start(wanted: &Addresses) -> Result<Demo, anyhow::Error> {
    let engage = Simulator::builder()
        .seed(7)
        .contacts(CONTACTS)
        .api_key("demo-engage-key")
        .clock(SimulatorClock::system())
        .overview_lag(OVERVIEW_LAG)
        .listen(free_or_any(wanted.engage).await)
        .start()
        .await?;
    let shop = TcpListener::bind(free_or_any(wanted.shop).await).await?;
    let issuer = Issuer::new()?;
    let keys = tempfile::tempdir().context("a directory for the issuer's key")?;
    let mut config = config(&issuer, &keys)?;
    let port = shop.local_addr()?.port();
    config.server.cors_origins = ["127.0.0.1", "localhost"]
        .map(|host| format!("http://{host}:{port}"))
        .to_vec();
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.to_owned().into()];
    // Through the shop, which passes them on.
    engage.webhooks_to(Some(WebhookTarget {
        url: format!("http://127.0.0.1:{port}/webhooks/engage"),
        secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
        encryption_key: None,
    }));
    config.engage.base_url = engage.base_url();
    config.server.listen = free_or_any(wanted.listen).await;
    config.operations.listen = match wanted.operations {
        // Not bound yet, but already assigned.
        taken if taken == config.server.listen => SocketAddr::new(taken.ip(), 0),
        wanted => free_or_any(wanted).await,
    };
    let app = App::build(&config, Clock::system()).await?;
    Ok(Demo {
        engage,
        app,
        shop,
        issuer,
        _keys: keys,
    })
}

/// The demo's configuration, with the shop's issuer of tokens.
fn config(issuer: &Issuer, folder: &TempDir) -> Result<Config, anyhow::Error> {
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, issuer.published()).context("the issuer's key")?;
    let (name, audience) = (shop::ISSUER, shop::AUDIENCE);
    let config = format!(
        "{CONFIG}
         [auth.jwt]
         issuer = '{name}'
         audience = '{audience}'
         algorithms = ['ES256']
         jwks_file = '{}'
         contact_id_claim = 'contact_id'
         scope_claim = 'scope'
         max_lifetime = '1h'\n",
        file.display()
    );
    Ok(Config::parse(&config)?)
}

impl Demo {
    fn started(&self) -> std::io::Result<Started> {
        Ok(Started {
            shop: format!("http://{}", self.shop.local_addr()?),
            bff: format!("http://{}", self.app.local_addr()),
            operations: format!("http://{}", self.app.operations_addr()),
            engage: self.engage.base_url(),
        })
    }
}

/// The wanted address if it is free, else the same IP with port 0.
async fn free_or_any(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
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
        start(wanted).await.expect("it starts")
    }

    #[tokio::test]
    async fn address_in_use_is_replaced_and_the_tour_shows_the_new_one() {
        let (_one, listen) = taken().await;
        let (_two, operations) = taken().await;
        let (_three, engage) = taken().await;
        let (_four, shop) = taken().await;
        let wanted = Addresses {
            shop,
            listen,
            operations,
            engage,
        };
        let demo = start_at(&wanted).await;
        let started = demo.started().expect("addresses");
        let tour = tour(&started);
        for address in [shop, listen, operations, engage] {
            assert!(!tour.contains(&address.to_string()), "{tour}");
        }
        let Started {
            shop,
            bff,
            operations,
            engage,
        } = started;
        for address in [shop, bff, operations, engage] {
            assert!(tour.contains(&address), "{tour}");
        }
    }

    #[tokio::test]
    async fn free_address_is_used_from_any_directory() {
        let folder = tempfile::tempdir().expect("a directory");
        std::env::set_current_dir(folder.path()).expect("it exists");
        let (listener, listen) = taken().await;
        drop(listener);
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let wanted = Addresses {
            shop: any,
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
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let wanted = Addresses {
            shop: any,
            listen: one,
            operations: one,
            engage: any,
        };
        let demo = start_at(&wanted).await;
        assert_eq!(demo.app.local_addr(), one);
        assert_ne!(demo.app.operations_addr(), one);
    }

    #[test]
    fn default_addresses_are_those_of_the_documents() {
        let wanted = Addresses::parse_from(["demo"]);
        let documented = [wanted.shop, wanted.listen, wanted.operations, wanted.engage];
        let documented = documented.map(|address| address.to_string());
        assert_eq!(
            documented,
            [
                "127.0.0.1:8000",
                "127.0.0.1:8080",
                "127.0.0.1:9090",
                "127.0.0.1:8090"
            ]
        );
    }
}
