//! engage-bff: a caching backend-for-frontend for Voyado Engage.

pub mod cache;
pub mod clock;
pub mod config;
pub mod customer;
pub mod domain;
pub mod engage;
