//! Counts of logged events: by level, and for alarms by message. There is one set of counts per process, as there is
//! one log. Events that the log's filter drops are not counted.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::Dropped;
use crate::metrics::{
    Registry, Source,
    catalogue::{
        process::{ALARMS, LOG_EVENTS, LOG_EVENTS_DROPPED},
        values,
    },
};

/// The levels, each at the index of its count.
const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "error"),
    (Level::WARN, "warn"),
    (Level::INFO, "info"),
    (Level::DEBUG, "debug"),
    (Level::TRACE, "trace"),
];

static OF_LEVELS: [AtomicU64; LEVELS.len()] = [const { AtomicU64::new(0) }; LEVELS.len()];
static OF_ALARMS: [AtomicU64; values::ALARMS.len()] =
    [const { AtomicU64::new(0) }; values::ALARMS.len()];

/// Counts the events that it sees.
#[derive(Debug)]
pub(super) struct CountLayer;

impl<S: Subscriber> Layer<S> for CountLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = event.metadata().level();
        if let Some(index) = LEVELS.iter().position(|(known, _)| known == level) {
            OF_LEVELS[index].fetch_add(1, Ordering::Relaxed);
        }
        // Every alarm is at least a warning, and alarms are few.
        if *level > Level::WARN {
            return;
        }
        let mut alarm = Alarm::default();
        event.record(&mut alarm);
        if alarm.is_one
            && let Some(index) = alarm.message
        {
            OF_ALARMS[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The fields of an event that mark it as an alarm.
#[derive(Default)]
struct Alarm {
    is_one: bool,
    /// The index of its message in the list of alarms.
    message: Option<usize>,
}

impl Visit for Alarm {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.is_one |= field.name() == "alarm" && value;
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let message = format!("{value:?}");
            self.message = values::ALARMS.iter().position(|known| *known == message);
        }
    }
}

/// The metrics of the log.
#[derive(Clone, Debug)]
pub struct LogMetrics;

impl Source for LogMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.clone());
    }
}

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let levels = LEVELS.iter().zip(&OF_LEVELS);
        let levels = levels.map(|((_, level), count)| ([*level], count.load(Ordering::Relaxed)));
        LOG_EVENTS.write_each(&mut encoder, levels)?;
        let alarms = values::ALARMS.iter().zip(&OF_ALARMS);
        let alarms = alarms.map(|(alarm, count)| ([*alarm], count.load(Ordering::Relaxed)));
        ALARMS.write_each(&mut encoder, alarms)?;
        let dropped = Dropped::ALL.map(|dropped| ([dropped.as_str()], dropped.total()));
        LOG_EVENTS_DROPPED.write_each(&mut encoder, dropped)
    }
}
