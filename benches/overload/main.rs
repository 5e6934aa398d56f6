//! What callers see when Engage slows down, hangs and recovers: the real binary on loopback, in front of a simulated
//! Engage, under an open load of known and new contacts. Prints a table. Fails only if a promise is broken that does
//! not depend on the machine's speed.
//!
//! ```sh
//! cargo bench --bench overload
//! OVERLOAD_RATE=200 OVERLOAD_NEW_PERCENT=2 cargo bench --bench overload
//! ```

mod budget;
mod child;
mod load;
mod phase;
mod report;
mod settings;

use std::{io::Write, process::ExitCode, time::Duration};

use engage_bff::clock::Clock;
use engage_simulator::{Endpoint, Fault, Latency, Simulator};

use self::{
    child::Child,
    load::Load,
    phase::{AFTERWARDS, RECOVERY_LIMIT, Stage, share_of_new},
    report::Report,
    settings::Settings,
};

/// Engage's response time when it is healthy, and when it is slow.
const HEALTHY_LATENCY: Duration = Duration::from_millis(40);
const SLOW_LATENCY: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run()));
    let (text, is_good) = match outcome {
        Ok(report) => (report.to_string(), report.broken().is_empty()),
        Err(error) => (format!("the run failed: {error}\n"), false),
    };
    // The run does not fail because its output is closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run() -> Result<Report, Failure> {
    let settings = Settings::read()?;
    let clock = Clock::system();
    let engage = Simulator::builder()
        .contacts(settings.contacts(RECOVERY_LIMIT + AFTERWARDS))
        .start()
        .await?;
    engage.latency(Endpoint::All, Latency::Fixed(HEALTHY_LATENCY));
    let child = Child::serve(&engage.base_url())?;
    let mut load = Load::new(&settings, child.address(), engage.contact_ids(), clock)?;
    load.warm_up().await?;
    engage.reset_log();
    let resident_at_first = child.resident()?;
    let mut stage = Stage::new(&engage, &child, load).await?;

    let quiet = stage.play("quiet", settings.quiet).await?;
    engage.latency(Endpoint::All, Latency::Fixed(SLOW_LATENCY));
    let slow = stage.play("slow", settings.slow).await?;
    engage.fault(Endpoint::All, Fault::Hang);
    let hang = stage.play("hang", settings.hang).await?;
    let usual = stage
        .load
        .look(|samples| share_of_new(samples, |sample| quiet.holds(sample)));
    let usual = usual.unwrap_or_default();
    engage.clear_faults();
    engage.latency(Endpoint::All, Latency::Fixed(HEALTHY_LATENCY));
    let recovered = stage.play_until_recovered("recovered", usual).await?;

    Ok(Report {
        settings,
        phases: vec![quiet, slow, hang, recovered],
        samples: stage.load.look(<[_]>::to_vec),
        calls: Report::times(&engage.log()),
        resident_at_first,
        late: stage.longest_delay(),
        usual,
    })
}
