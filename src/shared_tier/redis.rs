//! The shared tier's operations on a server: Redis from 7.0, or Valkey from 7.2, one primary.
//!
//! Each operation except connecting, reading the stream, sweeping and inspecting the server is one script, and so
//! atomic. `scripts` has the scripts, `commands` turns commands into their arguments and replies into results, `link`
//! has the connections.
//!
//! # Which servers
//!
//! A primary on its own or with replicas, not a cluster: an alias leads scripts to the key of a contact. A restart and
//! a failover end the epoch, because they change `master_replid` in `INFO replication`; so writes that a failover loses
//! are never missed. Of two primaries that a network partition leaves, each serves its own side:
//! `min-replicas-to-write` bounds for how long.
//!
//! Any eviction policy is safe, since what was evicted is never taken for "no invalidation"; those by last use or
//! frequency keep what is used. Without eviction a server whose memory is full refuses leases and stores, but serves
//! what it has, and accepts invalidations, heartbeats and the call budget, which take few bytes.
//!
//! # What the server must allow
//!
//! A user of its own needs no more than this, if `redis.prefix` is `engage-bff:` and the database is 0 (another one
//! also needs `+select`):
//!
//! ```text
//! ACL SETUSER engage-bff on >PASSWORD resetchannels resetkeys ~engage-bff:* nocommands
//!   +ping +info +time +script|load +evalsha +scan +unlink
//!   +del +exists +set +pexpire +pttl +hget +hgetall +hmget +hset +hsetnx +hdel +hincrby
//!   +xadd +xrange +xrevrange +xread
//!   +zadd +zrem +zcount +zscore +zmscore +zremrangebyscore
//! ```
//!
//! # Keys
//!
//! All begin with the prefix, and all have a TTL. Names are 16 bytes, not text.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `epoch` | hash | the current epoch |
//! | `replicas` | sorted set | when each replica was last seen |
//! | `b:NAME` | hash | a call budget |
//! | `EPOCH:s` | stream | the log of invalidations |
//! | `EPOCH:e` | sorted set | until when only the entity endpoint may fill a part |
//! | `EPOCH:c:NAME` | hash | a contact: generation, values, leases |
//! | `EPOCH:a:NAME` | hash | an alias: value, leases |
//! | `EPOCH:m:NAME` | string | a webhook message that was applied |

mod commands;
mod keys;
pub mod link;
mod reply;
mod scripts;

use std::time::Duration;

use bytes::Bytes;

use self::{keys::Keys, link::Link, scripts::Scripts};
use super::protocol::{
    AdvanceCommand, Backend, BackendError, BeatCommand, BeatReply, BudgetName, EpochId, EpochOffer,
    FetchCommand, FetchReply, InvalidateCommand, InvalidateReply, OpenEpoch, PeekReply, Position,
    ReleaseCommand, Reply, ServerInfo, StoreCommand, StoreReply, StreamEntry, Subject,
    TokenCommand, TokenReply,
};

/// The operations on a server.
pub struct RedisBackend {
    link: Link,
    keys: Keys,
    scripts: Scripts,
}

impl RedisBackend {
    /// Keys begin with `prefix`. It is not connected yet.
    pub fn new(link: Link, prefix: String) -> Self {
        Self {
            link,
            keys: Keys::new(prefix),
            scripts: Scripts::new(),
        }
    }

    /// The connections.
    pub fn link(&self) -> &Link {
        &self.link
    }

    async fn run(
        &self,
        script: &::redis::ScriptInvocation<'_>,
    ) -> Result<::redis::Value, BackendError> {
        self.link.run(script).await
    }
}

impl Backend for RedisBackend {
    fn connect(&self) -> Reply<'_, ()> {
        Box::pin(self.link.connect())
    }

    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch> {
        Box::pin(async move {
            let script = commands::epoch::open(&self.scripts, &self.keys, &offer);
            commands::epoch::opened(self.run(&script).await?)
        })
    }

    fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) -> Reply<'_, bool> {
        Box::pin(async move {
            let script = commands::epoch::rewrap(&self.scripts, &self.keys, epoch, &old, &new);
            commands::epoch::rewrapped(&self.run(&script).await?)
        })
    }

    fn fetch(&self, epoch: EpochId, command: FetchCommand) -> Reply<'_, FetchReply> {
        Box::pin(async move {
            let script = commands::flight::fetch(&self.scripts, &self.keys, epoch, &command);
            commands::flight::fetched(self.run(&script).await?)
        })
    }

    fn store(&self, epoch: EpochId, command: StoreCommand) -> Reply<'_, StoreReply> {
        Box::pin(async move {
            let script = commands::flight::store(&self.scripts, &self.keys, epoch, &command);
            commands::flight::stored(self.run(&script).await?)
        })
    }

    fn release(&self, epoch: EpochId, command: ReleaseCommand) -> Reply<'_, ()> {
        Box::pin(async move {
            let script = commands::flight::release(&self.scripts, &self.keys, epoch, &command);
            self.run(&script).await.map(drop)
        })
    }

    fn invalidate(&self, epoch: EpochId, command: InvalidateCommand) -> Reply<'_, InvalidateReply> {
        Box::pin(async move {
            let script = commands::stream::invalidate(&self.scripts, &self.keys, epoch, &command);
            commands::stream::invalidated(self.run(&script).await?)
        })
    }

    fn advance(&self, epoch: EpochId, command: AdvanceCommand) -> Reply<'_, ()> {
        Box::pin(async move {
            let script = commands::epoch::advance(&self.scripts, &self.keys, epoch, &command);
            self.run(&script).await.map(drop)
        })
    }

    fn read_stream(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Reply<'_, Vec<StreamEntry>> {
        Box::pin(async move {
            let command = commands::stream::read(&self.keys, epoch, after, wait);
            commands::stream::entries(self.link.read(&command).await?)
        })
    }

    fn beat(&self, epoch: EpochId, command: BeatCommand) -> Reply<'_, BeatReply> {
        Box::pin(async move {
            let script = commands::stream::beat(&self.scripts, &self.keys, epoch, &command);
            commands::stream::beaten(self.run(&script).await?)
        })
    }

    fn lease_tokens(&self, command: TokenCommand) -> Reply<'_, TokenReply> {
        Box::pin(async move {
            let script = commands::budget::lease_tokens(&self.scripts, &self.keys, &command);
            commands::budget::leased(self.run(&script).await?)
        })
    }

    fn pause(&self, budget: BudgetName, pause: Duration) -> Reply<'_, ()> {
        Box::pin(async move {
            let script = commands::budget::pause(&self.scripts, &self.keys, budget, pause);
            self.run(&script).await.map(drop)
        })
    }

    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply> {
        Box::pin(async move {
            let script = commands::flight::peek(&self.scripts, &self.keys, epoch, subject);
            commands::flight::peeked(self.run(&script).await?)
        })
    }

    fn sweep(&self, ended: EpochId) -> Reply<'_, u64> {
        Box::pin(commands::server::sweep(&self.link, &self.keys, ended))
    }

    fn inspect(&self) -> Reply<'_, ServerInfo> {
        Box::pin(commands::server::inspect(&self.link))
    }
}
