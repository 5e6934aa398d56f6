//! The end-to-end tests again with Engage's API v2: the harness takes the version from the target it is compiled for.

#[path = "../api/main.rs"]
mod api;
mod points;

// The modules that tests refer to as `crate::…`.
pub(crate) use api::{
    admission, alias_conflicts, audit, connections, fast_path, faults, forms, harness, issuer,
    learned_aliases, operators, sensitive, tokens, upstream, wire,
};
