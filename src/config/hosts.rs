//! Host names and addresses.

use std::net::IpAddr;

/// Whether the address is a loopback address, including IPv4-mapped ones such as `::ffff:127.0.0.1`.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether the text is `localhost` or a loopback address, without brackets.
pub(super) fn names_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

/// Whether the text is an IP address or a host name (RFC 1123, 2.1), which may contain underscores, as container
/// engines allow.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    text.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(is_label))
}
