//! The same front-door tests once more, with Engage's API v2: the harness takes the version from the
//! target that it is compiled for.

#[path = "../api/main.rs"]
mod api;
mod points;

// What the tests call by `crate::…`.
pub(crate) use api::{
    admission, audit, connections, fast_path, faults, forms, harness, issuer, marks, operators,
    tokens, upstream, wire,
};
