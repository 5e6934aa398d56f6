//! Runs the end-to-end tests of `tests/api` with Engage's API v2: the harness derives the version from the name of the
//! test target.

#[path = "../api/main.rs"]
mod api;
mod points;

// The modules that tests refer to as `crate::…`.
pub(crate) use api::{
    admission, alias_conflicts, audit, connections, fast_path, faults, forms, harness, issuer,
    learned_aliases, operators, sensitive, tokens, upstream, wire,
};
