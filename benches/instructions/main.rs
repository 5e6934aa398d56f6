//! Counts the instructions of a response from memory: each kind of request, sent N times and then 2 N times over an
//! in-memory connection to the real HTTP service, on one thread. `scripts/instructions` runs it under callgrind and
//! takes the difference; run alone, it only checks that each kind gets the expected response.
//!
//! ```sh
//! cargo bench --bench instructions -- 500
//! ```

mod background;
mod kinds;
#[path = "../shared/peer.rs"]
mod peer;
mod references;
#[path = "../shared/service.rs"]
mod service;
#[path = "../../tests/standin.rs"]
#[expect(dead_code, reason = "no faults are ordered")]
#[cfg_attr(test, expect(unused_imports, reason = "its tests do not run here"))]
mod standin;

use std::{io::Write, process::ExitCode};

use tokio::runtime::{Builder, Runtime};

use self::{background::Background, kinds::Kind, peer::Peer, service::Service};

/// The kind that is counted under background load.
const BACKGROUND: &str = "the same, background load";
/// How many requests follow each batch of the background load.
const AT_A_TIME: usize = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let given = std::env::args().find_map(|argument| argument.parse().ok());
    match run(given.unwrap_or(500)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error can't be written either, the error can't be reported.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(requests: usize) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (kinds, mut background) = runtime.block_on(warm())?;
    for (name, mut peer) in kinds {
        for times in [requests, 2 * requests] {
            let others = (name == BACKGROUND).then_some(&mut background);
            measured_requests(&runtime, &mut peer, others, times)?;
        }
        writeln!(std::io::stdout(), "{name}")?;
    }
    Ok(())
}

/// The callers, and the background load for one of them.
async fn warm() -> Result<(Vec<Kind>, Background), Failure> {
    let service = Service::start().await?;
    // A contact requested by another alias is fetched once more, so only the second round's responses stay.
    kinds::all(&service).await?;
    let mut kinds = kinds::all(&service).await?;
    let (_, email) = &kinds[0];
    let (answer, request) = (&email.first, &email.request);
    let body = answer.bytes[answer.head.len() + 4..].to_vec();
    let canned = references::canned(answer.bytes.clone());
    let canned = Peer::warm(canned, request.clone(), "200", "").await?;
    let hyper = Peer::warm(references::hyper(body), request.clone(), "200", "").await?;
    kinds.push(("(bare hyper)", hyper));
    kinds.push(("(the caller itself)", canned));
    Ok((kinds, Background::new(service).await?))
}

/// callgrind writes its counts when this function returns: see `scripts/instructions`.
#[inline(never)]
fn measured_requests(
    runtime: &Runtime,
    peer: &mut Peer,
    mut others: Option<&mut Background>,
    times: usize,
) -> Result<(), Failure> {
    let mut left = times;
    while left > 0 {
        if let Some(others) = &mut others {
            runtime.block_on(others.run_batch())?;
        }
        let some = left.min(AT_A_TIME);
        counted_requests(runtime, peer, some)?;
        left -= some;
    }
    Ok(())
}

/// callgrind counts while this runs.
#[inline(never)]
fn counted_requests(runtime: &Runtime, peer: &mut Peer, times: usize) -> Result<(), Failure> {
    runtime.block_on(peer.ask(times))
}
