//! A server and a stand-in that receive the same operations.

use std::time::Duration;

use bytes::Bytes;
use engage_bff::{
    clock::Clock,
    domain::{Part, PartMap, PartSet},
    shared_tier::{
        protocol::{
            AdvanceCommand, AliasName, Backend, BackendError, BeatCommand, ContactName, Covered,
            EntryContent, EpochId, EpochOffer, FetchCommand, FetchOutcome, FetchReply, Grant,
            InvalidateCommand, InvalidateReply, LeaseOffer, MessageName, NewValue, PeekReply,
            Position, ReleaseCommand, ReplicaId, ServerTime, StoreCommand, StoredAlias,
            StoredValue, StreamEntry, StreamLimits, Subject, Token,
        },
        redis::RedisBackend,
    },
};
use proptest::test_runner::TestCaseError;

use super::{
    lasting,
    ops::{Name, Op},
    same, stored,
};
use crate::{
    harness::{DAY, HOUR, PREFIX, backend, unique},
    redis_server::RedisServer,
    standin::{Connection, Evicted, Standin},
};

const LIMITS: StreamLimits = StreamLimits { keep: DAY };

/// One of the two.
struct Side<B> {
    backend: B,
    /// The positions of the known entries, with their epochs, in order.
    positions: Vec<(EpochId, Position)>,
    /// A time an hour before the start, from which the times of requests are counted.
    base: u64,
}

#[derive(Clone, Copy)]
struct Lease {
    subject: Subject,
    token: Token,
    fetched: PartSet,
    /// The grants of the server and of the stand-in.
    grants: [Grant; 2],
    epoch: EpochId,
}

pub(super) struct Both<'a> {
    redis: &'a RedisServer,
    standin: Standin,
    server: Side<RedisBackend>,
    double: Side<Connection>,
    epoch: EpochId,
    ended: EpochId,
    uses_ended: bool,
    secret: Bytes,
    leases: Vec<Lease>,
}

impl<B: Backend> Side<B> {
    fn new(backend: B) -> Self {
        Self {
            backend,
            positions: Vec::new(),
            base: 0,
        }
    }

    async fn open(&mut self, offer: &EpochOffer) -> (EpochId, Bytes) {
        self.backend
            .connect()
            .await
            .expect("it accepts connections");
        let open = self.backend.open(offer.clone()).await.expect("an epoch");
        if self.base == 0 {
            self.base = open.now.0 - 3_600_000;
        }
        (open.id, open.wrapped_secret)
    }

    /// The number of a position among the known ones. An unknown position becomes known.
    fn number(&mut self, epoch: EpochId, position: Position) -> usize {
        if position == Position::START {
            return usize::MAX;
        }
        let position = (epoch, position);
        let known = self.positions.iter().position(|known| *known == position);
        known.unwrap_or_else(|| {
            self.positions.push(position);
            self.positions.len() - 1
        })
    }

    async fn fetch(&mut self, epoch: EpochId, command: FetchCommand) -> (String, Option<Grant>) {
        match self.backend.fetch(epoch, command).await {
            Err(error) => (format!("{error:?}"), None),
            Ok(reply) => self.describe(epoch, &reply),
        }
    }

    fn describe(&mut self, epoch: EpochId, reply: &FetchReply) -> (String, Option<Grant>) {
        let (outcome, grant) = match reply.outcome {
            FetchOutcome::Served => ("served".to_owned(), None),
            FetchOutcome::Busy(left) => (format!("busy {}", !left.is_zero()), None),
            FetchOutcome::Leased(grant) => {
                let position = self.number(epoch, grant.position);
                (
                    format!("leased {position} {}", grant.negatives),
                    Some(grant),
                )
            }
        };
        let text = format!(
            "{outcome} {:?} {:?} {:?}",
            alias(reply.alias.as_ref()),
            values(&reply.parts),
            lasting(&reply.entity_only)
        );
        (text, grant)
    }

    fn entries(
        &mut self,
        epoch: EpochId,
        entries: Result<Vec<StreamEntry>, BackendError>,
    ) -> String {
        let Ok(entries) = entries else {
            return format!("{entries:?}");
        };
        let entries = entries.into_iter().map(|entry| {
            let previous = self.number(epoch, entry.previous);
            let position = self.number(epoch, entry.position);
            let content = match entry.content {
                EntryContent::Heartbeat => "heartbeat".to_owned(),
                other => format!("{other:?}"),
            };
            format!("{previous} < {position}: {content}")
        });
        entries.collect::<Vec<_>>().join(", ")
    }

    async fn peek(&self, epoch: EpochId, subject: Subject) -> String {
        let reply: Result<PeekReply, _> = self.backend.peek(epoch, subject).await;
        match reply {
            Err(error) => format!("{error:?}"),
            Ok(reply) => format!(
                "{:?} {:?} {:?} {}",
                alias(reply.alias.as_ref()),
                values(&reply.parts),
                lasting(&reply.entity_only),
                !reply.busy.is_zero()
            ),
        }
    }

    async fn invalidate(&mut self, epoch: EpochId, command: InvalidateCommand) -> String {
        match self.backend.invalidate(epoch, command).await {
            Ok(InvalidateReply::Written(position)) => {
                format!("at {}", self.number(epoch, position))
            }
            other => format!("{other:?}"),
        }
    }

    async fn beat(&mut self, epoch: EpochId, command: BeatCommand) -> String {
        match self.backend.beat(epoch, command).await {
            Ok(reply) => format!(
                "{} alive, at {}",
                reply.alive,
                self.number(epoch, reply.last)
            ),
            other => format!("{other:?}"),
        }
    }
}

fn alias(alias: Option<&StoredAlias>) -> Option<(Option<[u8; 16]>, Bytes)> {
    alias.map(|alias| {
        let contact = alias.contact.map(|contact| contact.0);
        (contact, alias.value.sealed.clone())
    })
}

fn values(parts: &PartMap<Option<StoredValue>>) -> Vec<Option<Bytes>> {
    let values = parts.iter();
    values
        .map(|(_, value)| value.as_ref().map(|value| value.sealed.clone()))
        .collect()
}

fn contact(number: u8) -> ContactName {
    ContactName([number + 1; 16])
}

fn alias_name(number: u8) -> AliasName {
    AliasName([number + 101; 16])
}

fn subject(name: Name) -> Subject {
    match name {
        Name::Contact(number) => Subject::Contact(contact(number)),
        Name::Alias(number) => Subject::Alias(alias_name(number)),
    }
}

fn hour(is_long: bool) -> Duration {
    if is_long { HOUR } else { Duration::ZERO }
}

fn offer() -> EpochOffer {
    EpochOffer {
        id: EpochId(unique()),
        wrapped_secret: format!("secret {}", unique()).into(),
        stream: LIMITS,
    }
}

impl<'a> Both<'a> {
    pub(super) async fn start(redis: &'a RedisServer) -> Self {
        redis.flush();
        let standin = Standin::new(Clock::system());
        let mut both = Self {
            redis,
            server: Side::new(backend(redis)),
            double: Side::new(standin.connection()),
            standin,
            epoch: EpochId(0),
            ended: EpochId(0),
            uses_ended: false,
            secret: Bytes::new(),
            leases: Vec::new(),
        };
        both.reopen().await;
        both
    }

    async fn reopen(&mut self) {
        let offer = offer();
        let (epoch, secret) = self.server.open(&offer).await;
        let (other, _) = self.double.open(&offer).await;
        assert_eq!(epoch, other, "both are in the same epoch");
        if epoch != self.epoch {
            self.ended = self.epoch;
        }
        self.epoch = epoch;
        self.secret = secret;
    }

    fn named_epoch(&self) -> EpochId {
        if self.uses_ended {
            self.ended
        } else {
            self.epoch
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    pub(super) async fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let epoch = self.named_epoch();
        match op {
            Op::Fetch { .. } => self.fetch(op, epoch).await,
            Op::Store { .. } => self.store(op).await,
            Op::Invalidate { .. } => self.invalidate(op, epoch).await,
            Op::Release(number) => {
                let Some(lease) = self.lease(*number) else {
                    return Ok(());
                };
                let command = ReleaseCommand {
                    subject: lease.subject,
                    token: lease.token,
                };
                let server = self.server.backend.release(epoch, command).await;
                same(
                    op,
                    &server,
                    &self.double.backend.release(epoch, command).await,
                )
            }
            Op::Advance => {
                let command = AdvanceCommand {
                    next: offer(),
                    replica: ReplicaId(1),
                    payload: Bytes::from_static(b"all"),
                };
                let server = self.server.backend.advance(epoch, command.clone()).await;
                same(
                    op,
                    &server,
                    &self.double.backend.advance(epoch, command).await,
                )?;
                self.reopen().await;
                Ok(())
            }
            Op::Read(number) => {
                let of = |positions: &[(EpochId, Position)]| {
                    let known = positions.iter().filter(|(of, _)| *of == epoch);
                    let mut known: Vec<Position> = known.map(|(_, known)| *known).collect();
                    known.push(Position::START);
                    known[number % known.len()]
                };
                let after = of(&self.server.positions);
                let server = &self.server.backend;
                let server = server.read_stream(epoch, after, Duration::ZERO).await;
                let after = of(&self.double.positions);
                let double = &self.double.backend;
                let double = double.read_stream(epoch, after, Duration::ZERO).await;
                let server = self.server.entries(epoch, server);
                same(op, &server, &self.double.entries(epoch, double))
            }
            Op::Beat {
                replica,
                leaves,
                is_due,
            } => {
                let command = BeatCommand {
                    replica: ReplicaId(*replica),
                    leaves: *leaves,
                    interval: if *is_due {
                        Duration::from_millis(1)
                    } else {
                        HOUR
                    },
                    stream: LIMITS,
                };
                if *is_due {
                    // Waits until a heartbeat is due; with this interval, replicas count as alive only for a moment.
                    let clock = Clock::system();
                    clock
                        .sleep_until(clock.tick() + Duration::from_millis(8))
                        .await;
                }
                let server = self.server.beat(epoch, command).await;
                same(op, &server, &self.double.beat(epoch, command).await)
            }
            Op::Peek(name) => {
                let server = self.server.peek(epoch, subject(*name)).await;
                same(op, &server, &self.double.peek(epoch, subject(*name)).await)
            }
            Op::Rewrap(is_old) => {
                let old = if *is_old {
                    self.secret.clone()
                } else {
                    Bytes::from_static(b"other")
                };
                let new = Bytes::from_static(b"new");
                let server = &self.server.backend;
                let server = server.rewrap(epoch, old.clone(), new.clone()).await;
                let double = &self.double.backend;
                same(op, &server, &double.rewrap(epoch, old, new).await)?;
                self.reopen().await;
                Ok(())
            }
            Op::UseEpoch(is_ended) => {
                self.uses_ended = *is_ended;
                Ok(())
            }
            Op::EvictStream => {
                let stream = format!("{PREFIX}{:016x}:s", self.epoch.0);
                self.redis.command(&["DEL", &stream]);
                self.standin.evict(Evicted::Stream);
                // Waits, so that the next entry gets a position that no earlier entry had.
                let clock = Clock::system();
                clock
                    .sleep_until(clock.tick() + Duration::from_millis(2))
                    .await;
                Ok(())
            }
            Op::EvictEpoch => {
                self.redis.command(&["DEL", &format!("{PREFIX}epoch")]);
                self.standin.evict(Evicted::Epoch);
                self.reopen().await;
                Ok(())
            }
            Op::Flush => {
                self.redis.flush();
                self.standin.flush();
                self.reopen().await;
                Ok(())
            }
        }
    }

    async fn fetch(&mut self, op: &Op, epoch: EpochId) -> Result<(), TestCaseError> {
        let Op::Fetch {
            name,
            needed,
            fetched,
            accepted,
            accepts_alias,
            waits,
            is_long,
        } = op
        else {
            unreachable!("a fetch");
        };
        let age = |accepts: bool| if accepts { DAY } else { Duration::ZERO };
        let command = FetchCommand {
            subject: subject(*name),
            needed: *needed,
            fetched: *fetched,
            max_age: PartMap::from_fn(|part| age(accepted.contains(part))),
            max_alias_age: age(*accepts_alias),
            waits: *waits,
            lease: LeaseOffer {
                // The token of one of a few replicas.
                token: Token((unique() % 3) << 32 | unique()),
                busy: hour(*is_long),
            },
        };
        let (server, granted) = self.server.fetch(epoch, command.clone()).await;
        let (double, also) = self.double.fetch(epoch, command.clone()).await;
        same(op, &server, &double)?;
        if let (Some(server), Some(double)) = (granted, also) {
            self.leases.push(Lease {
                subject: command.subject,
                token: command.lease.token,
                fetched: *fetched,
                grants: [server, double],
                epoch,
            });
        }
        Ok(())
    }

    async fn store(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let Op::Store {
            lease,
            contact: about,
            has_alias,
            parts,
            from_overview,
            entity_only,
            later,
        } = op
        else {
            unreachable!("a store");
        };
        let Some(lease) = self.lease(*lease) else {
            return Ok(());
        };
        let is_alias = matches!(lease.subject, Subject::Alias(_));
        let about = match lease.subject {
            // Only an identifier can lead to no contact.
            Subject::Contact(name) => Some(name),
            Subject::Alias(_) => about.map(contact),
        };
        let value = || NewValue {
            lifetime: DAY,
            sealed: format!("value {}", unique()).into(),
        };
        let has_alias = is_alias && (*has_alias || about.is_none());
        let command = StoreCommand {
            subject: lease.subject,
            token: lease.token,
            leased: lease.fetched,
            grant: lease.grants[0],
            requested_at: ServerTime(self.server.base + later),
            contact: about,
            generation: Token(unique()),
            alias: has_alias.then(value),
            parts: PartMap::from_fn(|part: Part| {
                let is_stored = parts.contains(part) && about.is_some();
                is_stored.then(value)
            }),
            from_overview: *from_overview,
            entity_only: PartMap::from_fn(|part| hour(entity_only.contains(part))),
        };
        let double = StoreCommand {
            grant: lease.grants[1],
            requested_at: ServerTime(self.double.base + later),
            ..command.clone()
        };
        let server = self.server.backend.store(lease.epoch, command).await;
        let double = self.double.backend.store(lease.epoch, double).await;
        same(op, &server.map(stored), &double.map(stored))
    }

    async fn invalidate(&mut self, op: &Op, epoch: EpochId) -> Result<(), TestCaseError> {
        let Op::Invalidate {
            contacts,
            negatives,
            aliases,
            marks,
            message,
        } = op
        else {
            unreachable!("an invalidation");
        };
        let covered = contacts.iter().map(|(number, parts, is_purge)| Covered {
            contact: contact(*number),
            parts: *parts,
            is_purge: *is_purge,
        });
        let command = InvalidateCommand {
            contacts: covered.collect(),
            negatives: *negatives,
            aliases: aliases.iter().map(|number| alias_name(*number)).collect(),
            entity_only: hour(*marks),
            message: message.map(|number| (MessageName([number; 16]), HOUR)),
            replica: ReplicaId(1),
            payload: format!("payload {}", unique()).into(),
            stream: LIMITS,
        };
        let server = self.server.invalidate(epoch, command.clone()).await;
        same(op, &server, &self.double.invalidate(epoch, command).await)
    }

    fn lease(&self, number: usize) -> Option<Lease> {
        let number = number.checked_rem(self.leases.len())?;
        Some(self.leases[number])
    }
}
