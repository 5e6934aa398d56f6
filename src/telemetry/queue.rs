//! The lines that wait to be written: bounded in bytes, the audit's apart from the others, so that neither takes the
//! other's room. Whoever puts a line in waits for nothing but the lock, which nobody holds while writing.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::counts::{Counts, Dropped};

/// How many bytes may wait, of the audit and of the others each.
const ROOM: usize = 2 << 20;
/// What a line takes beside its text.
const LINE: usize = 64;
/// About how many bytes are written at once.
const CHUNK: usize = 16 << 10;

/// To which part of the queue a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Audit,
    Events,
}

impl Lane {
    pub(super) const ALL: [Lane; 2] = [Lane::Audit, Lane::Events];

    /// What is counted where there is no room.
    pub(super) fn dropped(self) -> Dropped {
        match self {
            Lane::Audit => Dropped::Audit,
            Lane::Events => Dropped::Events,
        }
    }
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// There is a line, or the end is near.
    changed: Condvar,
    /// The writer has ended.
    ended: Condvar,
    counts: &'static Counts,
}

#[derive(Default)]
struct State {
    /// In the order in which they are written.
    lanes: [Lines; Lane::ALL.len()],
    /// The writer waits for a line.
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
    fn has_room_for(&self, line: &[u8]) -> bool {
        self.bytes + line.len() + LINE <= ROOM
    }

    fn push(&mut self, line: &[u8]) {
        self.bytes += line.len() + LINE;
        self.lines.push_back(line.into());
    }

    fn pop(&mut self) -> Option<Box<[u8]>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len() + LINE;
        Some(line)
    }
}

impl Queue {
    pub(super) fn new(counts: &'static Counts) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            counts,
        }
    }

    /// Puts a line in, or counts it as dropped.
    pub(super) fn push(&self, to: Lane, line: &[u8]) {
        let has_room = |state: &State| state.lanes[to as usize].has_room_for(line);
        if !self.push_if(to, line, has_room) {
            self.counts.add(to.dropped());
        }
    }

    /// Puts a line in whether there is room or not: one that says how many were dropped.
    pub(super) fn push_anyhow(&self, to: Lane, line: &[u8]) {
        self.push_if(to, line, |_| true);
    }

    fn push_if(&self, to: Lane, line: &[u8], may: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.lock();
        if state.has_ended || !may(&state) {
            return false;
        }
        state.lanes[to as usize].push(line);
        if state.is_idle {
            state.is_idle = false;
            self.changed.notify_all();
        }
        true
    }

    /// Takes the next whole lines, the audit's before others, and waits for them; `false` when there will be none.
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

    /// How many lines of the lane were dropped, once at least half of its room is free again.
    pub(super) fn dropped(&self, lane: Lane) -> Option<u64> {
        let is_drained = self.lock().lanes[lane as usize].bytes <= ROOM / 2;
        is_drained.then(|| self.counts.total(lane.dropped()))
    }

    /// Waits for so long, or until the end is near. Whether it is.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), pause, |state| !state.is_closing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_closing
    }

    /// The writer has ended: what comes from now on is dropped.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.ended.notify_all();
    }

    /// Has the writer write what is there and end; waits so long for that, and not again where that has been waited for.
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

    fn queue() -> Queue {
        Queue::new(Box::leak(Box::default()))
    }

    fn written(queue: &Queue) -> Vec<u8> {
        let (mut all, mut chunk) = (Vec::new(), Vec::new());
        queue.lock().is_closing = true;
        while queue.take(&mut chunk) {
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[test]
    fn lines_are_taken_whole_and_the_audits_first() {
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
    fn each_lane_keeps_what_has_room_and_counts_the_rest() {
        let queue = queue();
        let line = [b'.'; 1000];
        let fits = ROOM / (line.len() + LINE);
        for _ in 0..fits + 7 {
            queue.push(Lane::Events, &line);
        }
        assert_eq!(queue.counts.total(Dropped::Events), 7);
        assert_eq!(queue.counts.total(Dropped::Audit), 0);
        assert_eq!(queue.dropped(Lane::Events), None);
        assert_eq!(queue.dropped(Lane::Audit), Some(0));
        // However short the lines are.
        for _ in 0..ROOM {
            queue.push(Lane::Audit, b"");
        }
        assert_eq!(
            queue.counts.total(Dropped::Audit),
            (ROOM - ROOM / LINE) as u64
        );
        assert_eq!(written(&queue).len(), fits * line.len());
        assert_eq!(queue.dropped(Lane::Events), Some(7));
    }

    #[test]
    fn after_the_writers_end_nothing_is_kept() {
        let queue = queue();
        queue.end();
        queue.finish(Duration::MAX);
        queue.push(Lane::Events, b"late\n");
        assert_eq!(queue.counts.total(Dropped::Events), 1);
        assert!(written(&queue).is_empty());
    }

    #[test]
    fn the_end_is_waited_for_once() {
        let queue = queue();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            queue.finish(Duration::ZERO);
            queue.finish(Duration::MAX);
            tell.send(())
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(()));
    }
}
