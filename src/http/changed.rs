//! `POST /customer/changed`: a caller reports that it has just changed a customer at Engage, such as a till that redeemed
//! a voucher, which no webhook reports. It has the effect of a webhook, at every replica that shares the tier, and makes
//! no call. The response never says whether the customer is known.

use std::sync::Arc;

use super::{
    auth::Caller,
    body::read_json_body,
    error::{ApiError, Code},
    lookup::LookupRules,
    params::Params,
};
use crate::{
    config::Scope,
    customer::{CustomerService, ReportError, Reported},
    metrics::{Counters, Registry, Source, catalogue::customers::CHANGES},
};
use axum::{body::Body, extract::State};
use http::{HeaderMap, StatusCode};

/// Counts reports by client and outcome.
#[derive(Clone, Debug)]
pub struct ReportMetrics(Counters);

impl Default for ReportMetrics {
    fn default() -> Self {
        Self(Counters::new(&CHANGES))
    }
}

impl Source for ReportMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.0.clone());
    }
}

impl ReportMetrics {
    fn count(&self, caller: &Caller, outcome: &'static str) {
        let client = caller.flow().client;
        self.0.of(&[client.as_str(), outcome]).inc();
    }
}

/// Applies a report. It is acknowledged once its fences are raised.
pub(super) async fn report(
    caller: Caller,
    State(customers): State<CustomerService>,
    State(rules): State<Arc<LookupRules>>,
    State(metrics): State<ReportMetrics>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.require(Scope::Changed)?;
    let clock = customers.clock();
    let body = read_json_body(&rules, clock, &headers, body).await?;
    let now = clock.now();
    let params = Params::from_json(&body)?;
    let (lookup, parts) = rules.read_change(params, &caller, now)?;
    caller.admit_change(now.tick).inspect_err(|_| {
        metrics.count(&caller, "limited");
    })?;
    let is_own = |id| caller.require_contact(id).is_ok();
    let (outcome, answer) = match customers.report_change(&lookup, parts, is_own).await {
        Ok(Reported::Contact) => ("taken", Ok(StatusCode::NO_CONTENT)),
        Ok(Reported::Unknown) => ("unknown", Ok(StatusCode::NO_CONTENT)),
        Err(ReportError::NotOwn) => ("refused", Err(ApiError::new(Code::ContactNotFound))),
        Err(ReportError::NotShared) => ("not-shared", Err(ApiError::new(Code::NotShared))),
        Err(ReportError::Owing) => {
            let detail = "Other replicas can't be reached, and too much is to be announced to them already: nothing was done. Send it again.";
            ("owing", Err(ApiError::with_detail(Code::NotShared, detail)))
        }
    };
    metrics.count(&caller, outcome);
    answer
}
