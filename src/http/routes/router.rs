//! The routers of both listeners, made from the table, and the 404s and 405s of all other requests.

use axum::{Router, routing::MethodRouter};
use http::{Method, Uri};

use super::{
    Handler::{Data, Lookup, Operations},
    ListenerKind, ROUTES, Route, routes_at,
};
use crate::http::{
    auth::Caller,
    cors::Cors,
    error::{ApiError, Code},
    operations::{OperationsState, Operator},
    state::AppState,
};

/// The data listener's router.
pub(in crate::http) fn data_router(state: AppState, cors: &Cors) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let methods = match route.handler {
            // Served without the router, which is left with the other methods of the path.
            Lookup(_) => MethodRouter::new(),
            Data(handler) => handler(route.filter()),
            Operations(_) => continue,
        };
        router = router.route(route.path, methods);
    }
    let router = router
        .method_not_allowed_fallback(data_method_not_allowed)
        .fallback(data_path_not_found)
        .with_state(state);
    if cors.is_off() {
        return router;
    }
    let served = ROUTES
        .iter()
        .filter(|route| route.listener() == ListenerKind::Data);
    router.layer(cors.layer(methods(served)))
}

/// The operations listener's router.
pub(in crate::http) fn operations_router(state: OperationsState) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        if let Operations(handler) = route.handler {
            router = router.route(route.path, handler(route.filter()));
        }
    }
    router
        .method_not_allowed_fallback(operations_method_not_allowed)
        .fallback(operations_path_not_found)
        .with_state(state)
}

/// Without a credential the response is a 401, which does not disclose which paths exist.
async fn data_path_not_found(_caller: Caller) -> ApiError {
    ApiError::new(Code::NotFound)
}

async fn data_method_not_allowed(_caller: Caller, uri: Uri) -> ApiError {
    method_not_allowed(ListenerKind::Data, uri.path())
}

async fn operations_path_not_found(_operator: Operator) -> ApiError {
    ApiError::new(Code::NotFound)
}

async fn operations_method_not_allowed(uri: Uri) -> ApiError {
    method_not_allowed(ListenerKind::Operations, uri.path())
}

fn method_not_allowed(listener: ListenerKind, path: &str) -> ApiError {
    let methods = methods(routes_at(listener, path));
    let allow = methods.iter().map(Method::as_str).collect::<Vec<_>>();
    ApiError::new(Code::MethodNotAllowed).allow(allow.join(", "))
}

/// The methods of the routes, each once, `HEAD` after `GET`.
fn methods(routes: impl Iterator<Item = &'static Route>) -> Vec<Method> {
    let mut methods = Vec::new();
    for route in routes {
        let head = (route.method == Method::GET).then_some(Method::HEAD);
        for method in [route.method.clone()].into_iter().chain(head) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
    }
    methods
}
