//! The service compared with HAProxy, nginx, Varnish, and bare hyper with a table. Run by `scripts/bench`, which builds
//! and installs what is needed.
//!
//! Every server is a process of its own on one core, with one worker; the load generator and the upstreams run on the
//! other core. Only the comparison of one and two workers uses both cores for everything. The servers are measured in
//! turn, for a few seconds each. The measure is processor time per request, from `/proc`.

mod background;
mod burst;
mod caller;
#[path = "../../shared/contacts.rs"]
mod contacts;
mod delivery;
mod footprint;
mod goals;
mod peers;
mod plot;
mod process;
mod report;
mod rounds;
mod scene;
mod servers;
mod service;
mod settings;
mod shapes;
mod wrk;

use std::{io::Write, path::Path, process::ExitCode};

use self::settings::Settings;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", role, address, bodies] => address
            .parse()
            .map_err(Failure::from)
            .and_then(|address| servers::serve(role, address, Path::new(bodies))),
        _ => measure(&words),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error can't be written either, the error can't be reported.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[&str]) -> Result<(), Failure> {
    let settings = Settings::read(words)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(shapes::run(&settings))
}
