//! The route table: each method of each path, of both listeners. The routers, the `Allow` field of a 405, the route in
//! log events, and the checks that precede routing are derived from it.

mod label;
mod router;

use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

pub(super) use self::{
    label::RouteLabel,
    router::{data_router, operations_router},
};
use super::{
    batch, changed,
    customer::LookupRoute,
    operations::{self, OperationsState},
    prefetch, probe,
    state::AppState,
    webhook,
};

/// The path whose `GET` the fast path answers.
pub(super) const CUSTOMER: &str = "/customer";

/// The listener that serves a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// `server.listen`.
    Data,
    /// `operations.listen`.
    Operations,
}

/// What a request must show to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing. A connection beyond `server.max_connections` is served a probe too.
    Probe,
    /// Nothing: scraped, and so logged at debug.
    Metrics,
    /// Nothing: the console's files, which contain no data.
    Page,
    /// A client's key, a shopper's token, or both.
    Caller,
    /// A signature of the body with one of `webhooks.secrets`.
    Signature,
    /// `operations.token`, where one is set.
    Operator,
}

/// One method of one path.
pub struct Route {
    /// The method; `GET` includes `HEAD`.
    pub method: Method,
    /// The path. `{name}`, at its end only, stands for one segment.
    pub path: &'static str,
    /// What a request must show.
    pub access: Access,
    handler: Handler,
}

/// What answers a route. The variant decides the listener.
enum Handler {
    /// A customer look-up, which bypasses the router.
    Lookup(LookupRoute),
    Data(fn(MethodFilter) -> MethodRouter<AppState>),
    Operations(fn(MethodFilter) -> MethodRouter<OperationsState>),
}

use Handler::{Data, Lookup, Operations};

/// Every route. Any other path is a 404, any other method of one of these a 405. Both need a
/// credential, except the 405 of the operations listener.
pub static ROUTES: [Route; 25] = [
    Route {
        method: Method::GET,
        path: CUSTOMER,
        access: Access::Caller,
        handler: Lookup(LookupRoute::ByQuery),
    },
    Route {
        method: Method::POST,
        path: "/customer/batch",
        access: Access::Caller,
        handler: Data(|method| on(method, batch::receive)),
    },
    Route {
        method: Method::POST,
        path: "/customer/changed",
        access: Access::Caller,
        handler: Data(|method| on(method, changed::report)),
    },
    Route {
        method: Method::POST,
        path: "/customer/lookup",
        access: Access::Caller,
        handler: Lookup(LookupRoute::ByBody),
    },
    Route {
        method: Method::GET,
        path: "/customer/me",
        access: Access::Caller,
        handler: Lookup(LookupRoute::Own),
    },
    Route {
        method: Method::POST,
        path: "/customer/prefetch",
        access: Access::Caller,
        handler: Data(|method| on(method, prefetch::receive)),
    },
    Route {
        method: Method::GET,
        path: "/livez",
        access: Access::Probe,
        handler: Data(|method| on(method, probe::live)),
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        access: Access::Probe,
        handler: Data(|method| on(method, probe::ready)),
    },
    Route {
        method: Method::POST,
        path: "/webhooks/engage",
        access: Access::Signature,
        handler: Data(|method| on(method, webhook::receive)),
    },
    Route {
        method: Method::GET,
        path: "/",
        access: Access::Page,
        handler: Operations(|method| on(method, operations::console::page)),
    },
    Route {
        method: Method::DELETE,
        path: "/cache/contacts/{contactId}",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::cache::purge_contact)),
    },
    Route {
        method: Method::GET,
        path: "/cache/decisions",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::decisions::list)),
    },
    Route {
        method: Method::GET,
        path: "/cache/enabled",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::cache::is_on)),
    },
    Route {
        method: Method::PUT,
        path: "/cache/enabled",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::cache::switch)),
    },
    Route {
        method: Method::POST,
        path: "/cache/explain",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::explain::explain)),
    },
    Route {
        method: Method::POST,
        path: "/cache/purge",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::cache::purge)),
    },
    Route {
        method: Method::GET,
        path: "/cache/stats",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::cache::stats)),
    },
    Route {
        method: Method::GET,
        path: "/console/{file}",
        access: Access::Page,
        handler: Operations(|method| on(method, operations::console::file)),
    },
    Route {
        method: Method::GET,
        path: "/events",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::events::watch)),
    },
    Route {
        method: Method::GET,
        path: "/docs",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::reference::page)),
    },
    Route {
        method: Method::GET,
        path: "/livez",
        access: Access::Probe,
        handler: Operations(|method| on(method, probe::live)),
    },
    Route {
        method: Method::GET,
        path: "/metrics",
        access: Access::Metrics,
        handler: Operations(|method| on(method, operations::metrics)),
    },
    Route {
        method: Method::GET,
        path: "/openapi.json",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::reference::document)),
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        access: Access::Probe,
        handler: Operations(|method| on(method, operations::readiness::ready)),
    },
    Route {
        method: Method::POST,
        path: "/reload",
        access: Access::Operator,
        handler: Operations(|method| on(method, operations::reload::reload)),
    },
];

impl Route {
    /// The listener that serves it.
    pub fn listener(&self) -> ListenerKind {
        match self.handler {
            Lookup(_) | Data(_) => ListenerKind::Data,
            Operations(_) => ListenerKind::Operations,
        }
    }

    fn filter(&self) -> MethodFilter {
        let filter = MethodFilter::try_from(self.method.clone());
        filter.expect("the table has standard methods only")
    }

    fn matches(&self, path: &str) -> bool {
        let is_segment = |rest: &str| !rest.is_empty() && !rest.contains('/');
        match self.path.split_once('{') {
            None => self.path == path,
            Some((stem, _)) => path.strip_prefix(stem).is_some_and(is_segment),
        }
    }

    fn allows(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

/// The routes of a path, one for each of its methods.
fn routes_at(listener: ListenerKind, path: &str) -> impl Iterator<Item = &'static Route> {
    let is_at = move |route: &&Route| route.listener() == listener && route.matches(path);
    ROUTES.iter().filter(is_at)
}

/// The look-up that a request to the data listener is, if it is one.
pub(super) fn lookup_route(method: &Method, path: &str) -> Option<LookupRoute> {
    let mut routes = routes_at(ListenerKind::Data, path);
    match routes.find(|route| route.allows(method))?.handler {
        Lookup(lookup) => Some(lookup),
        Data(_) | Operations(_) => None,
    }
}

/// Whether the path is a probe's.
pub(super) fn is_probe(path: &str) -> bool {
    let is_it = |route: &Route| route.access == Access::Probe && route.matches(path);
    ROUTES.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_stands_for_one_segment() {
        let path = |path| RouteLabel::of(ListenerKind::Operations, path, &Method::GET).path();
        assert_eq!(path("/cache/contacts/1"), "/cache/contacts/{contactId}");
        for other in ["/cache/contacts/", "/cache/contacts/1/2", "/cache/contacts"] {
            assert_eq!(path(other), "(unknown)", "{other}");
        }
    }

    #[test]
    fn no_method_of_a_path_is_listed_twice() {
        for (index, route) in ROUTES.iter().enumerate() {
            let is_same = |other: &Route| {
                other.listener() == route.listener()
                    && other.path == route.path
                    && other.method == route.method
            };
            assert!(!ROUTES[..index].iter().any(is_same), "{}", route.path);
        }
    }

    #[test]
    fn placeholders_stand_at_the_end_of_a_path() {
        for route in &ROUTES {
            if let Some((stem, name)) = route.path.split_once('{') {
                assert!(stem.ends_with('/') && name.find('}') == Some(name.len() - 1));
            }
        }
    }
}
