//! The connections to the server.

use std::sync::{Mutex, PoisonError};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ScriptInvocation, Value,
    aio::MultiplexedConnection,
};

use super::super::protocol::BackendError;

/// Where the server is.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Its URL.
    pub url: String,
}

/// The connections to the server: one for commands, and one for reading the stream.
pub struct Link {
    config: LinkConfig,
    connections: Mutex<Option<Connections>>,
}

#[derive(Clone)]
struct Connections {
    commands: MultiplexedConnection,
    stream: MultiplexedConnection,
}

impl Link {
    /// It is not connected yet.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            connections: Mutex::new(None),
        }
    }

    /// Connects, or connects anew.
    pub async fn connect(&self) -> Result<(), BackendError> {
        let client =
            Client::open(self.config.url.as_str()).map_err(|_| BackendError::Unexpected)?;
        let settings = AsyncConnectionConfig::new().set_response_timeout(None);
        let connect = || async {
            client
                .get_multiplexed_async_connection_with_config(&settings)
                .await
                .map_err(|error| classify(&error))
        };
        let connections = Connections {
            commands: connect().await?,
            stream: connect().await?,
        };
        *self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(connections);
        Ok(())
    }

    fn connections(&self) -> Result<Connections, BackendError> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or(BackendError::Unreachable)
    }

    /// Runs a script.
    pub async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value, BackendError> {
        let mut connection = self.connections()?.commands;
        script
            .invoke_async(&mut connection)
            .await
            .map_err(|error| classify(&error))
    }

    /// Sends a command.
    pub async fn command(&self, command: &Cmd) -> Result<Value, BackendError> {
        let mut connection = self.connections()?.commands;
        command
            .query_async(&mut connection)
            .await
            .map_err(|error| classify(&error))
    }

    /// Sends a command that may wait, on a connection of its own.
    pub async fn read(&self, command: &Cmd) -> Result<Value, BackendError> {
        let mut connection = self.connections()?.stream;
        command
            .query_async(&mut connection)
            .await
            .map_err(|error| classify(&error))
    }
}

fn classify(error: &RedisError) -> BackendError {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return BackendError::Forbidden;
    }
    if error.is_io_error() || error.is_connection_dropped() {
        return BackendError::Unreachable;
    }
    match error.code() {
        Some("EPOCH") => BackendError::Epoch,
        Some("READONLY") => BackendError::ReadOnly,
        Some("OOM" | "MISCONF") => BackendError::Full,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => BackendError::Forbidden,
        _ => BackendError::Unexpected,
    }
}
