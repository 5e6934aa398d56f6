//! `POST /customer/changed`: a caller reports that it has just changed a customer at Engage, such as a till that redeemed
//! a voucher, which no webhook reports. It has the effect of a webhook, at every replica that shares the tier, and makes
//! no call. The response never says whether the customer is known.

use std::sync::Arc;

use super::{
    auth::Caller,
    body::read_json_body,
    client_metrics::ChangeOutcome,
    error::{ApiError, Code},
    lookup::LookupRules,
    params::Params,
};
use crate::{
    config::Scope,
    customer::{CustomerService, ReportError, Reported},
};
use axum::{body::Body, extract::State};
use http::{HeaderMap, StatusCode};

/// Applies a report. It is acknowledged once its fences are raised.
pub(super) async fn report(
    caller: Caller,
    State(customers): State<CustomerService>,
    State(rules): State<Arc<LookupRules>>,
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
        caller.count_change(ChangeOutcome::Limited);
    })?;
    let is_own = |id| caller.require_contact(id).is_ok();
    let (outcome, answer) = match customers.report_change(&lookup, parts, is_own).await {
        Ok(Reported::Contact) => (ChangeOutcome::Taken, Ok(StatusCode::NO_CONTENT)),
        Ok(Reported::Unknown) => (ChangeOutcome::Unknown, Ok(StatusCode::NO_CONTENT)),
        Err(ReportError::NotOwn) => (
            ChangeOutcome::Refused,
            Err(ApiError::new(Code::ContactNotFound)),
        ),
        Err(ReportError::NotShared) => (
            ChangeOutcome::NotShared,
            Err(ApiError::new(Code::NotShared)),
        ),
        Err(ReportError::Owing) => {
            let detail = "Other replicas can't be reached, and too many changes already wait to be announced to them. Nothing was done; send the report again later.";
            (
                ChangeOutcome::Owing,
                Err(ApiError::with_detail(Code::NotShared, detail)),
            )
        }
    };
    caller.count_change(outcome);
    answer
}
