//! Finished spans that wait to be sent.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::span::Span;
use crate::{
    clock::Tick,
    metrics::{
        Counter, Registry, Source,
        catalogue::process::{TRACES_DROPPED, TRACES_EXPORTED},
    },
};

/// The most spans that wait (OpenTelemetry's default); some megabytes.
const CAPACITY: usize = 2048;
/// The most spans of one message (OpenTelemetry's default).
const BATCH: usize = 512;

/// The waiting spans, and the numbers of sent and dropped ones.
#[derive(Debug, Default)]
pub(super) struct SpanQueue {
    spans: Mutex<VecDeque<Span>>,
    /// Notified when a span is added.
    added: Notify,
    sent: Counter,
    dropped: Counter,
}

impl Source for SpanQueue {
    fn register(&self, registry: &mut Registry) {
        registry.add_single(&TRACES_EXPORTED, &self.sent);
        registry.add_single(&TRACES_DROPPED, &self.dropped);
    }
}

impl SpanQueue {
    /// Adds a span, or drops it if the queue is full.
    pub(super) fn push(&self, span: Span) {
        let mut spans = self.spans();
        if spans.len() < CAPACITY {
            spans.push_back(span);
            drop(spans);
            self.added.notify_one();
        } else {
            self.dropped.inc();
        }
    }

    /// Waits until a span is added. May return early. For one waiter only.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// When the first waiting span ended, and whether the waiting ones fill a message; `None` if none waits.
    pub(super) fn first(&self) -> Option<(Tick, bool)> {
        let spans = self.spans();
        let first = spans.front()?.ended;
        Some((first, spans.len() >= BATCH))
    }

    /// Takes the spans of the next message.
    pub(super) fn take(&self) -> Vec<Span> {
        let mut spans = self.spans();
        let count = spans.len().min(BATCH);
        spans.drain(..count).collect()
    }

    /// Counts the spans of a message as sent or dropped.
    pub(super) fn count(&self, sent: u64, dropped: u64) {
        self.sent.inc_by(sent);
        self.dropped.inc_by(dropped);
    }

    fn spans(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
