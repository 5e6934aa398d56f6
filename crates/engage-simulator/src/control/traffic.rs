//! Control routes about settings, faults, latency, recorded calls, time and webhooks.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Body, ControlError, done};
use crate::{
    Call, CustomKey, Delivery, Endpoint, Fault, Latency, Simulator, VoucherKey, WebhookTarget, sign,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    custom_key: Option<CustomKey>,
    voucher_key: Option<VoucherKey>,
    wrap_point_accounts: Option<bool>,
    page_cap: Option<usize>,
    forbid: Option<bool>,
    api_keys: Option<Vec<String>>,
    rate_limit: Option<u32>,
    overview_lag_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFault {
    endpoint: Endpoint,
    fault: Fault,
    times: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewLatency {
    endpoint: Endpoint,
    fixed_ms: Option<u64>,
    median_ms: Option<u64>,
    sigma: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Advance {
    advance_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewWebhook {
    event: String,
    contact_id: String,
}

#[derive(Deserialize)]
pub(super) struct Latest {
    count: Option<usize>,
}

pub(super) async fn facts(State(engage): State<Simulator>) -> Json<Value> {
    Json(json!({
        "now": engage.clock().now(),
        "contacts": engage.contact_ids().len(),
        "calls": engage.total_calls(),
    }))
}

pub(super) async fn settings(
    State(engage): State<Simulator>,
    Body(settings): Body<Settings>,
) -> Json<Value> {
    if let Some(key) = settings.custom_key {
        engage.custom_key(key);
    }
    if let Some(key) = settings.voucher_key {
        engage.voucher_key(key);
    }
    if let Some(wrap) = settings.wrap_point_accounts {
        engage.wrap_point_accounts(wrap);
    }
    if let Some(cap) = settings.page_cap {
        engage.page_cap(Some(cap).filter(|cap| *cap > 0));
    }
    if let Some(forbid) = settings.forbid {
        engage.forbid(forbid);
    }
    if let Some(keys) = settings.api_keys {
        engage.accept_api_keys(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if let Some(limit) = settings.rate_limit {
        engage.rate_limit(Some(limit).filter(|limit| *limit > 0));
    }
    if let Some(lag) = settings.overview_lag_ms {
        engage.set_overview_lag(Duration::from_millis(lag));
    }
    done()
}

pub(super) async fn add_fault(
    State(engage): State<Simulator>,
    Body(new): Body<NewFault>,
) -> Json<Value> {
    match new.times {
        Some(times) => engage.fault_times(new.endpoint, new.fault, times),
        None => engage.fault(new.endpoint, new.fault),
    }
    done()
}

pub(super) async fn clear_faults(State(engage): State<Simulator>) -> Json<Value> {
    engage.clear_faults();
    done()
}

pub(super) async fn latency(
    State(engage): State<Simulator>,
    Body(new): Body<NewLatency>,
) -> Result<Json<Value>, ControlError> {
    let latency = match (new.fixed_ms, new.median_ms, new.sigma) {
        (None, None, None) => Latency::None,
        (Some(fixed), None, None) => Latency::Fixed(Duration::from_millis(fixed)),
        (None, Some(median), Some(sigma)) if sigma >= 0.0 => Latency::LogNormal {
            median: Duration::from_millis(median),
            sigma,
        },
        _ => return Err(bad("a latency needs `fixedMs`, or `medianMs` and `sigma`")),
    };
    engage.latency(new.endpoint, latency);
    Ok(done())
}

pub(super) async fn calls(State(engage): State<Simulator>) -> Json<Value> {
    let mut counts = Map::new();
    for endpoint in Endpoint::EACH {
        let name = json!(endpoint).as_str().unwrap_or_default().to_owned();
        counts.insert(name, engage.calls(endpoint).into());
    }
    Json(json!({
        "total": engage.total_calls(),
        "counts": counts,
        "inFlight": engage.in_flight(),
        "maxInFlight": engage.max_in_flight(),
        "unexpected": engage.unexpected(),
    }))
}

pub(super) async fn log(
    State(engage): State<Simulator>,
    Query(latest): Query<Latest>,
) -> Json<Vec<Call>> {
    let mut log = engage.log();
    let surplus = log.len().saturating_sub(latest.count.unwrap_or(100));
    log.drain(..surplus);
    Json(log)
}

pub(super) async fn forget_calls(State(engage): State<Simulator>) -> Json<Value> {
    engage.reset_log();
    done()
}

pub(super) async fn clock(
    State(engage): State<Simulator>,
    Body(advance): Body<Advance>,
) -> Json<Value> {
    let by = Duration::from_millis(advance.advance_ms);
    engage.clock().advance(by);
    Json(json!({"now": engage.clock().now()}))
}

pub(super) async fn webhooks_to(
    State(engage): State<Simulator>,
    Body(target): Body<WebhookTarget>,
) -> Result<Json<Value>, ControlError> {
    sign(&target.secret, "", 0, "").ok_or_else(|| bad("`secret` must be `whsec_` and base64"))?;
    let is_key = |key: &String| key.len() == 32;
    if !target.encryption_key.as_ref().is_none_or(is_key) {
        return Err(bad("`encryptionKey` must have 32 characters"));
    }
    engage.webhooks_to(Some(target));
    Ok(done())
}

pub(super) async fn webhooks_off(State(engage): State<Simulator>) -> Json<Value> {
    engage.webhooks_to(None);
    done()
}

pub(super) async fn send_webhook(
    State(engage): State<Simulator>,
    Body(new): Body<NewWebhook>,
) -> Json<Value> {
    engage.send_webhook(&new.event, &new.contact_id);
    done()
}

/// The order in which webhooks are sent again.
#[derive(Deserialize)]
pub(super) struct Resend {
    #[serde(default)]
    backwards: bool,
}

pub(super) async fn resend_webhooks(
    State(engage): State<Simulator>,
    Body(resend): Body<Resend>,
) -> Json<Value> {
    engage.resend_webhooks(resend.backwards);
    done()
}

pub(super) async fn deliveries(State(engage): State<Simulator>) -> Json<Vec<Delivery>> {
    Json(engage.deliveries())
}

fn bad(reason: &str) -> ControlError {
    ControlError(StatusCode::BAD_REQUEST, reason.to_owned())
}
