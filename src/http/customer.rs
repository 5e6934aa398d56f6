//! Customer look-ups: `GET /customer`, `GET /customer/me` and `POST /customer/lookup`. Parses the look-up, asks the
//! customer service, renders the response.

use std::time::Duration;

use http::request::Parts;
use http_body::Body;

use super::{
    audit,
    auth::Caller,
    body::read_json_body,
    decisions::{Cause, Decision},
    directives::Directives,
    error::{ApiError, Code},
    log_context::LogContext,
    lookup::{OnUnavailable, ParamLocation, ParsedLookup},
    params::Params,
    response::{self, CustomerResponse},
    state::AppState,
};
use crate::{
    clock::Now,
    config::Scope,
    customer::{self, CustomerQuery, Found, FoundHistory, HistoryQuery, Purpose, Refusal, Shape},
    domain::{ContactId, Lookup, RequestId},
};

/// More invalidations of one contact than are plausible while a request waits for its history.
const MAX_ROUNDS: usize = 4;

/// The route of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupRoute {
    /// `GET /customer`.
    ByQuery,
    /// `POST /customer/lookup`.
    ByBody,
    /// `GET /customer/me`.
    Own,
}

/// Answers a look-up. Futures that a hit does not need are boxed, which keeps the future of a hit small.
pub(super) async fn answer<B>(
    state: &AppState,
    route: LookupRoute,
    request: &Parts,
    body: B,
    arrived: Now,
    context: &LogContext,
) -> Result<CustomerResponse, ApiError>
where
    B: Body,
    B::Error: Into<axum::BoxError>,
{
    let credentials = state.credentials.to_keep();
    let caller = credentials
        .authenticator
        .identify(request, arrived.tick, context)
        .await?;
    let query = || Params::from_query(request.uri.query().unwrap_or_default());
    let directives = if caller.has(Scope::Fresh) {
        Directives::from_headers(&request.headers)
    } else {
        Directives::default()
    };
    let rules = &state.rules;
    let (lookup, now) = match route {
        LookupRoute::ByQuery => {
            let lookup = rules.read(query()?, ParamLocation::Url, &caller, &directives, arrived)?;
            (lookup, arrived)
        }
        LookupRoute::Own => (rules.read_own(query()?, &caller, &directives)?, arrived),
        LookupRoute::ByBody => {
            let clock = state.customers.clock();
            let body = Box::pin(read_json_body(rules, clock, &request.headers, body)).await?;
            let now = clock.now();
            let params = Params::from_json(&body)?;
            let lookup = rules.read(params, ParamLocation::Body, &caller, &directives, now)?;
            (lookup, now)
        }
    };
    find(state, &caller, lookup, &directives, request, context, now).await
}

async fn find(
    state: &AppState,
    caller: &Caller,
    lookup: ParsedLookup,
    directives: &Directives,
    request: &Parts,
    context: &LogContext,
    now: Now,
) -> Result<CustomerResponse, ApiError> {
    let request_id = &context.request_id;
    let (shape, history, parameter) = (lookup.shape, lookup.history, lookup.parameter);
    let on_unavailable = lookup.on_unavailable;
    let query = CustomerQuery {
        trace: context.trace.clone(),
        ..customer_query(state, caller, lookup, directives, Some(*request_id), now)
    };
    let search = LookUp {
        state,
        caller,
        query: &query,
        parameter,
        shape: &shape,
        history: history.as_ref(),
        on_unavailable,
        directives,
        request,
        request_id,
    };
    let (found, contact) = search.run().await;
    let cause = match &found {
        Ok((found, _)) => Cause::of(Ok(found)),
        Err(refusal) => Cause::of(Err(&refusal.error)),
    };
    let outcome = search.answer(found);
    if let (Ok(_), Some(id)) = (&outcome, contact) {
        context.set_contact(id);
    }
    search.record(&outcome, contact, cause);
    outcome
}

/// The query to the customer service.
pub(super) fn customer_query(
    state: &AppState,
    caller: &Caller,
    lookup: ParsedLookup,
    directives: &Directives,
    request_id: Option<RequestId>,
    now: Now,
) -> CustomerQuery {
    CustomerQuery {
        request_id,
        flow: caller.flow(),
        lookup: lookup.lookup,
        prefer: lookup.prefer,
        requested: lookup.shape.requested,
        fresh: lookup.fresh,
        now,
        arrival: state.customers.arrival(),
        max_age: directives.max_age,
        only_if_cached: directives.only_if_cached || caller.is_guard_tripped(now.tick),
        stale_if_error: !directives.no_stale_if_error,
        deadline: now.tick + lookup.wait.unwrap_or(state.rules.request_timeout),
        is_hasty: lookup.wait.is_some(),
        purpose: Purpose::Person,
        trace: None,
    }
}

/// A customer, with its history where that is wanted.
type FoundWithHistory = (Found, Option<FoundHistory>);

/// One look-up of one customer.
struct LookUp<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    query: &'a CustomerQuery,
    /// The parameter that contains the identifier, if one does.
    parameter: Option<&'static str>,
    shape: &'a Shape,
    /// The history that is wanted with the customer.
    history: Option<&'a HistoryQuery>,
    on_unavailable: OnUnavailable,
    directives: &'a Directives,
    request: &'a Parts,
    request_id: &'a RequestId,
}

impl LookUp<'_> {
    /// The customer with the wanted history, and which contact was found, if one was.
    async fn run(&self) -> (Result<FoundWithHistory, Refusal>, Option<ContactId>) {
        let found = match self.find().await {
            Ok(found) => found,
            Err(refusal) => return (Err(refusal), None),
        };
        let id = found.record.id;
        let found = match self.history {
            None => Ok((found, None)),
            Some(wanted) => Box::pin(self.find_history(wanted, found)).await,
        };
        // After the search for the history it may be another contact.
        let id = found.as_ref().map_or(id, |(found, _)| found.record.id);
        if let (Some(trace), Ok((found, _))) = (&self.query.trace, &found) {
            trace.found(|| id.digest(&self.state.rules.digester), found.degraded);
        }
        (found, Some(id))
    }

    async fn find(&self) -> Result<Found, Refusal> {
        let customers = &self.state.customers;
        if self.caller.has(Scope::ReadFull) {
            customers.find_or_candidates(self.query).await
        } else {
            customers.find(self.query).await.map_err(Refusal::from)
        }
    }

    /// The customer with its history. A part of the history that can't be fetched does not fail the look-up. An
    /// invalidation during the calls for the history takes effect on everything else too.
    async fn find_history(
        &self,
        wanted: &HistoryQuery,
        mut found: Found,
    ) -> Result<FoundWithHistory, Refusal> {
        let (customers, query) = (&self.state.customers, self.query);
        let mut since = query.arrival;
        for _ in 0..MAX_ROUNDS {
            let id = found.record.id;
            if self.caller.require_contact(id).is_err() {
                // The response will be that refusal: no call is needed.
                return Ok((found, None));
            }
            let history = customers.find_history(query, wanted, id).await?;
            found.verdict = history.verdict(found.verdict);
            if !customers.is_overtaken(query, id, &history, since) {
                return Ok((found, Some(history)));
            }
            since = customers.arrival();
            let again = self.find().await?;
            found = Found {
                verdict: found.verdict.worst(again.verdict),
                ..again
            };
        }
        Err(customer::Error::TooLate.into())
    }

    /// The response: the customer; a guest, if the caller accepts one and Engage is unavailable or refuses the default
    /// contact type; else the problem.
    fn answer(
        &self,
        found: Result<FoundWithHistory, Refusal>,
    ) -> Result<CustomerResponse, ApiError> {
        match found {
            Ok((found, history)) => self.respond(&found, history.as_ref()),
            Err(refusal) if self.accepts_guest(&refusal.error) => self.respond_guest(),
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }

    fn accepts_guest(&self, error: &customer::Error) -> bool {
        self.on_unavailable == OnUnavailable::Guest
            && (error.is_unavailable() || is_default_type_refused(error, &self.query.lookup))
    }

    fn respond_guest(&self) -> Result<CustomerResponse, ApiError> {
        let customers = &self.state.customers;
        let requested = self.history.map(|history| history.requested);
        let body =
            customers.render_guest(self.shape, requested.unwrap_or_default(), self.query.now);
        response::guest(body, self.request).inspect(|_| customers.count_guest(self.shape))
    }

    fn respond(
        &self,
        found: &Found,
        history: Option<&FoundHistory>,
    ) -> Result<CustomerResponse, ApiError> {
        self.caller.require_contact(found.record.id)?;
        self.caller.record_shown(found.record.id);
        let customers = &self.state.customers;
        let rendered = match history {
            None => customers.render(found, self.shape)?,
            Some(history) => customers.render_with_history(found, history, self.shape)?,
        };
        let response = response::customer(rendered, found.verdict, self.request)?;
        customers.count_served(found, history, self.query.now.tick);
        Ok(response)
    }

    /// The problem of a look-up that found no customer. Counts look-ups that may enumerate customers.
    fn refuse(&self, refusal: Refusal) -> ApiError {
        let Refusal { error, candidates } = refusal;
        if error.is_not_found() {
            self.caller.record_unknown(&self.query.lookup);
        }
        if error == customer::Error::NotCached && !self.directives.only_if_cached {
            return guard_tripped();
        }
        let problem = problem(error, &self.query.lookup).of_identifier(self.parameter);
        let Some(candidates) = candidates else {
            return problem;
        };
        for candidate in &candidates {
            self.caller.record_shown(candidate.id);
        }
        let digester = &self.state.rules.digester;
        audit::candidates(self.request_id, self.query, &candidates, digester);
        problem.candidates(&candidates)
    }

    /// Records why the look-up was answered as it was, and audits it where its view requires that.
    fn record(
        &self,
        outcome: &Result<CustomerResponse, ApiError>,
        contact: Option<ContactId>,
        cause: Option<Cause>,
    ) {
        let outcome = outcome
            .as_ref()
            .map(|found| (found.response.status(), found.cache_status));
        if let Some(cause) = cause {
            let contact =
                contact.or_else(|| self.state.customers.cached_contact(&self.query.lookup));
            let decision = Decision::new(self.request_id, self.query, contact, outcome, cause);
            self.state.decisions.record(decision);
        }
        let view = self.shape.view;
        audit::look_up(
            self.state,
            view,
            self.request_id,
            self.query,
            contact,
            outcome,
        );
    }
}

/// The problem of a failed look-up. A contact type that the caller did not send is not its mistake.
pub(super) fn problem(error: customer::Error, lookup: &Lookup) -> ApiError {
    if is_default_type_refused(&error, lookup) {
        let detail = "Engage does not know this service's default contact type.";
        return ApiError::with_detail(Code::InvalidSystemConfiguration, detail);
    }
    error.into()
}

fn is_default_type_refused(error: &customer::Error, lookup: &Lookup) -> bool {
    lookup.has_default_type && error.is_about_the_contact_type()
}

/// The refusal of a client whose enumeration guard is tripped, where the customer is not cached.
pub(super) fn guard_tripped() -> ApiError {
    ApiError::with_detail(
        Code::RateLimited,
        "Too many unknown customers were looked up within a minute.",
    )
    .retry_after(Duration::from_secs(60))
    .guarded()
}
