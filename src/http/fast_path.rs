//! The fast path: what is asked plainly and held is answered from the connection's bytes, without hyper in between.
//!
//! Every step that decides something is the usual way's own ([`Authenticator`], [`LookupRules`], the hall): here is only
//! another way to read the head and to write the answer, byte by byte what hyper would have written. Whatever is not
//! plain, not held, or would be refused is hyper's, and nothing has been done to it yet.
//!
//! It is there because hyper with its maps of headers takes most of the processor time of an answer from memory:
//! docs/PERFORMANCE.md has the figures.
//!
//! [`Authenticator`]: super::Authenticator
//! [`LookupRules`]: super::LookupRules

mod head;
mod hyper_backlog;
mod pending_response;
mod stream;

use std::panic::AssertUnwindSafe;

use http::Method;

#[cfg(fuzzing)]
pub(super) use self::hyper_backlog::is_the_same_wherever_cut;
pub(super) use self::stream::FastPath;
use self::{head::PlainRequest, pending_response::PendingResponse};
use super::{
    AppState, HttpService,
    auth::LastKey,
    codings::prefers_gzip,
    customer::customer_query,
    directives::Directives,
    lookup::{ParamLocation, ParsedLookup},
    params::Params,
    request_id::RequestId,
    requests,
    response::{Note, SelectedResponse},
    routes::{CUSTOMER, RouteLabel},
};
use crate::{clock::Now, customer::view::View};

impl HttpService {
    /// Answers the plain question, if it may be answered here. Else `false`, and nothing has been done.
    fn answer_in_memory(
        &self,
        plain: &PlainRequest<'_>,
        last_key: &mut LastKey,
        answer: &mut PendingResponse,
    ) -> bool {
        let Some(state) = &self.direct else {
            return false;
        };
        let arrived = self.clock.now();
        // Whatever panics here panics for hyper's sake again, where it becomes an answer.
        let told =
            std::panic::catch_unwind(AssertUnwindSafe(|| look(state, plain, last_key, arrived)));
        let Ok(Some(told)) = told else {
            return false;
        };
        let request_id = RequestId::from_bytes(plain.request_id);
        let took = self.clock.tick().since(arrived.tick);
        let route = RouteLabel::of(self.listener, CUSTOMER, &Method::GET);
        let (status, note) = (told.status(), Some(told.note));
        self.requests.count(status, None, note, took);
        requests::log(route, status, None, note, &request_id, took, None);
        let is_last = !self.readiness.is_ready();
        answer.write(told, &self.always, &request_id, took, arrived.wall, is_last);
        true
    }
}

/// The answer to a plain question, if it is held and may be told.
fn look(
    state: &AppState,
    plain: &PlainRequest<'_>,
    last_key: &mut LastKey,
    arrived: Now,
) -> Option<SelectedResponse> {
    let AppState {
        authenticator,
        rules,
        customers,
        ..
    } = state;
    // A caller without a key is looked at more closely, by its Host and the page that sends its request.
    let mut caller = authenticator.identify_by_key(plain.key?, last_key).ok()?;
    if caller.view() == View::Full {
        // Its looks are noted one by one.
        return None;
    }
    let params = Params::from_query(plain.query).ok()?;
    let directives = Directives::default();
    let lookup = rules
        .read(params, ParamLocation::Url, &caller, &directives, arrived)
        .ok()?;
    if lookup.shape.view == View::Full || !lookup.fresh.is_empty() {
        return None;
    }
    let ParsedLookup { shape, .. } = lookup;
    let query = customer_query(state, &caller, lookup, &directives, arrived);
    customers.find_in_memory(&query, |found| {
        if Note::of(&found.verdict) != Note::Hit {
            return None;
        }
        // Whoever is counted is answered.
        caller.admit(arrived.tick).ok()?;
        caller.record_shown(found.record.id);
        let rendered = customers.render_at(found, &shape, arrived).ok()?;
        let prefers_gzip = prefers_gzip(plain.accept_encoding.into_iter());
        let held = plain.if_none_match.into_iter();
        Some(SelectedResponse::of(
            rendered,
            found.verdict,
            prefers_gzip,
            held,
        ))
    })
}
