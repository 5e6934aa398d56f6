//! Opens connections.

use std::{io, net::SocketAddr};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisResult,
    aio::MultiplexedConnection, cmd,
};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{LinkConfig, ServerAddress, Tls, User, failure::ConnectFailure};

/// More addresses of one host than this are not tried.
const MOST_ADDRESSES: usize = 8;

/// How many commands may wait to be written. Further ones wait for room; each caller limits the time of its command.
const QUEUED_COMMANDS: usize = 256;

/// The connections to one server.
pub(super) struct Pair {
    operations: Connection,
    stream: Connection,
}

impl Pair {
    pub(super) fn operations(&self) -> MultiplexedConnection {
        self.operations.commands.clone()
    }

    pub(super) fn stream(&self) -> MultiplexedConnection {
        self.stream.commands.clone()
    }
}

/// A connection that is closed when this is dropped, whatever waits for its replies.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.commands).await
    }
}

/// Opens both connections to the primary, which is at this address.
pub(super) async fn pair(
    address: &ServerAddress,
    config: &LinkConfig,
) -> Result<Pair, ConnectFailure> {
    let open = |at| pair_at(&address.host, at, config);
    first(addresses(address).await?.into_iter().map(open)).await
}

/// Opens a connection to whatever answers at this address.
pub(super) async fn connection(
    address: &ServerAddress,
    user: &User,
    tls: Option<&Tls>,
) -> Result<Connection, ConnectFailure> {
    let open = |at| connection_at(&address.host, at, user, tls);
    first(addresses(address).await?.into_iter().map(open)).await
}

async fn addresses(address: &ServerAddress) -> Result<Vec<SocketAddr>, ConnectFailure> {
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let found = found.map_err(|_| ConnectFailure::UnknownHost)?;
    let addresses: Vec<_> = found.take(MOST_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(ConnectFailure::UnknownHost);
    }
    Ok(addresses)
}

/// The first that succeeds. All run at once, so that one that hangs delays none.
async fn first<T>(
    attempts: impl Iterator<Item = impl Future<Output = Result<T, ConnectFailure>>>,
) -> Result<T, ConnectFailure> {
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let mut failure = ConnectFailure::UnknownHost;
    while let Some(result) = attempts.next().await {
        match result {
            Ok(opened) => return Ok(opened),
            Err(other) if other.explanatory_rank() >= failure.explanatory_rank() => failure = other,
            Err(_) => {}
        }
    }
    Err(failure)
}

async fn pair_at(host: &str, at: SocketAddr, config: &LinkConfig) -> Result<Pair, ConnectFailure> {
    let open = || async {
        let mut connection = connection_at(host, at, &config.user, config.tls.as_ref()).await?;
        if config.database != 0 {
            select(&mut connection, config.database).await?;
        }
        let server = data_set(&mut connection).await?;
        Ok::<_, ConnectFailure>((connection, server))
    };
    let ((operations, one), (stream, other)) = tokio::try_join!(open(), open())?;
    // A load balancer has led the two connections to different servers.
    if one != other {
        return Err(ConnectFailure::SeveralServers);
    }
    Ok(Pair { operations, stream })
}

async fn connection_at(
    host: &str,
    at: SocketAddr,
    user: &User,
    tls: Option<&Tls>,
) -> Result<Connection, ConnectFailure> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let mut connection = match tls {
        Some(tls) => {
            let name = ServerName::try_from(host.to_owned());
            let name = name.map_err(|_| ConnectFailure::OtherName)?;
            let stream = tls.connector.connect(name, stream).await;
            drive(stream.map_err(handshake_failure)?).await?
        }
        None => drive(stream).await?,
    };
    authenticate(&mut connection, user).await?;
    Ok(connection)
}

/// A server that closes the connection during the handshake probably does not use TLS.
fn handshake_failure(error: io::Error) -> ConnectFailure {
    match ConnectFailure::from(error) {
        ConnectFailure::Broken => ConnectFailure::Tls,
        failure => failure,
    }
}

/// The crate's connection on a stream. Nothing is sent yet.
async fn drive<S>(stream: S) -> Result<Connection, ConnectFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Authentication and database are our own commands, since the crate's set-up hides which of them failed. It would
    // also send `CLIENT SETINFO`, which needs a permission.
    let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    // By default the crate gives up on a reply after half a second, and with it on a read that blocks.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUED_COMMANDS);
    let opened = MultiplexedConnection::new_with_config(&settings, stream, config);
    let (commands, driver) = opened.await?;
    Ok(Connection {
        commands,
        driver: tokio::spawn(driver),
    })
}

async fn authenticate(connection: &mut Connection, user: &User) -> Result<(), ConnectFailure> {
    let Some(password) = &user.password else {
        return Ok(());
    };
    let mut command = cmd("AUTH");
    if let Some(name) = &user.name {
        command.arg(name);
    }
    command.arg(password.expose_secret());
    let result: RedisResult<()> = connection.query(&command).await;
    result.map_err(|error| match ConnectFailure::from(error) {
        // "ERR AUTH called without any password configured".
        ConnectFailure::Unexpected => ConnectFailure::Password,
        failure => failure,
    })
}

async fn select(connection: &mut Connection, database: u32) -> Result<(), ConnectFailure> {
    let result: RedisResult<()> = connection.query(cmd("SELECT").arg(database)).await;
    result.map_err(|error| match ConnectFailure::from(error) {
        ConnectFailure::Unexpected | ConnectFailure::Forbidden => ConnectFailure::Database,
        failure => failure,
    })
}

/// The identity of the data set of a primary. Scripts read it the same way, so it needs no further permission.
async fn data_set(connection: &mut Connection) -> Result<String, ConnectFailure> {
    let info: String = connection.query(cmd("INFO").arg("replication")).await?;
    let value = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    match value("role") {
        Some("master") => value("master_replid")
            .map(str::to_owned)
            .ok_or(ConnectFailure::Unexpected),
        Some("slave" | "replica") => Err(ConnectFailure::Replica),
        _ => Err(ConnectFailure::Unexpected),
    }
}
