//! What a reload builds before anything changes, and how it is put in force.

use crate::{
    app::credentials::replaced,
    config::{Config, Mistake, Mistakes},
    engage::{Connections, NewConnections},
    http::{Credentials, CurrentCredentials},
};

/// What a reload replaces.
pub(in crate::app) struct Replaceable {
    pub(in crate::app) credentials: CurrentCredentials,
    pub(in crate::app) connections: Option<Connections>,
}

/// What is ready to be put in force.
pub(super) struct Prepared {
    credentials: Credentials,
    connections: Option<NewConnections>,
}

impl Prepared {
    /// Builds what the configuration says, as far as these keys changed.
    pub(super) async fn new(
        replaceable: &Replaceable,
        config: &Config,
        changed: &[String],
    ) -> Result<Self, Mistakes> {
        let has_changed = |key: &str| changed.iter().any(|changed| changed == key);
        let credentials = replaced(&replaceable.credentials, config).await;
        let credentials = credentials.map_err(|error| issuer_mistake(config, &error))?;
        let connections = match &replaceable.connections {
            Some(connections) if has_changed("engage.api_key") || has_changed("engage.ca_file") => {
                let prepared = connections.prepare(&config.engage);
                Some(prepared.map_err(|error| mistake("engage.ca_file", &error))?)
            }
            _ => None,
        };
        Ok(Self {
            credentials,
            connections,
        })
    }

    /// Puts it in force, for requests that arrive and calls that start from now on.
    pub(super) fn put_in_force(self, replaceable: &Replaceable) {
        replaceable.credentials.replace(self.credentials);
        if let Some((connections, new)) = replaceable.connections.as_ref().zip(self.connections) {
            connections.replace(new);
        }
    }
}

/// The issuer's keys could not be read from the place that is new.
fn issuer_mistake(config: &Config, error: &anyhow::Error) -> Mistakes {
    let jwt = config.auth.jwt.as_ref();
    let has_url = jwt.is_some_and(|jwt| jwt.jwks_url.is_some());
    let key = if has_url {
        "auth.jwt.jwks_url"
    } else {
        "auth.jwt.jwks_file"
    };
    mistake(key, error)
}

fn mistake(key: &str, error: &anyhow::Error) -> Mistakes {
    let remedy = "correct it, or reload again when it can be read";
    Mistake::new(key, format!("{error:#}"), remedy).into()
}
