//! Runs the simulator until interrupted.
//!
//! Every flag is also an environment variable: `--overview-lag-ms` is `ENGAGE_SIMULATOR_OVERVIEW_LAG_MS`.

use std::{env, error::Error, time::Duration};

use engage_simulator::{Endpoint, Latency, Simulator};

const USAGE: &str = "\
usage: engage-simulator [--listen 127.0.0.1:8090] [--seed 1] [--contacts 2000]
                        [--api-key test-engage-key] [--overview-lag-ms 0]
                        [--rate-limit 200 (0: none)] [--latency-ms 0]
                        [--api-lag-ms MEDIAN (log-normal latency)]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let rate_limit: u32 = option("rate-limit", "200")?.parse()?;
    let engage = Simulator::builder()
        .listen(option("listen", "127.0.0.1:8090")?.parse()?)
        .seed(option("seed", "1")?.parse()?)
        .contacts(option("contacts", "2000")?.parse()?)
        .api_key(option("api-key", "test-engage-key")?)
        .overview_lag(milliseconds("overview-lag-ms")?)
        .rate_limit((rate_limit > 0).then_some(rate_limit))
        .start()
        .await?;
    let median = milliseconds("api-lag-ms")?;
    let latency = if median.is_zero() {
        Latency::Fixed(milliseconds("latency-ms")?)
    } else {
        Latency::LogNormal { median, sigma: 0.6 }
    };
    engage.latency(Endpoint::All, latency);
    println!("{}", engage.base_url());
    tokio::signal::ctrl_c().await?;
    engage.shutdown().await;
    Ok(())
}

fn milliseconds(name: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::from_millis(option(name, "0")?.parse()?))
}

/// A flag's value: from the command line, else from the environment, else the default.
#[expect(
    clippy::disallowed_methods,
    reason = "flags are read at the start of the program"
)]
fn option(name: &str, default: &str) -> Result<String, Box<dyn Error>> {
    let flag = format!("--{name}");
    let mut arguments = env::args().skip_while(|argument| *argument != flag);
    if arguments.next().is_some() {
        let value = arguments.next();
        return value.ok_or_else(|| format!("{flag} needs a value\n{USAGE}").into());
    }
    let variable = format!("ENGAGE_SIMULATOR_{}", name.to_uppercase().replace('-', "_"));
    Ok(env::var(variable).unwrap_or_else(|_| default.to_owned()))
}
