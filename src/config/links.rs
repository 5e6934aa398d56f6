//! The variables that Kubernetes and Docker set for every service of a namespace. Those for a service named
//! `bff--canary` look like keys of the configuration.

/// Whether the variable is one of them. If its name begins with a section of the configuration, its value must have the
/// right form too, so that a misspelt key is still reported.
pub(super) fn is_link(name: &str, value: &str, is_our_section: bool) -> bool {
    let Some(form) = Form::of(name) else {
        return false;
    };
    !is_our_section || form.has(value)
}

/// The form of such a variable's value.
#[derive(Clone, Copy)]
enum Form {
    Address,
    Port,
    Protocol,
    Url,
}

impl Form {
    /// The form that the name implies.
    fn of(name: &str) -> Option<Self> {
        if name.ends_with("_SERVICE_HOST") {
            return Some(Form::Address);
        }
        if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
            return Some(Form::Port);
        }
        if name.ends_with("_PORT") && !is_of_port(name.trim_end_matches("_PORT")) {
            return Some(Form::Url);
        }
        let (of_port, form) = name.rsplit_once('_')?;
        match form {
            "ADDR" if is_of_port(of_port) => Some(Form::Address),
            "PORT" if is_of_port(of_port) => Some(Form::Port),
            "PROTO" if is_of_port(of_port) => Some(Form::Protocol),
            _ => is_of_port(name).then_some(Form::Url),
        }
    }

    fn has(self, value: &str) -> bool {
        match self {
            Form::Address => value.parse::<std::net::IpAddr>().is_ok(),
            Form::Port => value.parse::<u16>().is_ok(),
            Form::Protocol => is_protocol(value),
            Form::Url => {
                let parts = value.split_once("://");
                parts.is_some_and(|(protocol, address)| {
                    is_protocol(protocol) && address.parse::<std::net::SocketAddr>().is_ok()
                })
            }
        }
    }
}

/// Whether the name ends in `_PORT_8080_TCP`.
fn is_of_port(name: &str) -> bool {
    let parts = || {
        let (rest, protocol) = name.rsplit_once('_')?;
        let (rest, port) = rest.rsplit_once('_')?;
        Some((rest, port, protocol))
    };
    parts().is_some_and(|(rest, port, protocol)| {
        rest.ends_with("_PORT")
            && port.parse::<u16>().is_ok()
            && is_protocol(&protocol.to_lowercase())
    })
}

fn is_protocol(text: &str) -> bool {
    matches!(text, "tcp" | "udp" | "sctp")
}
