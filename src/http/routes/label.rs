//! The route of a request, as it is logged and traced.

use http::Method;

use super::{Access, ListenerKind, routes_at};
use crate::{customer::CacheStatus, traces::Responded};

/// The method of preflights.
const OPTIONS: &str = "OPTIONS";

/// The route of a request, for its log event. The method need not be one of the path's.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct RouteLabel {
    known: Option<(&'static str, Access)>,
    method: &'static str,
}

impl RouteLabel {
    /// The label of a request whose head can't be read.
    pub(in crate::http) const UNREADABLE: Self = Self {
        known: None,
        method: "(other)",
    };

    pub(in crate::http) fn of(listener: ListenerKind, path: &str, method: &Method) -> Self {
        let route = routes_at(listener, path).next();
        Self {
            known: route.map(|route| (route.path, route.access)),
            method: match *method {
                Method::GET => "GET",
                Method::HEAD => "HEAD",
                Method::POST => "POST",
                Method::PUT => "PUT",
                Method::DELETE => "DELETE",
                Method::OPTIONS => OPTIONS,
                _ => "(other)",
            },
        }
    }

    /// The path's template.
    pub(in crate::http) fn path(self) -> &'static str {
        self.known.map_or("(unknown)", |(path, _)| path)
    }

    pub(in crate::http) fn method(self) -> &'static str {
        self.method
    }

    /// How a request of this route was answered, for its span.
    pub(in crate::http) fn responded(
        self,
        status: u16,
        code: Option<&'static str>,
        cache_status: Option<CacheStatus>,
    ) -> Responded {
        Responded {
            method: self.method(),
            route: self.path(),
            status,
            code,
            cache: cache_status.map(CacheStatus::as_str),
        }
    }

    /// Whether the request's sender is not known until its body has been read.
    pub(in crate::http) fn is_signed(self) -> bool {
        matches!(self.known, Some((_, Access::Signature)))
    }

    /// Whether it is a preflight, if it was answered with success: no route has this method.
    pub(in crate::http) fn is_preflight(self) -> bool {
        self.method == OPTIONS
    }

    /// Whether such requests come periodically, from probes and scrapers.
    pub(in crate::http) fn is_polled(self) -> bool {
        matches!(self.known, Some((_, Access::Probe | Access::Metrics)))
    }
}
