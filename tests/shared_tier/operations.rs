//! What `shared_tier::protocol` promises of each operation, one test for each promise.

mod flights;
