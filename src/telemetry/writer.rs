//! The thread that writes the log, and the only one that a slow reader of the log can block.

use std::{
    cell::Cell,
    fs::File,
    io::{self, ErrorKind, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use memchr::memrchr;
use rustix::event::{PollFd, PollFlags, poll};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    AUDIT,
    queue::{Lane, LogQueue},
};

/// How long to wait before writing again to a full disk or to a pipe without a reader.
const RETRY_DELAY: Duration = Duration::from_secs(1);

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Makes a writer that puts each event's line into the queue.
pub(super) struct ToQueue(Arc<LogQueue>);

impl ToQueue {
    pub(super) fn new(queue: Arc<LogQueue>) -> Self {
        Self(queue)
    }
}

/// Puts one event's line into the queue; the formatter writes it in one piece.
pub(super) struct Line<'queue> {
    queue: &'queue LogQueue,
    lane: Lane,
}

impl<'queue> MakeWriter<'queue> for ToQueue {
    type Writer = Line<'queue>;

    fn make_writer(&'queue self) -> Line<'queue> {
        Line {
            queue: &self.0,
            lane: Lane::Events,
        }
    }

    fn make_writer_for(&'queue self, event: &Metadata<'_>) -> Line<'queue> {
        let lane = if event.target() == AUDIT {
            Lane::Audit
        } else {
            Lane::Events
        };
        Line {
            queue: &self.0,
            lane,
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if IS_WRITER.get() {
            self.queue.push_unbounded(self.lane, line);
        } else {
            self.queue.push(self.lane, line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the writer thread.
pub(super) fn spawn(queue: Arc<LogQueue>, output: File) -> io::Result<()> {
    let writer = Writer {
        queue,
        output,
        reported: [0; Lane::ALL.len()],
    };
    let thread = thread::Builder::new().name("log".to_owned());
    thread.spawn(move || writer.run()).map(drop)
}

struct Writer {
    queue: Arc<LogQueue>,
    output: File,
    /// The number of dropped events reported for each lane.
    reported: [u64; Lane::ALL.len()],
}

/// The queue is closing, and the output accepts nothing more.
struct Closed;

impl Writer {
    fn run(mut self) {
        IS_WRITER.set(true);
        let mut chunk = Vec::new();
        while self.queue.take(&mut chunk) && self.write(&chunk).is_ok() {
            self.report_dropped();
        }
    }

    /// Logs how many events were dropped since the last report.
    fn report_dropped(&mut self) {
        for lane in Lane::ALL {
            let reported = &mut self.reported[lane as usize];
            let Some(total) = self.queue.dropped(lane).filter(|total| total > reported) else {
                continue;
            };
            let dropped = total - *reported;
            match lane {
                Lane::Audit => tracing::error!(
                    target: AUDIT,
                    alarm = true,
                    dropped,
                    "audit events dropped"
                ),
                Lane::Events => tracing::warn!(dropped, "log events dropped"),
            }
            *reported = total;
        }
    }

    /// Writes the whole chunk, however long that takes. Retries when writing fails: the disk may get free space, or the
    /// pipe another reader.
    fn write(&mut self, chunk: &[u8]) -> Result<(), Closed> {
        let mut written = 0;
        while written < chunk.len() {
            let error = match self.output.write(&chunk[written..]) {
                Ok(0) => ErrorKind::WriteZero,
                Ok(bytes) => {
                    written += bytes;
                    continue;
                }
                Err(error) => error.kind(),
            };
            match error {
                ErrorKind::Interrupted => {}
                // The pipe was set to non-blocking by another process that shares it.
                ErrorKind::WouldBlock => wait_for(&self.output),
                _ => {
                    if error == ErrorKind::BrokenPipe {
                        // The next reader must start at the beginning of a line.
                        let lines = memrchr(b'\n', &chunk[..written]);
                        written = lines.map_or(0, |end| end + 1);
                    }
                    if self.queue.pause(RETRY_DELAY) {
                        return Err(Closed);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Waits until the output is writable.
fn wait_for(output: &File) {
    // If this fails, so does the next attempt to write.
    let _ = poll(&mut [PollFd::new(output, PollFlags::OUT)], None);
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.end();
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::fd::OwnedFd};

    use super::*;

    /// The capacity of a pipe (pipe(7)).
    const PIPE_BYTES: usize = 1 << 16;
    /// More lines than fit into any pipe, and few enough for the queue: none is dropped, however late the writer's
    /// thread runs.
    const LINES: usize = 15_000;

    fn line(number: usize) -> String {
        format!("line {number} of {LINES} {}\n", "-".repeat(50))
    }

    fn started(output: impl Into<OwnedFd>) -> Arc<LogQueue> {
        let queue = Arc::new(LogQueue::new(Box::leak(Box::default())));
        spawn(Arc::clone(&queue), File::from(output.into())).expect("a thread");
        queue
    }

    #[test]
    fn lines_queued_behind_a_full_pipe_are_written_in_order() {
        let (mut reader, mut writer) = io::pipe().expect("a pipe");
        // The pipe is full from the start, so the writer's thread makes no room in the queue, whenever it runs.
        let filler = vec![b'\n'; PIPE_BYTES];
        writer.write_all(&filler).expect("room");
        let queue = started(writer);
        for number in 0..LINES {
            queue.push(Lane::Events, line(number).as_bytes());
        }
        let read = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        queue.finish(Duration::MAX);
        let text = read.join().expect("an end").expect("text");
        let all: String = (0..LINES).map(line).collect();
        let text = &text[PIPE_BYTES..];
        assert!(text.len() > 1 << 20 && all.starts_with(text) && text.ends_with('\n'));
    }

    #[test]
    fn finish_does_not_wait_for_a_pipe_that_is_not_read() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let queue = started(writer);
        for number in 0..LINES {
            queue.push(Lane::Events, line(number).as_bytes());
        }
        queue.finish(Duration::from_millis(10));
        drop(reader);
    }

    #[test]
    fn finish_does_not_wait_for_a_pipe_without_a_reader() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let queue = started(writer);
        queue.push(Lane::Events, b"unread\n");
        queue.finish(Duration::MAX);
    }
}
