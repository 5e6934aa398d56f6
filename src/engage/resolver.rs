//! Where Engage's name leads. When the name can't be resolved, the addresses that it led to last are
//! used again: a name server that fails must not take Engage away.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names by the system's resolver, and remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolver {
    last_good: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
}

impl Resolver {
    fn settle(
        &self,
        name: &str,
        looked_up: io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut last_good = self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match looked_up {
            Ok(addresses) if !addresses.is_empty() => {
                last_good.insert(name.to_owned(), addresses.clone());
                Ok(addresses)
            }
            failed => {
                tracing::warn!("engage's name can't be resolved");
                last_good.get(name).cloned().map_or(failed, Ok)
            }
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let looked_up = tokio::net::lookup_host((name, 0)).await;
            let addresses = resolver.settle(name, looked_up.map(Iterator::collect))?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_not_be_resolved_leads_where_it_led_last() {
        let resolver = Resolver::default();
        let addresses = vec![SocketAddr::from(([192, 0, 2, 7], 0))];
        let failure = || Err(io::Error::other("no name server"));
        assert!(resolver.settle("a.example", failure()).is_err());
        resolver
            .settle("a.example", Ok(addresses.clone()))
            .expect("it was resolved");
        for failed in [failure(), Ok(Vec::new())] {
            let settled = resolver.settle("a.example", failed).expect("the last");
            assert_eq!(settled, addresses);
        }
        assert!(resolver.settle("b.example", failure()).is_err());
    }
}
