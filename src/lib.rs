//! engage-bff: a caching backend-for-frontend for Voyado Engage.

pub mod clock;
pub mod domain;
