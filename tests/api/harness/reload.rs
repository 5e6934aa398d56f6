//! Changes the configuration of the running service.

use std::sync::{Arc, Mutex, PoisonError};

use engage_bff::{
    app::Reloader,
    config::{Config, Mistakes},
    http::Reloaded,
};

use super::TestApp;

/// The configuration that a reload reads.
#[derive(Clone)]
pub(super) struct Source(Arc<Mutex<Config>>);

impl Source {
    pub(super) fn new(config: Config) -> Self {
        Self(Arc::new(Mutex::new(config)))
    }

    /// Makes reloads read this configuration.
    pub(super) async fn serve(&self, reloader: &Reloader) {
        let source = self.clone();
        let read = move || {
            let config = source.get();
            config.validate().map(|()| config)
        };
        reloader.read_by(self.get(), None, read).await;
    }

    fn get(&self) -> Config {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl TestApp {
    /// Changes the configuration and does not reload it.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.source.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reloads the configuration as it is.
    pub(crate) async fn try_reload(&self) -> Result<Reloaded, Mistakes> {
        self.reloader.reload().await
    }

    /// Changes the configuration and reloads it. A change that is refused is undone.
    pub(crate) async fn reload(
        &self,
        change: impl FnOnce(&mut Config),
    ) -> Result<Reloaded, Mistakes> {
        let before = self.source.get();
        self.configure(change);
        let reloaded = self.try_reload().await;
        if reloaded.is_err() {
            self.configure(|config| *config = before);
        }
        reloaded
    }
}
