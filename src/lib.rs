//! engage-bff: a caching backend-for-frontend for Voyado Engage.

