//! Epochs.

use ::redis::{ScriptInvocation, Value};

use super::super::{
    super::protocol::{AdvanceCommand, BackendError, EpochId, EpochOffer, OpenEpoch},
    keys::{Keys, hex, millis},
    reply::{Items, from_hex, number},
    scripts::Scripts,
};

pub(in super::super) fn open<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    offer: &EpochOffer,
) -> ScriptInvocation<'a> {
    let mut script = scripts.open.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(offer.id))
        .arg(keys.prefix())
        .arg(hex(offer.id.0))
        .arg(&offer.wrapped_secret[..])
        .arg(millis(offer.stream.keep));
    script
}

pub(in super::super) fn opened(reply: Value) -> Result<OpenEpoch, BackendError> {
    let mut items = Items::of(reply)?;
    Ok(OpenEpoch {
        id: EpochId(from_hex(&items.bytes()?)?),
        wrapped_secret: items.bytes()?,
        last: items.position()?,
        now: items.time()?,
    })
}

pub(in super::super) fn rewrap<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    old: &[u8],
    new: &[u8],
) -> ScriptInvocation<'a> {
    let mut script = scripts.rewrap.prepare_invoke();
    script.key(keys.epoch()).arg(hex(epoch.0)).arg(old).arg(new);
    script
}

pub(in super::super) fn rewrapped(reply: &Value) -> Result<bool, BackendError> {
    number(reply).map(|replaced| replaced == 1)
}

pub(in super::super) fn advance<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &AdvanceCommand,
) -> ScriptInvocation<'a> {
    let mut script = scripts.advance.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.stream(command.next.id))
        .arg(hex(epoch.0))
        .arg(hex(command.next.id.0))
        .arg(&command.next.wrapped_secret[..])
        .arg(hex(command.replica.0))
        .arg(&command.payload[..])
        .arg(millis(command.next.stream.keep));
    script
}
