//! The URL of Redis or Valkey: `redis://user:password@host:port/database`, `rediss://` with TLS, and for sentinels
//! `redis+sentinel://user:password@host:port,host:port/service/database`, `rediss+sentinel://` with TLS.

use std::{fmt, net::IpAddr};

use secrecy::SecretString;

use crate::config::hosts::{is_host, names_loopback};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The parts of a Redis URL.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    /// Whether connections are encrypted, those to sentinels too.
    pub uses_tls: bool,
    /// Host names or addresses (without brackets) with ports: of the server, or of its sentinels.
    pub hosts: Vec<(String, u16)>,
    /// The name by which the sentinels know the server; `None` without sentinels.
    pub service: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The number of the database.
    pub database: u32,
}

impl RedisUrl {
    /// Whether both name the same hosts, sentinel service and database, and agree on TLS; user and password may differ.
    pub fn leads_to_same(&self, other: &Self) -> bool {
        let place = |url: &Self| {
            (
                url.uses_tls,
                url.hosts.clone(),
                url.service.clone(),
                url.database,
            )
        };
        place(self) == place(other)
    }
}

/// What is wrong with a URL, without any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlFault {
    /// What is wrong, as written after "redis.url: ".
    pub what: &'static str,
    /// How to fix it.
    pub remedy: &'static str,
}

const fn fault(what: &'static str, remedy: &'static str) -> UrlFault {
    UrlFault { what, remedy }
}

const SCHEME: UrlFault = fault(
    "has an unknown scheme",
    "give redis://host:port, rediss:// for TLS, redis+sentinel:// or rediss+sentinel:// for sentinels",
);
const ENCODING: UrlFault = fault(
    "has a user or a password that is not percent-encoded",
    "write %2F for /, %3F for ?, %23 for #, %25 for %; or give redis.username and redis.password_file",
);
const EXTRAS: UrlFault = fault(
    "has a query or a fragment",
    "remove it: other settings have keys of their own, and certificates are always verified",
);
const SOCKET: UrlFault = fault(
    "names a Unix socket",
    "replicas on other machines can't reach it: give redis://host:port",
);
const NO_HOST: UrlFault = fault("has no host", "give redis://host:port");
const HOST: UrlFault = fault(
    "has an invalid host",
    "give a host name, an IPv4 address, or an IPv6 address in brackets",
);
const HOSTS: UrlFault = fault(
    "has several hosts",
    "give one; several are for sentinels: redis+sentinel://host:port,host:port/service",
);
const TOO_MANY: UrlFault = fault("has more than 16 hosts", "give at most 16 sentinels");
const BAD_PORT: UrlFault = fault("has an invalid port", "give 1 to 65535");
const SERVICE: UrlFault = fault(
    "has no service of the sentinels",
    "give the name of \"sentinel monitor\", such as redis+sentinel://host:port,host:port/mymaster",
);
const DATABASE: UrlFault = fault(
    "has a path that is not the number of a database",
    "give none, or a number such as redis://host:port/0",
);

const MOST_HOSTS: usize = 16;

impl RedisUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let (scheme, rest) = text.split_once("://").ok_or(SCHEME)?;
        let scheme = scheme.to_ascii_lowercase().replace("valkey", "redis");
        let (uses_tls, has_sentinels) = match scheme.as_str() {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            "unix" | "redis+unix" | "redis+socket" => return Err(SOCKET),
            _ => return Err(SCHEME),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if !authority.contains('@') && tail.contains('@') {
            return Err(ENCODING);
        }
        if tail.contains(['?', '#']) {
            return Err(EXTRAS);
        }
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = user.split_once(':').unwrap_or((user, ""));
        let path = tail.strip_prefix('/').unwrap_or(tail);
        let (service, database) = if has_sentinels {
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            (Some(service_name(service)?), database)
        } else {
            (None, path)
        };
        Ok(Self {
            uses_tls,
            hosts: read_hosts(hosts, has_sentinels)?,
            service,
            username: decoded(username)?,
            password: decoded(password)?.map(SecretString::from),
            database: match database {
                "" => 0,
                number => whole_number(number).ok_or(DATABASE)?,
            },
        })
    }

    /// Whether every host is this machine.
    pub fn leads_to_loopback(&self) -> bool {
        self.hosts.iter().all(|(host, _)| names_loopback(host))
    }
}

/// The URL without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.uses_tls { "s" } else { "" };
        let sentinel = self.service.as_ref().map_or("", |_| "+sentinel");
        let user = match (&self.username, &self.password) {
            (None, None) => "",
            _ => "********@",
        };
        write!(f, "redis{tls}{sentinel}://{user}")?;
        for (index, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (open, close) = if host.contains(':') {
                ("[", "]")
            } else {
                ("", "")
            };
            write!(f, "{comma}{open}{host}{close}:{port}")?;
        }
        if let Some(service) = &self.service {
            write!(f, "/{service}")?;
        }
        write!(f, "/{}", self.database)
    }
}

/// The name of a service, in the characters that sentinels allow.
fn service_name(text: &str) -> Result<String, UrlFault> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = !text.is_empty() && text.bytes().all(is_allowed);
    is_name.then(|| text.to_owned()).ok_or(SERVICE)
}

fn read_hosts(text: &str, has_sentinels: bool) -> Result<Vec<(String, u16)>, UrlFault> {
    let port = if has_sentinels { SENTINEL_PORT } else { PORT };
    let hosts: Vec<_> = text
        .split(',')
        .map(|text| read_host(text, port))
        .collect::<Result<_, _>>()?;
    match hosts.len() {
        1 => Ok(hosts),
        _ if !has_sentinels => Err(HOSTS),
        ..=MOST_HOSTS => Ok(hosts),
        _ => Err(TOO_MANY),
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn read_host(text: &str, default: u16) -> Result<(String, u16), UrlFault> {
    if text.is_empty() {
        return Err(NO_HOST);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(HOST)?;
            let is_v6 = host.parse().is_ok_and(|address: IpAddr| address.is_ipv6());
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err(BAD_PORT),
                port => port,
            };
            (is_v6.then_some(host), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host).filter(|_| !port.contains(':')), Some(port)),
            None => (Some(text), None),
        },
    };
    let host = host.filter(|host| is_host(host) && !is_wildcard(host));
    let host = host.ok_or(HOST)?;
    let port = match port {
        None => default,
        Some(port) => whole_number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or(BAD_PORT)?,
    };
    Ok((host.to_owned(), port))
}

/// `0.0.0.0` and `::` are for listening.
fn is_wildcard(host: &str) -> bool {
    host.parse()
        .is_ok_and(|address: IpAddr| address.is_unspecified())
}

/// A number written only with digits.
fn whole_number(text: &str) -> Option<u32> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// The text with its percent-encoded bytes decoded; `None` for an empty one.
fn decoded(text: &str) -> Result<Option<String>, UrlFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let value = digit(high)
                    .zip(digit(low))
                    .map(|(high, low)| high * 16 + low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                (value.ok_or(ENCODING)?, after)
            }
            (b'%', _) => return Err(ENCODING),
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8(bytes).map_err(|_| ENCODING)?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> RedisUrl {
        RedisUrl::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn urls_of_servers_have_host_port_user_and_database() {
        let url = parsed("rediss://shop:p%40ss%2Fword%25@cache.example.com:6380/3");
        assert!(url.uses_tls && url.service.is_none());
        assert_eq!(url.hosts, [("cache.example.com".to_owned(), 6380)]);
        assert_eq!(url.username.as_deref(), Some("shop"));
        let password = url.password.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!(password, Some("p@ss/word%"));
        assert_eq!(url.database, 3);
        let url = parsed("valkey://:secret@[::1]");
        assert_eq!(url.hosts, [("::1".to_owned(), 6379)]);
        assert!(!url.uses_tls && url.username.is_none() && url.password.is_some());
        assert!(url.leads_to_loopback());
        assert!(!parsed("redis://redis").leads_to_loopback());
    }

    #[test]
    fn urls_of_sentinels_have_a_service_and_several_hosts() {
        let url = parsed("redis+sentinel://u:p@one,two:26380,[fd00::3]/shop.cache-1/2");
        assert_eq!(url.service.as_deref(), Some("shop.cache-1"));
        let hosts: Vec<_> = url
            .hosts
            .iter()
            .map(|(host, port)| (&**host, *port))
            .collect();
        assert_eq!(hosts, [("one", 26379), ("two", 26380), ("fd00::3", 26379)]);
        assert_eq!(url.database, 2);
        assert!(parsed("rediss+sentinel://one/main").uses_tls);
        assert!(parsed("valkeys+sentinel://one/main/").uses_tls);
    }

    #[test]
    fn printed_urls_show_no_user_and_no_password() {
        for (text, printed) in [
            ("REDIS://cache", "redis://cache:6379/0"),
            (
                "rediss://me:sesame@cache:1/2",
                "rediss://********@cache:1/2",
            ),
            (
                "valkeys+sentinel://:sesame@[::1],two:3/main",
                "rediss+sentinel://********@[::1]:26379,two:3/main/0",
            ),
        ] {
            let url = parsed(text);
            assert_eq!(url.to_string(), printed);
            assert!(!format!("{url:?}").contains("sesame"));
        }
    }

    #[test]
    fn unusable_urls_are_refused_with_their_fault() {
        for (text, fault) in [
            ("", SCHEME),
            ("cache:6379", SCHEME),
            ("http://cache", SCHEME),
            ("redis-sentinel://cache", SCHEME),
            ("unix:///run/redis.sock", SOCKET),
            ("redis+unix:///run/redis.sock", SOCKET),
            ("redis://", NO_HOST),
            ("redis:///0", NO_HOST),
            ("redis://:secret@", NO_HOST),
            ("redis://one,", NO_HOST),
            ("redis://one,two", HOSTS),
            ("redis://a b", HOST),
            ("redis://0.0.0.0", HOST),
            ("redis://[::]", HOST),
            ("redis://::1", HOST),
            ("redis://fd00::1", HOST),
            ("redis://[cache]", HOST),
            ("redis://[::1", HOST),
            ("redis://cache:0", BAD_PORT),
            ("redis://cache:", BAD_PORT),
            ("redis://cache:+1", BAD_PORT),
            ("redis://cache:65536", BAD_PORT),
            ("redis://[::1]6379", BAD_PORT),
            ("redis://cache/zero", DATABASE),
            ("redis://cache/-1", DATABASE),
            ("redis://cache/0/1", DATABASE),
            ("redis://cache?db=1", EXTRAS),
            ("rediss://cache/#insecure", EXTRAS),
            ("redis://:pa/ss@cache", ENCODING),
            ("redis://:pa?ss@cache", ENCODING),
            ("redis://:pa%ss@cache", ENCODING),
            ("redis://:pa%2@cache", ENCODING),
            ("redis://:%ff@cache", ENCODING),
            ("redis+sentinel://one", SERVICE),
            ("redis+sentinel://one/", SERVICE),
            ("redis+sentinel://one/a b", SERVICE),
            ("redis+sentinel://one/main/x", DATABASE),
        ] {
            assert_eq!(RedisUrl::parse(text).map(drop), Err(fault), "{text}");
        }
        let many = vec!["one"; MOST_HOSTS + 1].join(",");
        let many = format!("redis+sentinel://{many}/main");
        assert_eq!(RedisUrl::parse(&many).map(drop), Err(TOO_MANY));
    }
}
