//! The arguments and results of the operations. `scripts/*.lua` describe the arguments of each script.

pub(super) mod budget;
pub(super) mod epoch;
pub(super) mod flight;
pub(super) mod server;
pub(super) mod stream;

use crate::domain::{Part, PartSet};

/// A bit for each part.
fn bits(parts: PartSet) -> u8 {
    Part::ALL
        .into_iter()
        .filter(|part| parts.contains(*part))
        .fold(0, |bits, part| bits | 1 << part as u8)
}
