//! Asks sentinels where the primary is.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::cmd;
use tokio::time::timeout;

use super::{ServerAddress, Tls, User, failure::ConnectFailure, open};

/// A sentinel that has not answered by then has no vote. Measured by the real clock, because it limits the use of
/// sockets.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(300);

/// The address of the primary that most of the sentinels give: one of them may be cut off and not know of a failover
/// yet.
pub(super) async fn primary(
    sentinels: &[ServerAddress],
    service: &str,
    user: &User,
    tls: Option<&Tls>,
) -> Result<ServerAddress, ConnectFailure> {
    let ask = |sentinel| async move {
        let answer = timeout(SENTINEL_TIMEOUT, ask(sentinel, service, user, tls)).await;
        answer.unwrap_or(Err(ConnectFailure::SilentSentinels))
    };
    let mut answers: FuturesUnordered<_> = sentinels.iter().map(ask).collect();
    let mut votes: Vec<(ServerAddress, usize)> = Vec::new();
    let mut failure = ConnectFailure::SilentSentinels;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(address) => {
                let known = votes.iter().position(|(other, _)| *other == address);
                let known = known.unwrap_or_else(|| {
                    votes.push((address, 0));
                    votes.len() - 1
                });
                votes[known].1 += 1;
                if votes[known].1 > sentinels.len() / 2 {
                    return Ok(votes.swap_remove(known).0);
                }
            }
            Err(other) if other.explanatory_rank() >= failure.explanatory_rank() => failure = other,
            Err(_) => {}
        }
    }
    let most = votes.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(address, _)| address).ok_or(failure)
}

async fn ask(
    sentinel: &ServerAddress,
    service: &str,
    user: &User,
    tls: Option<&Tls>,
) -> Result<ServerAddress, ConnectFailure> {
    let mut connection = open::connection(sentinel, user, tls).await?;
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answer: Option<(String, u16)> = connection.query(&command).await?;
    let (host, port) = answer.ok_or(ConnectFailure::UnknownService)?;
    Ok(ServerAddress { host, port })
}
