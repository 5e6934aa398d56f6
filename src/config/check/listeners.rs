//! Checks of the listeners.

use std::net::{IpAddr, SocketAddr};

use secrecy::ExposeSecret;

use crate::config::{
    Config,
    hosts::{is_host, is_loopback},
    mistakes::Mistakes,
};

impl Config {
    pub(super) fn check_listeners(&self, mistakes: &mut Mistakes) {
        let operations = &self.operations;
        let token = operations.token.as_ref().map(ExposeSecret::expose_secret);
        let can_be_sent = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_some_and(|token| !can_be_sent(token)) {
            mistakes.add(
                "operations.token",
                "contains spaces or characters outside ASCII",
                "give printable ASCII without spaces",
            );
        }
        if token.is_none() && !is_loopback(operations.listen.ip()) {
            mistakes.add(
                "operations.token",
                "is missing while operations.listen is reachable from other machines",
                "give BFF_OPERATIONS__TOKEN_FILE, or listen on loopback",
            );
        }
        if !operations.hosts.iter().all(|host| is_host(host)) {
            mistakes.add(
                "operations.hosts",
                "has an entry that is neither a host name nor an address",
                "give names without scheme and port, such as \"engage-bff.example.com\"; \"*\" is not allowed",
            );
        }
        if overlap(self.server.listen, operations.listen) {
            mistakes.add(
                "operations.listen",
                "is also the address and port of server.listen",
                "give each listener its own port",
            );
        }
    }
}

/// Whether the two addresses can't both be bound. `[::]` includes all IPv4 addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (first, second) = (one.ip().to_canonical(), other.ip().to_canonical());
    let includes =
        |all: IpAddr, other: IpAddr| all.is_unspecified() && (all.is_ipv6() || other.is_ipv4());
    let same = first == second || includes(first, second) || includes(second, first);
    one.port() != 0 && one.port() == other.port() && same
}
