//! The pages, compiled in: one layout, and for each page its content and its script.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{Html, IntoResponse},
    routing::get,
};

const LAYOUT: &str = include_str!("../pages/layout.html");

/// Path, title, content.
const PAGES: [(&str, &str, &str); 6] = [
    ("/", "Welcome", include_str!("../pages/welcome.html")),
    ("/me", "My pages", include_str!("../pages/me.html")),
    (
        "/checkout",
        "Checkout",
        include_str!("../pages/checkout.html"),
    ),
    ("/content", "Content", include_str!("../pages/content.html")),
    ("/till", "Till", include_str!("../pages/till.html")),
    ("/desk", "Service desk", include_str!("../pages/desk.html")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, media type, content.
const FILES: [(&str, &str, &str); 12] = [
    (
        "/shop.css",
        "text/css; charset=utf-8",
        include_str!("../pages/shop.css"),
    ),
    ("/shop.js", JAVASCRIPT, include_str!("../pages/shop.js")),
    (
        "/backstage.js",
        JAVASCRIPT,
        include_str!("../pages/backstage.js"),
    ),
    ("/me.js", JAVASCRIPT, include_str!("../pages/me.js")),
    (
        "/checkout.js",
        JAVASCRIPT,
        include_str!("../pages/checkout.js"),
    ),
    (
        "/content.js",
        JAVASCRIPT,
        include_str!("../pages/content.js"),
    ),
    ("/till.js", JAVASCRIPT, include_str!("../pages/till.js")),
    ("/desk.js", JAVASCRIPT, include_str!("../pages/desk.js")),
    (
        "/client/index.js",
        JAVASCRIPT,
        include_str!("../pages/client/index.js"),
    ),
    (
        "/client/exact.js",
        JAVASCRIPT,
        include_str!("../pages/client/exact.js"),
    ),
    (
        "/client/failure.js",
        JAVASCRIPT,
        include_str!("../pages/client/failure.js"),
    ),
    (
        "/client/lines.js",
        JAVASCRIPT,
        include_str!("../pages/client/lines.js"),
    ),
];

/// Serves them. `bff`: the only other origin that pages may call.
pub(super) fn router<S: Clone + Send + Sync + 'static>(bff: &str) -> Router<S> {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {bff}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("an address has no control characters");
    let mut router = Router::new();
    for (path, title, content) in PAGES {
        let script = match path {
            "/" => String::new(),
            path => format!("<script type=\"module\" src=\"{path}.js\"></script>"),
        };
        let here = format!("href=\"{path}\"");
        let page = LAYOUT
            .replace("{title}", title)
            .replace("{content}", content)
            .replace("{script}", &script)
            .replacen(&here, &format!("{here} aria-current=\"page\""), 1);
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy.clone()),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
            no_sniff(),
        ];
        router = router.route(path, get(move || async move { (headers, Html(page)) }));
    }
    for (path, kind, content) in FILES {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            no_sniff(),
        ];
        let answer = move || async move { (headers, content).into_response() };
        router = router.route(path, get(answer));
    }
    router
}

fn no_sniff() -> (HeaderName, HeaderValue) {
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    )
}
