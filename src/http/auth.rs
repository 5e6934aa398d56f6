//! Who is asking. A handler that needs a caller names [`Caller`] in its signature; one that does not
//! cannot have one by accident.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::{constant_time, digest};
use axum::extract::{FromRef, FromRequestParts};
use http::{HeaderMap, HeaderName, header, request::Parts};

use super::error::{ApiError, Code};
use crate::{
    clock::Clock,
    config::{self, Scope},
    customer::answer::View,
    domain::{Channel, ClientName, IdentifierKind},
    rate::Bucket,
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Somebody who may ask.
#[derive(Clone)]
pub(super) struct Caller {
    client: Arc<Client>,
}

impl Caller {
    /// Refuses a caller without the right.
    pub(super) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.has(scope) {
            Ok(())
        } else {
            Err(ApiError::new(Code::Forbidden))
        }
    }

    /// Whether the caller has the right.
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.client.scopes.contains(&scope)
    }

    /// Refuses an identifier that the caller may not ask by.
    pub(super) fn require_identifier(&self, kind: IdentifierKind) -> Result<(), ApiError> {
        if self.client.identifiers.contains(&kind) {
            Ok(())
        } else {
            Err(ApiError::new(Code::Forbidden))
        }
    }

    /// Which of the configured clients it is.
    pub(super) fn client(&self) -> &ClientName {
        &self.client.name
    }

    /// The view of callers that name none.
    pub(super) fn view(&self) -> View {
        self.client.view
    }

    /// The channel of callers that name none.
    pub(super) fn channel(&self) -> Option<Channel> {
        self.client.channel
    }
}

struct Client {
    name: ClientName,
    digests: Vec<[u8; 32]>,
    scopes: Vec<Scope>,
    identifiers: Vec<IdentifierKind>,
    view: View,
    channel: Option<Channel>,
    bucket: Option<Mutex<Bucket>>,
}

/// Knows the clients.
pub struct Authenticator {
    clients: Vec<Arc<Client>>,
    anonymous: Option<Arc<Client>>,
    clock: Clock,
}

impl Authenticator {
    /// The configured clients.
    pub fn new(config: &config::Auth, clock: Clock) -> Self {
        let clients = config
            .clients
            .iter()
            .map(|client| Arc::new(Client::new(client, &clock)))
            .collect();
        let anonymous = config.allow_anonymous.then(|| {
            Arc::new(Client {
                name: ClientName::from("anonymous"),
                digests: Vec::new(),
                scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh],
                identifiers: IdentifierKind::ALL.to_vec(),
                view: View::Storefront,
                channel: None,
                bucket: None,
            })
        });
        Self {
            clients,
            anonymous,
            clock,
        }
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let unauthorized = || ApiError::new(Code::Unauthorized);
        // A token that nobody here can check is no credential, whatever stands beside it.
        if headers.contains_key(header::AUTHORIZATION) {
            return Err(unauthorized());
        }
        let client = match headers.get(&API_KEY) {
            Some(key) => self.client(key.as_bytes()),
            None => self.anonymous.clone(),
        };
        let client = client.ok_or_else(unauthorized)?;
        if let Some(bucket) = &client.bucket {
            let now = self.clock.now().tick;
            bucket
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(now)
                .map_err(|wait| ApiError::new(Code::RateLimited).retry_after(wait))?;
        }
        Ok(Caller { client })
    }

    /// The client that holds the key. Every digest is compared, each in constant time.
    fn client(&self, key: &[u8]) -> Option<Arc<Client>> {
        let shown = digest::digest(&digest::SHA256, key);
        let mut found = None;
        for client in &self.clients {
            for digest in &client.digests {
                if constant_time::verify_slices_are_equal(digest, shown.as_ref()).is_ok() {
                    found = Some(Arc::clone(client));
                }
            }
        }
        found
    }
}

impl Client {
    fn new(client: &config::Client, clock: &Clock) -> Self {
        Self {
            name: ClientName::from(&*client.id),
            digests: client
                .key_sha256
                .iter()
                .filter_map(|hex| from_hex(hex))
                .collect(),
            scopes: client.scopes.clone(),
            identifiers: client.identifiers.clone(),
            view: View::from(client.view),
            channel: client.channel.map(Channel::from),
            bucket: client
                .requests_per_second
                .map(|rate| Mutex::new(Bucket::new(f64::from(rate), rate, clock.now().tick))),
        }
    }
}

impl From<config::View> for View {
    fn from(view: config::View) -> Self {
        match view {
            config::View::Storefront => View::Storefront,
            config::View::Full => View::Full,
        }
    }
}

impl From<config::Channel> for Channel {
    fn from(channel: config::Channel) -> Self {
        match channel {
            config::Channel::Ecom => Channel::Ecom,
            config::Channel::Pos => Channel::Pos,
            config::Channel::Other => Channel::Other,
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Arc<Authenticator>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        <Arc<Authenticator>>::from_ref(state).identify(&parts.headers)
    }
}

/// The 32 bytes of 64 hex digits.
fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
