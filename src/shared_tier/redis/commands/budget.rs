//! The call budget.

use std::time::Duration;

use ::redis::{ScriptInvocation, Value};

use super::super::{
    super::protocol::{BackendError, BudgetName, TokenCommand, TokenReply},
    keys::{Keys, hex, millis},
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
        .key(keys.replicas())
        .arg(hex(command.replica.0))
        .arg(command.rate)
        .arg(command.burst)
        .arg(command.wanted)
        .arg(command.known_replicas)
        .arg(u8::from(command.was_cut_off));
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
