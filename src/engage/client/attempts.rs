//! The attempts of a call: when it is retried, and when a slow one counts as failed.

use super::{EngageClient, MAX_ATTEMPTS};
use crate::engage::{admission::Permit, error::Error};

impl EngageClient {
    /// Makes a call, with one retry if the failure is transient and the retry budget allows it. A request that was
    /// certainly not processed is repeated at once.
    pub(super) async fn call<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.call_large(permit, path, query, None, read).await
    }

    /// The same with another size limit.
    pub(super) async fn call_large<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        max_body: Option<usize>,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        permit.earn_retry_credit();
        let mut was_retried = false;
        for left in (0..MAX_ATTEMPTS).rev() {
            let may_be_repeated = left > 0;
            let attempt = self.attempt(permit, path, query, max_body, may_be_repeated, &read);
            let answer = attempt.await;
            let Err(error) = &answer else {
                return answer;
            };
            let is_retried = if !may_be_repeated {
                false
            } else if error.is_unprocessed() {
                permit.may_repeat().await
            } else {
                let may_retry = !was_retried && error.is_transient();
                was_retried = true;
                may_retry && permit.may_retry().await
            };
            if !is_retried {
                return answer;
            }
        }
        Err(Error::Lost)
    }

    async fn attempt<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        max_body: Option<usize>,
        may_be_repeated: bool,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempt = permit.begin();
        let mut response = match max_body {
            None => self.exchange.get(path, query),
            Some(max_body) => self.exchange.get_large(path, query, max_body),
        };
        let body = tokio::select! {
            biased;
            body = &mut response => body,
            () = self.clock.sleep_until(attempt.slow_at()) => {
                attempt.mark_slow();
                response.await
            }
        };
        attempt.finish(body.and_then(|body| read(&body)), may_be_repeated)
    }
}
