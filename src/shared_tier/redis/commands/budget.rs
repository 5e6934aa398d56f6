//! The call budget.

use std::time::Duration;

use ::redis::{ScriptInvocation, Value};

use super::super::{
    super::protocol::{BackendError, BudgetName, ServerTime, TokenCommand, TokenReply},
    keys::{Keys, MOST_MILLIS, hex, millis},
    reply::Items,
    scripts::Scripts,
};

pub(in super::super) fn lease_tokens<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    command: &TokenCommand,
) -> ScriptInvocation<'a> {
    let mut script = scripts.lease_tokens.prepare_invoke();
    script
        .key(keys.budget(command.budget))
        .arg(hex(command.replica.0))
        .arg(command.number)
        .arg(command.rate)
        .arg(command.burst)
        .arg(command.wanted)
        .arg(command.held)
        .arg(command.returned)
        .arg(command.known_replicas);
    if command.lent_until == ServerTime(u64::MAX) {
        script.arg("leaves");
    } else {
        script.arg(command.lent_until.0.min(MOST_MILLIS));
    }
    script
}

pub(in super::super) fn leased(reply: Value) -> Result<TokenReply, BackendError> {
    let mut items = Items::of(reply)?;
    Ok(TokenReply {
        granted: items.small()?,
        wait: items.duration()?,
        pause: Some(items.duration()?).filter(|pause| !pause.is_zero()),
        replicas: items.small()?,
    })
}

pub(in super::super) fn pause<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    budget: BudgetName,
    pause: Duration,
) -> ScriptInvocation<'a> {
    let mut script = scripts.pause.prepare_invoke();
    script.key(keys.budget(budget)).arg(millis(pause));
    script
}
