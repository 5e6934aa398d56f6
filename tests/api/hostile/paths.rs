//! Paths that another server might resolve to a route or a file.

use super::{
    Expected::{Problem, Refused},
    MARK, Row, bare, cached, key,
};

const PATHS: [&str; 66] = [
    "/",
    "//",
    "///customer",
    "//customer",
    "//bff/customer",
    "/customer/",
    "/customer//",
    "//customer/lookup",
    "/customer//lookup",
    "/customer/lookup/",
    "/customer/lookup/zq9mark",
    "/customer;",
    "/customer;zq9mark=1",
    "/;/customer",
    "/customer;/lookup",
    "/customer/;zq9mark/lookup",
    "/..;/customer",
    "/customer/..;/livez",
    "/%63ustomer",
    "/%2563ustomer",
    "/customer%2f",
    "/customer%2Flookup",
    "/customer%2flookup",
    "/customer%5clookup",
    "/customer\\lookup",
    "/\\customer",
    "/customer%00",
    "/customer%00.json",
    "/customer%20",
    "/customer%09",
    "/customer%0d%0a",
    "/customer%0aX-Zq9mark:1",
    "/%20customer",
    "/customer%3fcontactId=1",
    "/customer%23",
    "/customer%",
    "/customer%zz",
    "/customer%c0%af",
    "/customer%ff",
    "/customer%e2%81%84lookup",
    "/%ef%bc%8fcustomer",
    "/cu%c5%bftomer",
    "/./customer",
    "/../customer",
    "/customer/.",
    "/customer/..",
    "/customer/./lookup",
    "/nowhere/../customer",
    "/customer/../customer",
    "/%2e/customer",
    "/%2e%2e/customer",
    "/..%2fcustomer",
    "/..%252fcustomer",
    "/customer/..%2f..%2fetc%2fpasswd",
    "/Customer",
    "/CUSTOMER",
    "/customer/Lookup",
    "/customer.json",
    "/customer.html",
    "/customer~",
    "/customers",
    "/metrics",
    "/livez/",
    "/Livez",
    "/.env",
    "/.git/config",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in PATHS {
        let target = format!("{path}?{}", cached());
        let known = bare("GET", &target, &key());
        rows.push(Row::new(known, Problem(404, "NotFound")).never(path));
        let unauthenticated = bare("GET", &target, "");
        rows.push(Row::new(unauthenticated, Problem(401, "Unauthorized")).never(path));
    }
    let long = format!("/customer/{}", MARK.repeat(1000));
    rows.push(Row::new(
        bare("GET", &long, &key()),
        Problem(404, "NotFound"),
    ));
    for target in [
        "",
        "*",
        "customer",
        "?contactId=1",
        "bff/customer",
        "bff:80",
        "http://bff/customer",
        "HTTP://bff/customer",
        "http:///customer",
        "http:/customer",
        "http://zq9mark@bff/customer",
        "file:///etc/passwd",
        "javascript:zq9mark",
        "/cust omer",
        "/customer<zq9mark>",
        "/customer\u{e4}",
        "\u{ff0f}customer",
        "[::1]/customer",
    ] {
        rows.push(Row::new(bare("GET", target, &key()), Refused));
    }
    rows
}
