//! A server with an open epoch, and commands with the usual arguments.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    clock::Clock,
    domain::{Part, PartMap, PartSet},
    shared_tier::{
        protocol::{
            AdvanceCommand, AliasName, Backend as _, BackendError, BeatCommand, BeatReply,
            ContactName, Covered, EpochId, EpochOffer, FetchCommand, FetchOutcome, FetchReply,
            Grant, InvalidateCommand, InvalidateReply, LeaseOffer, NewValue, OpenEpoch, PeekReply,
            Position, ReplicaId, ServerTime, StoreCommand, StoreReply, StreamEntry, StreamLimits,
            Subject, Token,
        },
        redis::{
            RedisBackend,
            link::{Link, LinkConfig, Server, ServerAddress, User},
        },
    },
};

use crate::redis_server::RedisServer;

pub(crate) const PREFIX: &str = "engage-bff:test:";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long invalidated parts are marked.
pub(crate) const LAG: Duration = Duration::from_secs(600);
pub(crate) const LIMITS: StreamLimits = StreamLimits {
    keep: Duration::from_secs(700),
};
pub(crate) const ANNA: ContactName = ContactName(*b"anna, a contact!");
pub(crate) const BERT: ContactName = ContactName(*b"bert, the other!");
pub(crate) const ANNAS_MAIL: AliasName = AliasName(*b"mail of anna \x00\xff\n");
pub(crate) const REPLICA: ReplicaId = ReplicaId(0xaa);

/// A number that has not been returned before.
pub(crate) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Lets real time pass, because the server's clock can't be moved.
pub(crate) async fn wait(time: Duration) {
    let clock = Clock::system();
    clock.sleep_until(clock.tick() + time).await;
}

/// A connection to a server as its default user. Not opened yet.
pub(crate) fn backend(server: &RedisServer) -> RedisBackend {
    backend_of(server, User::default(), 0)
}

/// A connection to a server as another user. Not opened yet.
pub(crate) fn backend_as(server: &RedisServer, name: &str, password: &str) -> RedisBackend {
    backend_in(server, 0, name, password)
}

/// The same to the database with this number.
pub(crate) fn backend_in(
    server: &RedisServer,
    database: u32,
    name: &str,
    password: &str,
) -> RedisBackend {
    let user = User {
        name: Some(name.to_owned()),
        password: Some(password.into()),
    };
    backend_of(server, user, database)
}

fn backend_of(server: &RedisServer, user: User, database: u32) -> RedisBackend {
    let address = ServerAddress {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
    };
    let config = LinkConfig {
        server: Server::At(address),
        tls: None,
        user,
        database,
    };
    RedisBackend::new(Link::new(config), PREFIX.to_owned())
}

pub(crate) fn offer() -> EpochOffer {
    let id = unique();
    EpochOffer {
        id: EpochId(id),
        wrapped_secret: format!("secret {id}").into(),
        stream: LIMITS,
    }
}

/// A server, a connection to it, and the open epoch.
pub(crate) struct Tier {
    pub(crate) server: RedisServer,
    pub(crate) backend: RedisBackend,
    pub(crate) epoch: EpochId,
}

/// A lease as the flight keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) subject: Subject,
    pub(crate) token: Token,
    pub(crate) grant: Grant,
    pub(crate) at: ServerTime,
}

impl Tier {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let server = RedisServer::start_with(arguments);
        let backend = backend(&server);
        backend.connect().await.expect("it accepts connections");
        let epoch = backend.open(offer()).await.expect("an epoch").id;
        Self {
            server,
            backend,
            epoch,
        }
    }

    /// Connects again and opens the current epoch.
    pub(crate) async fn reopen(&mut self) -> OpenEpoch {
        self.backend
            .connect()
            .await
            .expect("it accepts connections");
        let open = self.backend.open(offer()).await.expect("an epoch");
        self.epoch = open.id;
        open
    }

    pub(crate) async fn try_fetch(
        &self,
        command: FetchCommand,
    ) -> Result<FetchReply, BackendError> {
        self.backend.fetch(self.epoch, command).await
    }

    pub(crate) async fn fetch(&self, command: FetchCommand) -> FetchReply {
        self.try_fetch(command).await.expect("a working server")
    }

    /// Takes a lease, whatever the server has.
    pub(crate) async fn lease(&self, subject: Subject) -> Lease {
        let command = FetchCommand {
            max_age: PartMap::splat(Duration::ZERO),
            max_alias_age: Duration::ZERO,
            waits: false,
            ..fetch(subject)
        };
        let reply = self.fetch(command.clone()).await;
        let FetchOutcome::Leased(grant) = reply.outcome else {
            panic!("{:?}", reply.outcome);
        };
        Lease {
            subject,
            token: command.lease.token,
            grant,
            at: reply.now,
        }
    }

    pub(crate) async fn store(&self, command: StoreCommand) -> StoreReply {
        let reply = self.backend.store(self.epoch, command).await;
        reply.expect("a working server")
    }

    /// Leases and stores every part of a contact.
    pub(crate) async fn fill(&self, contact: ContactName, text: &str) -> StoreReply {
        let lease = self.lease(Subject::Contact(contact)).await;
        self.store(store(lease, contact, text)).await
    }

    /// Leases and stores an alias, with every part of its contact.
    pub(crate) async fn fill_alias(&self, alias: AliasName, contact: ContactName) -> StoreReply {
        let lease = self.lease(Subject::Alias(alias)).await;
        let command = StoreCommand {
            alias: Some(value("alias")),
            ..store(lease, contact, "by alias")
        };
        self.store(command).await
    }

    pub(crate) async fn invalidate(&self, command: InvalidateCommand) -> InvalidateReply {
        let reply = self.backend.invalidate(self.epoch, command).await;
        reply.expect("a working server")
    }

    pub(crate) async fn beat(&self, command: BeatCommand) -> BeatReply {
        let reply = self.backend.beat(self.epoch, command).await;
        reply.expect("a working server")
    }

    pub(crate) async fn peek(&self, subject: Subject) -> PeekReply {
        let reply = self.backend.peek(self.epoch, subject).await;
        reply.expect("a working server")
    }

    pub(crate) async fn entries(&self, after: Position) -> Vec<StreamEntry> {
        let entries = self.backend.read_stream(self.epoch, after, Duration::ZERO);
        entries.await.expect("a working server")
    }

    /// The name of the epoch's stream.
    pub(crate) fn stream(&self) -> String {
        format!("{PREFIX}{:016x}:s", self.epoch.0)
    }

    pub(crate) fn contact_key(&self, contact: ContactName) -> Vec<u8> {
        let start = format!("{PREFIX}{:016x}:c:", self.epoch.0);
        [start.as_bytes(), &contact.0].concat()
    }

    /// The values of a contact that `peek` returns.
    pub(crate) async fn served(&self, contact: ContactName) -> Vec<String> {
        let reply = self.peek(Subject::Contact(contact)).await;
        let values = reply.parts.iter().filter_map(|(_, value)| value.clone());
        values
            .map(|value| String::from_utf8_lossy(&value.sealed).into_owned())
            .collect()
    }
}

/// A token that no other replica has.
fn token() -> Token {
    Token(unique() << 32)
}

/// A flight that needs and fetches every part, accepts any fresh data, and waits for other flights.
pub(crate) fn fetch(subject: Subject) -> FetchCommand {
    FetchCommand {
        subject,
        needed: PartSet::ALL,
        fetched: PartSet::ALL,
        max_age: PartMap::splat(DAY),
        max_alias_age: DAY,
        waits: true,
        lease: LeaseOffer {
            token: token(),
            busy: 10 * SECOND,
        },
    }
}

pub(crate) fn value(text: &str) -> NewValue {
    NewValue {
        lifetime: HOUR,
        sealed: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// Stores every part of a contact, not from an overview, requested at the time of the lease.
pub(crate) fn store(lease: Lease, contact: ContactName, text: &str) -> StoreCommand {
    StoreCommand {
        subject: lease.subject,
        token: lease.token,
        leased: PartSet::ALL,
        grant: lease.grant,
        requested_at: lease.at,
        contact: Some(contact),
        generation: Token(unique()),
        alias: None,
        parts: PartMap::from_fn(|part| Some(value(&format!("{text} {}", part.as_str())))),
        from_overview: PartSet::EMPTY,
        entity_only: PartMap::default(),
    }
}

/// Stores that an alias leads to no contact.
pub(crate) fn negative(lease: Lease) -> StoreCommand {
    StoreCommand {
        contact: None,
        alias: Some(value("negative")),
        parts: PartMap::from_fn(|_| None),
        ..store(lease, ANNA, "")
    }
}

/// An invalidation of nothing.
pub(crate) fn nothing() -> InvalidateCommand {
    InvalidateCommand {
        contacts: Vec::new(),
        negatives: false,
        aliases: Vec::new(),
        entity_only: LAG,
        message: None,
        replica: REPLICA,
        payload: Bytes::from_static(b"payload"),
        stream: LIMITS,
    }
}

pub(crate) fn parts_of(contact: ContactName, parts: &[Part]) -> InvalidateCommand {
    InvalidateCommand {
        contacts: vec![Covered {
            contact,
            parts: PartSet::of(parts),
            is_purge: false,
        }],
        ..nothing()
    }
}

pub(crate) fn purge(contact: ContactName) -> InvalidateCommand {
    InvalidateCommand {
        contacts: vec![Covered {
            contact,
            parts: PartSet::ALL,
            is_purge: true,
        }],
        ..nothing()
    }
}

pub(crate) fn beat(replica: ReplicaId) -> BeatCommand {
    BeatCommand {
        replica,
        leaves: false,
        interval: Duration::from_millis(500),
        stream: LIMITS,
    }
}

pub(crate) fn advance() -> AdvanceCommand {
    AdvanceCommand {
        next: offer(),
        replica: REPLICA,
        payload: Bytes::from_static(b"all"),
    }
}

/// Asserts that the request must make the call itself.
#[track_caller]
pub(crate) fn assert_leased(reply: &FetchReply) {
    assert!(
        matches!(reply.outcome, FetchOutcome::Leased(_)),
        "{reply:?}"
    );
}

/// Asserts that another replica makes the call.
#[track_caller]
pub(crate) fn assert_busy(reply: &FetchReply) {
    assert!(matches!(reply.outcome, FetchOutcome::Busy(_)), "{reply:?}");
}
