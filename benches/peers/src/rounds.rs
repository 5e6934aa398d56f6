//! Rounds: every server is measured for a few seconds, in turn, several times, so that a disturbance affects all of
//! them alike. A row is the median of its slices.

use std::time::Duration;

use crate::{
    Failure,
    background::Background,
    process::Server,
    wrk::{Load, RequestFiles, Slice, ask},
};

/// How often and how long each server is measured.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
}

/// A server and its load in every round.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) server: &'a Server,
    pub(crate) load: Load<'a>,
    /// The background load, if there is any.
    pub(crate) background: Option<&'a Background>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, server: &'a Server, load: Load<'a>) -> Self {
        Self {
            name,
            server,
            load,
            background: None,
        }
    }
}

/// The slices of one contender.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    slices: Vec<Slice>,
}

impl Row {
    /// Processor time per request in user space, in microseconds.
    pub(crate) fn user(&self) -> f64 {
        self.median(|slice| per_request(slice.cpu.user, slice))
    }

    /// Processor time per request in all, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.median(|slice| per_request(slice.cpu.user + slice.cpu.kernel, slice))
    }

    /// The least and the greatest processor time per request of the slices.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let all = self
            .slices
            .iter()
            .map(|slice| per_request(slice.cpu.user + slice.cpu.kernel, slice));
        all.fold((f64::MAX, 0.0), |(least, most), one| {
            (least.min(one), most.max(one))
        })
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.median(|slice| float(slice.requests) / slice.lasted.as_secs_f64())
    }

    /// The median and the 99th percentile of the latencies, in milliseconds.
    pub(crate) fn waits(&self) -> (f64, f64) {
        let milliseconds = |wait: Duration| wait.as_secs_f64() * 1000.0;
        (
            self.median(|slice| milliseconds(slice.median)),
            self.median(|slice| milliseconds(slice.p99)),
        )
    }

    pub(crate) fn requests(&self) -> u64 {
        self.slices.iter().map(|slice| slice.requests).sum()
    }

    fn median(&self, of: impl Fn(&Slice) -> f64) -> f64 {
        median(self.slices.iter().map(of).collect())
    }
}

/// Measures all servers in turn.
pub(crate) async fn play(
    contenders: &[Contender<'_>],
    pace: Pace,
    questions: &RequestFiles,
) -> Result<Vec<Row>, Failure> {
    let rows = contenders.iter().map(|contender| Row {
        name: contender.name,
        slices: Vec::new(),
    });
    let mut rows: Vec<Row> = rows.collect();
    for round in 0..pace.rounds {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            let running = contender.background.map(Background::start);
            let mut load = contender.load;
            // More requests than any server answers in a slice.
            load.first += round * 60_000 * pace.seconds;
            let slice = ask(contender.server, load, questions).await;
            if let Some(running) = running {
                running.stop().await?;
            }
            let slice = slice.map_err(|error| format!("{}: {error}", contender.name))?;
            row.slices.push(slice);
        }
    }
    Ok(rows)
}

fn per_request(micros: u64, slice: &Slice) -> f64 {
    float(micros) / float(slice.requests)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a few minutes are far below 2^52"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}
