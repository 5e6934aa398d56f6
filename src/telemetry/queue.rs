//! The lines that wait to be written. Audit lines and other lines have separate bounds in bytes, so that neither
//! displaces the other. Pushing a line waits only for the lock, which is never held while writing.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::dropped::{Dropped, DroppedCounts};

/// The most bytes that may wait in each lane.
const CAPACITY: usize = 2 << 20;
/// The bytes that a line takes in addition to its text.
const LINE_OVERHEAD: usize = 64;
/// The approximate number of bytes written at once.
const CHUNK: usize = 16 << 10;

/// The part of the queue to which a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Audit,
    Events,
}

impl Lane {
    pub(super) const ALL: [Lane; 2] = [Lane::Audit, Lane::Events];

    /// The count of lines that did not fit.
    pub(super) fn dropped(self) -> Dropped {
        match self {
            Lane::Audit => Dropped::Audit,
            Lane::Events => Dropped::Events,
        }
    }
}

pub(super) struct LogQueue {
    state: Mutex<State>,
    /// Signals that there is a line, or that the queue is closing.
    changed: Condvar,
    /// Signals that the writer has ended.
    ended: Condvar,
    counts: &'static DroppedCounts,
}

#[derive(Default)]
struct State {
    /// In the order of [`Lane::ALL`], which is also the order of writing.
    lanes: [Lines; Lane::ALL.len()],
    /// Whether the writer is waiting for a line.
    is_idle: bool,
    is_closing: bool,
    has_ended: bool,
}

#[derive(Default)]
struct Lines {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Lines {
    fn fits(&self, line: &[u8]) -> bool {
        self.bytes + line.len() + LINE_OVERHEAD <= CAPACITY
    }

    fn push(&mut self, line: &[u8]) {
        self.bytes += line.len() + LINE_OVERHEAD;
        self.lines.push_back(line.into());
    }

    fn pop(&mut self) -> Option<Box<[u8]>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len() + LINE_OVERHEAD;
        Some(line)
    }
}

impl LogQueue {
    pub(super) fn new(counts: &'static DroppedCounts) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            counts,
        }
    }

    /// Adds a line, or counts it as dropped if it does not fit.
    pub(super) fn push(&self, to: Lane, line: &[u8]) {
        let fits = |state: &State| state.lanes[to as usize].fits(line);
        if !self.push_if(to, line, fits) {
            self.counts.add(to.dropped());
        }
    }

    /// Adds a line even if the lane is full: for the writer's own lines, which report dropped ones.
    pub(super) fn push_unbounded(&self, to: Lane, line: &[u8]) {
        self.push_if(to, line, |_| true);
    }

    fn push_if(&self, to: Lane, line: &[u8], fits: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.lock();
        if state.has_ended || !fits(&state) {
            return false;
        }
        state.lanes[to as usize].push(line);
        if state.is_idle {
            state.is_idle = false;
            self.changed.notify_all();
        }
        true
    }

    /// Waits for lines and moves the next ones into `chunk`, audit lines first. `false` once the queue is closed and
    /// empty.
    pub(super) fn take(&self, chunk: &mut Vec<u8>) -> bool {
        chunk.clear();
        let mut state = self.lock();
        loop {
            for lines in &mut state.lanes {
                while chunk.len() < CHUNK
                    && let Some(line) = lines.pop()
                {
                    chunk.extend_from_slice(&line);
                }
            }
            if !chunk.is_empty() {
                return true;
            }
            if state.is_closing {
                return false;
            }
            state.is_idle = true;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.is_idle = false;
        }
    }

    /// How many lines of the lane were dropped in all. `None` until at least half of its capacity is free again.
    pub(super) fn dropped(&self, lane: Lane) -> Option<u64> {
        let is_drained = self.lock().lanes[lane as usize].bytes <= CAPACITY / 2;
        is_drained.then(|| self.counts.total(lane.dropped()))
    }

    /// Waits for this long or until the queue is closing. Returns whether it is closing.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), pause, |state| !state.is_closing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_closing
    }

    /// Marks the writer as ended: further lines are dropped.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.ended.notify_all();
    }

    /// Closes the queue and waits, for `at_most`, until the writer has written the rest. A second call returns at once.
    pub(super) fn finish(&self, at_most: Duration) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_closing, true) {
            return;
        }
        self.changed.notify_all();
        let has_not_ended = |state: &mut State| !state.has_ended;
        let waited = self.ended.wait_timeout_while(state, at_most, has_not_ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> LogQueue {
        LogQueue::new(Box::leak(Box::default()))
    }

    fn written(queue: &LogQueue) -> Vec<u8> {
        let (mut all, mut chunk) = (Vec::new(), Vec::new());
        queue.lock().is_closing = true;
        while queue.take(&mut chunk) {
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[test]
    fn lines_are_taken_whole_and_audit_lines_first() {
        let queue = queue();
        let long = "x".repeat(CHUNK + 1) + "\n";
        queue.push(Lane::Events, long.as_bytes());
        queue.push(Lane::Events, b"two\n");
        queue.push(Lane::Audit, b"looked\n");
        let mut chunk = Vec::new();
        assert!(queue.take(&mut chunk));
        assert_eq!(chunk, format!("looked\n{long}").as_bytes());
        assert!(queue.take(&mut chunk));
        assert_eq!(chunk, b"two\n");
    }

    #[test]
    fn each_lane_keeps_the_lines_that_fit_and_counts_the_rest() {
        let queue = queue();
        let line = [b'.'; 1000];
        let fits = CAPACITY / (line.len() + LINE_OVERHEAD);
        for _ in 0..fits + 7 {
            queue.push(Lane::Events, &line);
        }
        assert_eq!(queue.counts.total(Dropped::Events), 7);
        assert_eq!(queue.counts.total(Dropped::Audit), 0);
        assert_eq!(queue.dropped(Lane::Events), None);
        assert_eq!(queue.dropped(Lane::Audit), Some(0));
        // Empty lines count too.
        for _ in 0..CAPACITY {
            queue.push(Lane::Audit, b"");
        }
        assert_eq!(
            queue.counts.total(Dropped::Audit),
            (CAPACITY - CAPACITY / LINE_OVERHEAD) as u64
        );
        assert_eq!(written(&queue).len(), fits * line.len());
        assert_eq!(queue.dropped(Lane::Events), Some(7));
    }

    #[test]
    fn lines_after_the_end_of_the_writer_are_dropped() {
        let queue = queue();
        queue.end();
        queue.finish(Duration::MAX);
        queue.push(Lane::Events, b"late\n");
        assert_eq!(queue.counts.total(Dropped::Events), 1);
        assert!(written(&queue).is_empty());
    }

    #[test]
    fn finish_waits_for_the_writer_only_once() {
        let queue = queue();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            queue.finish(Duration::ZERO);
            queue.finish(Duration::MAX);
            sender.send(())
        });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(()));
    }
}
