//! The final message on standard error, which may be a pipe that is not read.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::clock::Clock;

/// A pipe that is writable takes this many bytes without blocking (POSIX, `PIPE_BUF`).
const PIECE: usize = 512;

/// Writes the text to standard error, or as much of it as can be written within `at_most`.
pub fn last_word(text: &str, at_most: Duration) {
    let stderr = io::stderr();
    let clock = Clock::system();
    let end = clock.tick() + at_most;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let left = Timespec::try_from(end.since(clock.tick()));
        let mut output = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
        match poll(&mut output, left.ok().as_ref()) {
            Ok(0) => return,
            Ok(_) if output[0].revents().contains(PollFlags::OUT) => {}
            Err(Errno::INTR) => continue,
            // The reader has closed the pipe.
            Ok(_) | Err(_) => return,
        }
        let piece = &rest[..rest.len().min(PIECE)];
        match rustix::io::write(stderr.as_fd(), piece) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
