//! Protection of the operations listener, and of requests without a credential, against pages in a browser on the same
//! machine or network, which can reach whatever the user can. A page of another site can point its own host name at any
//! address (DNS rebinding), so `Host` must name this service. It can also send simple requests without a preflight, so
//! `Origin` and `Sec-Fetch-Site` are checked.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::{clock::Tick, rate::Bucket};

/// The relation of the sending page to this origin (Fetch Metadata Request Headers, 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The rate per second and the burst up to which refusals are logged; all refusals are counted.
const LOGGED: (f64, u32) = (1.0, 10);

/// The hosts and origins that are accepted.
pub(super) struct EntryRules {
    listen: IpAddr,
    hosts: Vec<Host>,
    origins: Vec<HeaderValue>,
    logged: Mutex<Bucket>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryRefusal {
    /// `Host` names another host.
    Host,
    /// A page of another origin sends it.
    Page,
}

impl EntryRefusal {
    /// The name in log events.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Page => "page",
        }
    }
}

/// A host of a URL. Names are in lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl EntryRules {
    /// Rules of a listener at the address `listen`, which also accepts these host names and origins.
    pub(super) fn new(listen: IpAddr, hosts: &[String], origins: &[HeaderValue]) -> Self {
        let (rate, burst) = LOGGED;
        Self {
            listen: listen.to_canonical(),
            hosts: hosts.iter().map(|host| Host::of(host)).collect(),
            origins: origins.to_vec(),
            logged: Mutex::new(Bucket::new(rate, burst, Tick::default())),
        }
    }

    /// Refuses a request that names another host, or that a page of another origin sends.
    pub(super) fn check(&self, headers: &HeaderMap, target: &Uri) -> Result<(), EntryRefusal> {
        // A target in absolute form contains a host too (RFC 9112, 3.2.2).
        let of_target = target.authority().map(|authority| Some(authority.as_str()));
        let hosts = headers.get_all(header::HOST).into_iter();
        let hosts = hosts
            .map(|host| host.to_str().ok())
            .chain(of_target)
            .map(|host| host.and_then(Authority::parse))
            .collect::<Option<Vec<_>>>()
            .ok_or(EntryRefusal::Host)?;
        if hosts.is_empty() || !hosts.iter().all(|host| self.accepts(&host.host)) {
            return Err(EntryRefusal::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).into_iter();
        let is_listed = |origin: &HeaderValue| self.origins.contains(origin);
        let is_own = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(origin_of);
            origin.is_some_and(|(page, port)| hosts.iter().all(|host| host.is_same(&page, port)))
        };
        if headers.contains_key(header::ORIGIN)
            && headers.get_all(header::ORIGIN).into_iter().all(is_listed)
        {
            return Ok(());
        }
        let mut sites = headers.get_all(SEC_FETCH_SITE).into_iter();
        let is_own_site = sites.all(|site| site == "same-origin" || site == "none");
        if is_own_site && origins.all(is_own) {
            Ok(())
        } else {
            Err(EntryRefusal::Page)
        }
    }

    fn accepts(&self, host: &Host) -> bool {
        let is_of_listener = match host {
            Host::Address(address) => {
                address.is_loopback() || *address == self.listen || self.listen.is_unspecified()
            }
            Host::Name(name) => name == "localhost",
        };
        is_of_listener || self.hosts.contains(host)
    }

    /// Whether this refusal is within the rate that is logged.
    pub(super) fn is_logged(&self, now: Tick) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.take(now).is_ok()
    }
}

impl Host {
    /// Parses a host without brackets.
    fn of(text: &str) -> Self {
        let text = text.strip_suffix('.').unwrap_or(text);
        match text.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(text.to_ascii_lowercase()),
        }
    }
}

/// Host and port, as in `Host` and in URLs (RFC 3986, 3.2), without user information.
struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = if let Some(literal) = text.strip_prefix('[') {
            let (address, port) = literal.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            (Host::Address(IpAddr::V6(address).to_canonical()), port)
        } else {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            if name.is_empty() || name.contains('@') {
                return None;
            }
            (Host::of(name), port)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether host and port are equal, with this port where one is missing.
    fn is_same(&self, other: &Self, default_port: u16) -> bool {
        let port = |of: &Self| of.port.unwrap_or(default_port);
        self.host == other.host && port(self) == port(other)
    }
}

/// The authority of a serialized origin, and the default port of its scheme (RFC 6454, 6.2). `https` where a proxy in
/// front terminates TLS.
fn origin_of(text: &str) -> Option<(Authority, u16)> {
    let (scheme, authority) = text.split_once("://")?;
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    Some((Authority::parse(authority)?, default_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://shop.example.com";

    fn check(listen: &str, fields: &[(&'static str, &str)]) -> Result<(), EntryRefusal> {
        let listen = listen.parse().expect("an address");
        let hosts = ["Ops.example.com.".to_owned(), "2001:db8::7".to_owned()];
        let rules = EntryRules::new(listen, &hosts, &[HeaderValue::from_static(PAGE)]);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        rules.check(&headers, &Uri::from_static("/"))
    }

    fn host(listen: &str, host: &str) -> bool {
        check(listen, &[("host", host)]) == Ok(())
    }

    #[test]
    fn listener_hosts_are_accepted_in_every_spelling() {
        for accepted in [
            "localhost",
            "LocalHost.:9090",
            "localhost:",
            "127.0.0.1:9090",
            "127.9.8.7",
            "127.0.0.1.",
            "[::1]:9090",
            "[::ffff:127.0.0.1]",
            "192.0.2.1:1",
            "[::ffff:c000:201]",
            "ops.example.com",
            "OPS.example.com.:80",
            "[2001:db8::7]",
        ] {
            assert!(host("192.0.2.1", accepted), "{accepted}");
        }
    }

    #[test]
    fn other_and_malformed_hosts_are_refused() {
        for refused in [
            "",
            ":9090",
            ".",
            "evil.example",
            "localhost.evil.example",
            "localhost..",
            "x@localhost",
            "localhost:x",
            "localhost:99999",
            "localhost:80:80",
            "localhost/",
            "localhost,evil.example",
            "[localhost]",
            "[127.0.0.1]",
            "[::1",
            "::1",
            "[::1]x",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "192.0.2.2",
            "example.com",
            "x.ops.example.com",
        ] {
            assert!(!host("192.0.2.1", refused), "{refused}");
        }
        assert_eq!(check("127.0.0.1", &[]), Err(EntryRefusal::Host));
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check("127.0.0.1", &two), Err(EntryRefusal::Host));
    }

    #[test]
    fn unspecified_listen_address_accepts_any_address_but_no_unlisted_name() {
        for listen in ["0.0.0.0", "::"] {
            for accepted in ["192.0.2.9:9090", "[2001:db8::9]:9090", "0.0.0.0"] {
                assert!(host(listen, accepted), "{listen} {accepted}");
            }
            assert!(!host(listen, "evil.example"), "{listen}");
        }
    }

    #[test]
    fn absolute_target_must_name_the_listener() {
        let rules = EntryRules::new(IpAddr::from([127, 0, 0, 1]), &[], &[]);
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let check = |target| rules.check(&headers, &Uri::from_static(target));
        assert_eq!(check("http://localhost:9090/livez"), Ok(()));
        assert_eq!(check("http://evil.example/livez"), Err(EntryRefusal::Host));
    }

    #[test]
    fn same_and_listed_origins_are_accepted() {
        let page = |host: &'static str, fields: &[(&'static str, &'static str)]| {
            check("127.0.0.1", &[&[("host", host)], fields].concat())
        };
        for (host, origin) in [
            ("localhost:9090", "http://localhost:9090"),
            ("localhost", "http://localhost"),
            ("localhost", "https://localhost:443"),
            ("ops.example.com:443", "https://ops.example.com"),
            ("[::1]:9090", "http://[::1]:9090"),
        ] {
            assert_eq!(page(host, &[("origin", origin)]), Ok(()), "{origin}");
            let own = [("origin", origin), ("sec-fetch-site", "same-origin")];
            assert_eq!(page(host, &own), Ok(()), "{origin}");
        }
        assert_eq!(page("localhost", &[("sec-fetch-site", "none")]), Ok(()));
        let listed = [("origin", PAGE), ("sec-fetch-site", "cross-site")];
        assert_eq!(page("localhost", &listed), Ok(()));
    }

    #[test]
    fn other_origins_are_refused() {
        let page = |fields: &[(&'static str, &'static str)]| {
            check(
                "127.0.0.1",
                &[&[("host", "localhost:9090")], fields].concat(),
            )
        };
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:9090",
            "ftp://localhost:9090",
            "http://evil.example",
            "http://localhost:9090/",
            "http://x@localhost:9090",
            "localhost:9090",
        ] {
            assert_eq!(
                page(&[("origin", origin)]),
                Err(EntryRefusal::Page),
                "{origin}"
            );
        }
        for site in ["cross-site", "same-site", "SAME-ORIGIN", "", "other"] {
            let refused = page(&[("sec-fetch-site", site)]);
            assert_eq!(refused, Err(EntryRefusal::Page), "{site}");
            let with_own_origin = [
                ("origin", "http://localhost:9090"),
                ("sec-fetch-site", site),
            ];
            assert_eq!(page(&with_own_origin), Err(EntryRefusal::Page), "{site}");
        }
        let two = [("origin", PAGE), ("origin", "http://evil.example")];
        assert_eq!(page(&two), Err(EntryRefusal::Page));
    }
}
