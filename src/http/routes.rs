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
    operations::{
        self, OperationsState, cache, console, decisions, events, explain, readiness, reference,
        reload,
    },
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
    /// Nothing. Probes are answered even on a connection beyond the listener's limit of connections.
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

use Access::{Caller, Metrics, Operator, Page, Probe, Signature};
use Handler::{Data, Lookup, Operations};

/// Every route. Any other path is a 404, any other method of one of these a 405. Both need a
/// credential, except the 405 of the operations listener.
pub static ROUTES: [Route; 27] = [
    lookup(Method::GET, CUSTOMER, LookupRoute::ByQuery),
    data(Method::POST, "/customer/batch", Caller, |method| {
        on(method, batch::receive)
    }),
    data(Method::POST, "/customer/changed", Caller, |method| {
        on(method, changed::report)
    }),
    lookup(Method::POST, "/customer/lookup", LookupRoute::ByBody),
    lookup(Method::GET, "/customer/me", LookupRoute::Own),
    data(Method::POST, "/customer/prefetch", Caller, |method| {
        on(method, prefetch::receive)
    }),
    data(Method::GET, "/livez", Probe, |method| {
        on(method, probe::live)
    }),
    data(Method::GET, "/readyz", Probe, |method| {
        on(method, probe::ready)
    }),
    data(Method::POST, "/webhooks/engage", Signature, |method| {
        on(method, webhook::receive)
    }),
    operations(Method::GET, "/", Page, |method| on(method, console::page)),
    operations(
        Method::DELETE,
        "/cache/contacts/{contactId}",
        Operator,
        |method| on(method, cache::purge_contact),
    ),
    operations(Method::GET, "/cache/decisions", Operator, |method| {
        on(method, decisions::list)
    }),
    operations(Method::GET, "/cache/enabled", Operator, |method| {
        on(method, cache::is_on)
    }),
    operations(Method::PUT, "/cache/enabled", Operator, |method| {
        on(method, cache::switch)
    }),
    operations(Method::POST, "/cache/explain", Operator, |method| {
        on(method, explain::explain)
    }),
    operations(Method::POST, "/cache/purge", Operator, |method| {
        on(method, cache::purge)
    }),
    operations(Method::GET, "/cache/stats", Operator, |method| {
        on(method, cache::stats)
    }),
    operations(Method::GET, "/console/{file}", Page, |method| {
        on(method, console::file)
    }),
    operations(Method::GET, "/events", Operator, |method| {
        on(method, events::watch)
    }),
    operations(Method::GET, "/docs", Operator, |method| {
        on(method, reference::data_page)
    }),
    operations(Method::GET, "/docs/operations", Operator, |method| {
        on(method, reference::operations_page)
    }),
    operations(Method::GET, "/livez", Probe, |method| {
        on(method, probe::live)
    }),
    operations(Method::GET, "/metrics", Metrics, |method| {
        on(method, operations::metrics)
    }),
    operations(Method::GET, "/openapi.json", Operator, |method| {
        on(method, reference::data_document)
    }),
    operations(
        Method::GET,
        "/openapi-operations.json",
        Operator,
        |method| on(method, reference::operations_document),
    ),
    operations(Method::GET, "/readyz", Probe, |method| {
        on(method, readiness::ready)
    }),
    operations(Method::POST, "/reload", Operator, |method| {
        on(method, reload::reload)
    }),
];

const fn lookup(method: Method, path: &'static str, route: LookupRoute) -> Route {
    Route {
        method,
        path,
        access: Caller,
        handler: Lookup(route),
    }
}

const fn data(
    method: Method,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<AppState>,
) -> Route {
    Route {
        method,
        path,
        access,
        handler: Data(handler),
    }
}

const fn operations(
    method: Method,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<OperationsState>,
) -> Route {
    Route {
        method,
        path,
        access,
        handler: Operations(handler),
    }
}

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
