//! The attempts of a call: when a call is retried, and when a slow one counts as failed.

use super::{EngageClient, MAX_ATTEMPTS, span::CallSpan};
use crate::engage::{admission::Permit, error::Error, exchange::RequestOptions};

/// What a call requests.
#[derive(Clone, Copy)]
struct Request<'a> {
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    options: RequestOptions,
}

impl EngageClient {
    /// Makes a call, and records its span if the permit's flight has one.
    pub(super) async fn call<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.call_large(permit, path, query, None, read).await
    }

    /// The same with another size limit for the response.
    pub(super) async fn call_large<T>(
        &self,
        permit: &Permit,
        path: &str,
        query: &[(&str, &str)],
        max_body: Option<usize>,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        permit.earn_retry_credit();
        let mut span = CallSpan::begin(permit, path, &self.clock);
        let options = RequestOptions {
            max_body,
            span: span.as_ref().map(CallSpan::context),
        };
        let call = Request {
            path,
            query,
            options,
        };
        let answer = self.attempts(permit, call, read, &mut span).await;
        if let Some(span) = span {
            let error = answer.as_ref().err();
            self.tracer
                .record(span.end(permit, &self.upstream, error, self.clock.tick()));
        }
        answer
    }

    /// Makes a call, with one retry if the failure is transient and the retry budget allows it. A request that was not
    /// processed, or that was sent over a dead connection, is repeated as soon as it is admitted.
    async fn attempts<T>(
        &self,
        permit: &Permit,
        call: Request<'_>,
        read: impl Fn(&[u8]) -> Result<T, Error>,
        span: &mut Option<CallSpan>,
    ) -> Result<T, Error> {
        let mut was_retried = false;
        for left in (0..MAX_ATTEMPTS).rev() {
            let may_be_repeated = left > 0;
            let answer = self.attempt(permit, call, may_be_repeated, &read).await;
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
            if let Some(span) = span {
                span.retried(error, self.clock.tick());
            }
        }
        Err(Error::Lost)
    }

    async fn attempt<T>(
        &self,
        permit: &Permit,
        call: Request<'_>,
        may_be_repeated: bool,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Request {
            path,
            query,
            options,
        } = call;
        let mut attempt = permit.begin();
        let mut response = self.exchange.get_with(path, query, options);
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
