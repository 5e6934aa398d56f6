//! The connections to the server: one for operations, one for reading the stream, which blocks.
//!
//! Both are the crate's `MultiplexedConnection`: replies belong to commands by their order, and the reply to a command
//! whose caller has gone is dropped in its turn, so it never reaches another one. The crate's own connection managers
//! are not used: they connect again by themselves, to whatever answers, and an epoch would not notice.
//!
//! - Nothing is tried again here, and nothing is limited in time except the answers of sentinels.
//! - A connection that broke stays broken until [`Link::connect`].
//! - RESP2: every reply answers a command. RESP3 adds replies that answer none, which nothing here needs, and requires
//!   `HELLO`, which some proxies of managed services lack.

mod failure;
mod open;
mod sentinel;
mod tls;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use redis::{Cmd, ScriptInvocation, Value, aio::MultiplexedConnection};
use secrecy::SecretString;

pub use self::{failure::ConnectFailure, tls::Tls};
use self::{failure::backend_error, open::Pair};
use crate::shared_tier::protocol::BackendError;

/// Where the server is, and how to connect to it.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Where it is.
    pub server: Server,
    /// How connections are encrypted; `None`: they are not.
    pub tls: Option<Tls>,
    /// The user at the server.
    pub user: User,
    /// The number of the database.
    pub database: u32,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Server {
    /// At an address.
    At(ServerAddress),
    /// Where the sentinels say.
    Sentinels {
        /// The sentinels.
        addresses: Vec<ServerAddress>,
        /// The name that they have for the server.
        service: String,
        /// The user at the sentinels.
        user: User,
    },
}

/// A host name or an IP address (without brackets), and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A user. Without a password there is no authentication.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The name; `None`: the default user.
    pub name: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// The connections. See the module.
pub struct Link {
    config: Mutex<LinkConfig>,
    pair: Mutex<Option<Pair>>,
}

impl Link {
    /// Connections that are not opened yet.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config: Mutex::new(config),
            pair: Mutex::default(),
        }
    }

    /// Closes the connections and opens new ones, to a primary. This takes a name server's reply, a TCP and a TLS
    /// handshake, two or three round trips, and with sentinels the same again: give it a second.
    pub async fn connect(&self) -> Result<(), BackendError> {
        self.connect_or_explain()
            .await
            .map_err(ConnectFailure::into_backend_error)
    }

    /// The same, with the reason of a failure.
    pub async fn connect_or_explain(&self) -> Result<(), ConnectFailure> {
        self.drop_connections();
        let config = self.config().clone();
        let address = match &config.server {
            Server::At(address) => address.clone(),
            Server::Sentinels {
                addresses,
                service,
                user,
            } => sentinel::primary(addresses, service, user, config.tls.as_ref()).await?,
        };
        let pair = open::pair(&address, &config).await?;
        *self.pair() = Some(pair);
        Ok(())
    }

    /// The next connection uses this configuration.
    pub fn configure(&self, config: LinkConfig) {
        *self.config() = config;
    }

    fn config(&self) -> std::sync::MutexGuard<'_, LinkConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections. What waits for a reply fails with [`BackendError::Unreachable`].
    pub fn drop_connections(&self) {
        // Dropped outside of the lock.
        let pair = self.pair().take();
        drop(pair);
    }

    /// Runs a script; loads it if the server lacks it.
    pub async fn run(&self, invocation: &ScriptInvocation<'_>) -> Result<Value, BackendError> {
        let mut connection = self.connection(Pair::operations)?;
        let result = invocation.invoke_async(&mut connection).await;
        result.map_err(|error| backend_error(&error))
    }

    /// Runs a command.
    pub async fn command(&self, command: &Cmd) -> Result<Value, BackendError> {
        query(command, self.connection(Pair::operations)?).await
    }

    /// Runs a command on the connection for reading the stream, which may block it. If the caller leaves before it has
    /// ended, the next command there waits for that end.
    pub async fn read(&self, command: &Cmd) -> Result<Value, BackendError> {
        query(command, self.connection(Pair::stream)?).await
    }

    fn connection(
        &self,
        of: impl FnOnce(&Pair) -> MultiplexedConnection,
    ) -> Result<MultiplexedConnection, BackendError> {
        self.pair()
            .as_ref()
            .map(of)
            .ok_or(BackendError::Unreachable)
    }

    fn pair(&self) -> std::sync::MutexGuard<'_, Option<Pair>> {
        self.pair.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("config", &*self.config())
            .finish_non_exhaustive()
    }
}

async fn query(
    command: &Cmd,
    mut connection: MultiplexedConnection,
) -> Result<Value, BackendError> {
    let result = command.query_async(&mut connection).await;
    result.map_err(|error| backend_error(&error))
}
