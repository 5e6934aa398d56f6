//! Epochs: how their secrets are made, wrapped and unwrapped.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;

use super::{
    Settings,
    names::Names,
    protocol::{EpochId, EpochOffer, StreamLimits},
    seal::{EpochSecret, Sealer},
};
use crate::domain::Digester;

/// An epoch whose secret is known.
pub(super) struct Epoch {
    pub(super) id: EpochId,
    pub(super) names: Names,
    pub(super) sealer: Sealer,
}

/// The keys that wrap secrets.
pub(super) struct Keys {
    /// The first wraps, all unwrap.
    wrapping: RwLock<Arc<[[u8; 32]]>>,
    digester: Option<Digester>,
}

/// An epoch that was unwrapped.
pub(super) struct Unwrapped {
    pub(super) epoch: Arc<Epoch>,
    /// Its secret wrapped by the first key, where another one had wrapped it.
    pub(super) rewrapped: Option<Bytes>,
}

impl Keys {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            wrapping: RwLock::new(settings.encryption_keys.as_slice().into()),
            digester: settings.digester.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn of(keys: &[u8]) -> Self {
        Self {
            wrapping: RwLock::new(keys.iter().map(|key| [*key; 32]).collect()),
            digester: None,
        }
    }

    /// Wraps and unwraps with other keys from now on.
    pub(super) fn replace(&self, keys: &[[u8; 32]]) {
        let mut wrapping = self
            .wrapping
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *wrapping = keys.into();
    }

    fn wrapping(&self) -> Arc<[[u8; 32]]> {
        let wrapping = self.wrapping.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&wrapping)
    }

    /// A new epoch. `None` without a key.
    pub(super) fn offer(&self, stream: StreamLimits) -> Option<(EpochOffer, Arc<Epoch>)> {
        let secret = EpochSecret::random();
        let id = EpochId(random());
        let offer = EpochOffer {
            id,
            wrapped_secret: secret.wrap(self.wrapping().first()?),
            stream,
        };
        Some((offer, self.epoch(id, &secret)))
    }

    /// The epoch with this wrapped secret. `None` where no key unwraps it.
    pub(super) fn unwrap(&self, id: EpochId, wrapped: &[u8]) -> Option<Unwrapped> {
        let keys = self.wrapping();
        let (secret, index) = EpochSecret::unwrap(&keys, wrapped)?;
        Some(Unwrapped {
            epoch: self.epoch(id, &secret),
            rewrapped: (index > 0).then(|| secret.wrap(&keys[0])),
        })
    }

    fn epoch(&self, id: EpochId, secret: &EpochSecret) -> Arc<Epoch> {
        let mut sealer = Sealer::new(secret);
        if let Some(digester) = &self.digester {
            sealer = sealer.with_digester(digester);
        }
        Arc::new(Epoch {
            id,
            names: Names::new(secret),
            sealer,
        })
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Epoch(…)")
    }
}

/// 64 random bits that no other replica draws: from the system.
pub(super) fn random() -> u64 {
    getrandom::u64().expect("the system's random source works")
}

#[cfg(test)]
mod tests;
