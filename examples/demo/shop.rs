//! A small shop in front of the service: pages, one for each job, and what a shop's own backend does for them.
//!
//! - Pages of shoppers call the service themselves, from another origin, with the tokens of the shop's [`Issuer`].
//! - A till and a service desk have a key, which no page may know: the shop's backend adds it ([`relay`]).
//! - Engage's webhooks go through the backend ([`push`]), which lets open pages know once the service has applied them.
//! - The backstage drawer of each page changes the world in the simulator of Engage, by the same relay.

mod issuer;
mod pages;
mod push;
mod relay;

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::StatusCode,
    routing::{any, get, post},
};
use engage_simulator::fixtures;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use self::issuer::{AUDIENCE, ISSUER, Issuer};
use self::{
    push::{Push, Webhooks},
    relay::Relay,
};

/// The key of the till and the service desk, in `config/demo.toml`.
const TILL_KEY: &str = "demo-till-key";

/// Where the shop's backend finds the others: base URLs without a path.
pub(crate) struct Links {
    /// The service, for callers.
    pub(crate) bff: String,
    /// The simulator of Engage.
    pub(crate) engage: String,
}

/// What the handlers share.
#[derive(Clone, FromRef)]
struct Shop {
    issuer: Issuer,
    push: Push,
    webhooks: Webhooks,
    facts: Facts,
}

/// What pages need to know.
#[derive(Clone, Serialize)]
struct Facts {
    bff: String,
    shoppers: Vec<Shopper>,
}

/// One of those who can log in.
#[derive(Clone, Serialize)]
struct Shopper {
    name: &'static str,
    id: &'static str,
    email: &'static str,
    about: &'static str,
}

/// Serves the shop until shutdown.
pub(crate) async fn serve(
    listener: TcpListener,
    links: Links,
    issuer: Issuer,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let push = Push::default();
    let till = Relay::new(format!("{}/customer", links.bff)).with_key(TILL_KEY);
    let backstage = Relay::new(format!("{}/control", links.engage));
    let webhooks = Webhooks::new(&links.bff, push.clone());
    let shop = Shop {
        issuer,
        push: push.clone(),
        webhooks,
        facts: Facts {
            bff: links.bff.clone(),
            shoppers: shoppers(),
        },
    };
    let router = Router::new()
        .merge(pages::router(&links.bff))
        .route("/facts", get(facts))
        .route("/login", post(login))
        .route("/push", get(push::events))
        .route("/webhooks/engage", post(push::deliver))
        .with_state(shop)
        // The paths of the service, so that its client works with this address too.
        .route(
            "/till/customer/{*rest}",
            any(relay::relay).with_state(till.clone()),
        )
        .route("/till/customer", any(relay::relay).with_state(till))
        .route(
            "/backstage/{*rest}",
            any(relay::relay).with_state(backstage),
        );
    let ended = async move {
        shutdown.cancelled().await;
        push.end();
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(ended)
        .await
}

fn shoppers() -> Vec<Shopper> {
    let shopper = |name, contact: fixtures::FixtureContact, about| Shopper {
        name,
        id: contact.id,
        email: contact.email,
        about,
    };
    vec![
        shopper("Alva", fixtures::ALVA, "a gold member with everything"),
        shopper("Bo", fixtures::BO, "has an address and nothing else"),
        shopper("Cim", fixtures::CIM, "has a protected identity"),
    ]
}

async fn facts(State(facts): State<Facts>) -> Json<Facts> {
    Json(facts)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    contact_id: String,
}

/// Logs a shopper in; a real shop would ask for more than a name.
async fn login(
    State(shop): State<Shop>,
    Json(login): Json<Login>,
) -> Result<Json<serde_json::Value>, StatusCode> {
    let is_known = |shopper: &&Shopper| shopper.id == login.contact_id;
    let shopper = shop.facts.shoppers.iter().find(is_known);
    let shopper = shopper.ok_or(StatusCode::NOT_FOUND)?;
    let token = shop.issuer.token(shopper.id);
    let token = token.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(
        serde_json::json!({ "token": token, "name": shopper.name }),
    ))
}
