//! The measured service: the release binary as in production, with an alias index, metrics, the log, and one client
//! that has a key and a rate limit. Its look-ups are in the storefront view, which is not audited.

use std::{net::SocketAddr, path::Path};

use crate::{
    Failure,
    delivery::SECRET,
    peers,
    process::{Server, free_address},
};

/// The service and the address of its operations listener.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) operations: SocketAddr,
}

/// How to start a service.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) binary: &'a str,
    pub(crate) engage: SocketAddr,
    pub(crate) scratch: &'a Path,
    pub(crate) cores: &'a str,
    pub(crate) workers: &'a str,
    /// How long every part and negative entry is fresh.
    pub(crate) lifetime: &'a str,
    pub(crate) max_size: &'a str,
}

impl Start<'_> {
    pub(crate) async fn serve(&self) -> Result<Service, Failure> {
        let (address, operations) = (free_address()?, free_address()?);
        let text = self.configuration(address, operations);
        let file = peers::write(self.scratch, "engage-bff.toml", address, &text)?;
        let log = self
            .scratch
            .join(format!("{}-engage-bff.log", address.port()));
        let program = [self.binary, "serve", "--config", &file];
        let environment = [("TOKIO_WORKER_THREADS", self.workers)];
        let server = Server::start(self.cores, address, &log, &program, &environment)?;
        Ok(Service {
            server: server.ready().await?,
            operations,
        })
    }

    fn configuration(&self, address: SocketAddr, operations: SocketAddr) -> String {
        let Self {
            engage,
            lifetime,
            max_size,
            ..
        } = self;
        format!(
            r#"[server]
listen = "{address}"
[operations]
listen = "{operations}"
[engage]
base_url = "http://{engage}"
api_key = "test-engage-key"
default_contact_type = "Member"
default_point_definition = "1"
requests_per_second = 1000000
burst = 1000000
max_concurrency = 64
[cache]
max_size = "{max_size}"
profile_lifetime = "{lifetime}"
audiences_lifetime = "{lifetime}"
promotions_lifetime = "{lifetime}"
vouchers_lifetime = "{lifetime}"
points_lifetime = "{lifetime}"
negative_lifetime = "{lifetime}"
[webhooks]
secrets = ["whsec_{SECRET}"]
fallback_lifetime = "{lifetime}"
[[auth.clients]]
id = "shop"
key_sha256 = ["e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f"]
scopes = ["customer:read"]
identifiers = ["contactId", "email", "mobilePhone", "customKey", "any"]
view = "storefront"
channel = "ECOM"
requests_per_second = 1000000
max_concurrency = 2000
unknown_per_minute = 1000
"#
        )
    }
}
