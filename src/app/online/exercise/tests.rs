//! The exercise on a server in memory, on which releases may have no effect.

use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::shared_tier::protocol::{
    BeatReply, EntryContent, FetchReply, Grant, InvalidateReply, OpenEpoch, PeekReply, Reply,
    StoreReply, StoredValue, StreamEntry, TokenReply,
};

/// A server in memory that has what the exercise reads. If `ignores_releases`, a release has no effect.
#[derive(Default)]
struct Server {
    ignores_releases: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    epoch: Option<EpochId>,
    leased: Vec<(Subject, Token)>,
    stored: Vec<Subject>,
    /// The number of leases that releases ended.
    released: usize,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}

impl State {
    fn give_up(&mut self, subject: Subject, token: Token) -> usize {
        let before = self.leased.len();
        self.leased.retain(|lease| *lease != (subject, token));
        before - self.leased.len()
    }
}

fn done<T: Send + 'static>(result: T) -> Reply<'static, T> {
    Box::pin(async { Ok(result) })
}

impl Backend for Server {
    fn connect(&self) -> Reply<'_, ()> {
        done(())
    }

    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch> {
        self.state().epoch = Some(offer.id);
        done(OpenEpoch {
            id: offer.id,
            wrapped_secret: offer.wrapped_secret,
            last: Position::START,
            now: ServerTime(1),
        })
    }

    fn rewrap(&self, _: EpochId, _: Bytes, _: Bytes) -> Reply<'_, bool> {
        done(true)
    }

    fn fetch(&self, _: EpochId, command: FetchCommand) -> Reply<'_, FetchReply> {
        let mut state = self.state();
        let outcome = if state.stored.contains(&command.subject) {
            FetchOutcome::Served
        } else {
            state.leased.push((command.subject, command.lease.token));
            FetchOutcome::Leased(Grant {
                position: Position::START,
                negatives: 0,
            })
        };
        done(FetchReply {
            now: ServerTime(1),
            alias: None,
            parts: PartMap::from_fn(|_| None::<StoredValue>),
            entity_only: PartMap::from_fn(|_| Duration::ZERO),
            outcome,
        })
    }

    fn store(&self, _: EpochId, command: StoreCommand) -> Reply<'_, StoreReply> {
        let mut state = self.state();
        state.give_up(command.subject, command.token);
        state.stored.push(command.subject);
        done(StoreReply {
            stored: command.leased,
            ..StoreReply::default()
        })
    }

    fn release(&self, _: EpochId, command: ReleaseCommand) -> Reply<'_, ()> {
        if !self.ignores_releases {
            let mut state = self.state();
            state.released += state.give_up(command.subject, command.token);
        }
        done(())
    }

    fn invalidate(&self, _: EpochId, _: InvalidateCommand) -> Reply<'_, InvalidateReply> {
        done(InvalidateReply::Written(Position::START))
    }

    fn advance(&self, _: EpochId, command: AdvanceCommand) -> Reply<'_, ()> {
        self.state().epoch = Some(command.next.id);
        done(())
    }

    fn read_stream(&self, _: EpochId, _: Position, _: Duration) -> Reply<'_, Vec<StreamEntry>> {
        let entry = StreamEntry {
            position: Position::START,
            previous: Position::START,
            content: EntryContent::Heartbeat,
        };
        done(vec![entry.clone(), entry])
    }

    fn beat(&self, _: EpochId, _: BeatCommand) -> Reply<'_, BeatReply> {
        done(BeatReply {
            now: ServerTime(1),
            alive: 1,
            last: Position::START,
        })
    }

    fn lease_tokens(&self, _: TokenCommand) -> Reply<'_, TokenReply> {
        done(TokenReply {
            granted: 1,
            wait: Duration::ZERO,
            pause: None,
            replicas: 1,
        })
    }

    fn pause(&self, _: BudgetName, _: Duration) -> Reply<'_, ()> {
        done(())
    }

    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply> {
        let state = self.state();
        if state.epoch != Some(epoch) {
            return Box::pin(async { Err(BackendError::Epoch) });
        }
        let is_leased = state.leased.iter().any(|(leased, _)| *leased == subject);
        done(PeekReply {
            busy: Duration::from_secs(is_leased.into()),
            ..PeekReply::default()
        })
    }

    fn sweep(&self, _: EpochId) -> Reply<'_, u64> {
        done(0)
    }

    fn inspect(&self) -> Reply<'_, ServerInfo> {
        done(ServerInfo::default())
    }
}

async fn exercised(server: &Server) -> Exercise {
    let clock = Clock::system();
    exercise(server, &clock).await.expect("a connection").1
}

#[tokio::test]
async fn lease_that_is_held_is_released() {
    let server = Server::default();
    let result = exercised(&server).await;
    assert!(result.failed.is_empty(), "{result:?}");
    assert!(result.ineffective.is_empty(), "{result:?}");
    assert_eq!(result.latencies.len(), MEASURED);
    assert_eq!(server.state().released, 1);
}

#[tokio::test]
async fn release_that_ends_no_lease_is_ineffective() {
    let server = Server {
        ignores_releases: true,
        ..Server::default()
    };
    let result = exercised(&server).await;
    assert!(result.failed.is_empty(), "{result:?}");
    assert_eq!(result.ineffective, ["release"]);
}
