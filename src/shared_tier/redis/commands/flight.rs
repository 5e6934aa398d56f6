//! What a flight does: fetch, store, release. And peek, which reads the same.

use ::redis::{ScriptInvocation, Value};

use super::{
    super::{
        super::protocol::{
            BackendError, ContactName, EpochId, FetchCommand, FetchOutcome, FetchReply, Grant,
            MAX_ENTRIES_SINCE, NewValue, PeekReply, ReleaseCommand, ServerTime, StoreCommand,
            StoreReply, StoredAlias, Subject,
        },
        keys::{Keys, hex, millis, position},
        reply::{self, Items},
        scripts::Scripts,
    },
    bits,
};
use crate::domain::{Part, PartSet};

/// The kind and the name of a subject.
fn kind_and_name(subject: &Subject) -> (&'static str, &[u8; 16]) {
    match subject {
        Subject::Contact(name) => ("c", &name.0),
        Subject::Alias(name) => ("a", &name.0),
    }
}

pub(in super::super) fn fetch<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &FetchCommand,
) -> ScriptInvocation<'a> {
    let (kind, name) = kind_and_name(&command.subject);
    let mut script = scripts.fetch.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.entity_only(epoch))
        .key(keys.subject(epoch, command.subject))
        .arg(hex(epoch.0))
        .arg(kind)
        .arg(name)
        .arg(keys.contacts(epoch))
        .arg(bits(command.needed))
        .arg(bits(command.fetched))
        .arg(bits(PartSet::INVALIDATABLE))
        .arg(u8::from(command.waits))
        .arg(hex(command.lease.token.0))
        .arg(millis(command.lease.busy))
        .arg(millis(command.max_alias_age));
    for (_, age) in command.max_age.iter() {
        script.arg(millis(*age));
    }
    script
}

pub(in super::super) fn fetched(reply: Value) -> Result<FetchReply, BackendError> {
    let mut items = Items::of(reply)?;
    let now = items.time()?;
    let outcome = match (items.number()?, items.value()?, items.number()?) {
        (0, ..) => FetchOutcome::Served,
        (1, position, negatives) => FetchOutcome::Leased(Grant {
            position: reply::position(&reply::bytes(position)?)?,
            negatives,
        }),
        (2, busy, _) => FetchOutcome::Busy(std::time::Duration::from_millis(reply::number(&busy)?)),
        _ => return Err(BackendError::Unexpected),
    };
    Ok(FetchReply {
        now,
        outcome,
        alias: alias(&mut items, now)?,
        parts: items.parts(|items| items.stored(now))?,
        entity_only: items.parts(Items::duration)?,
    })
}

fn alias(items: &mut Items, now: ServerTime) -> Result<Option<StoredAlias>, BackendError> {
    let (value, name) = (items.stored(now)?, items.optional_bytes()?);
    let Some(value) = value else {
        return Ok(None);
    };
    let contact = name
        .map(|name| name[..].try_into().map(ContactName))
        .transpose()
        .map_err(|_| BackendError::Unexpected)?;
    Ok(Some(StoredAlias { contact, value }))
}

pub(in super::super) fn store<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &StoreCommand,
) -> ScriptInvocation<'a> {
    let (kind, name) = kind_and_name(&command.subject);
    let mut script = scripts.store.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.entity_only(epoch))
        .key(keys.subject(epoch, command.subject));
    if let Some(contact) = command.contact {
        script.key(keys.contact(epoch, contact));
    }
    script
        .arg(hex(epoch.0))
        .arg(kind)
        .arg(name)
        .arg(
            command
                .contact
                .as_ref()
                .map_or(&[][..], |contact| &contact.0),
        )
        .arg(hex(command.token.0))
        .arg(position(command.grant.position))
        .arg(command.grant.negatives)
        .arg(command.requested_at.0)
        .arg(hex(command.generation.0))
        .arg(MAX_ENTRIES_SINCE)
        .arg(bits(command.from_overview))
        .arg(bits(PartSet::INVALIDATABLE));
    value(&mut script, command.alias.as_ref());
    for part in Part::ALL {
        value(&mut script, command.parts[part].as_ref());
        script.arg(millis(command.entity_only[part]));
    }
    script
}

/// A lifetime and a sealed value; both are empty if there is none.
fn value(script: &mut ScriptInvocation<'_>, value: Option<&NewValue>) {
    match value {
        Some(value) => script.arg(millis(value.lifetime)).arg(&value.sealed[..]),
        None => script.arg("").arg(""),
    };
}

pub(in super::super) fn stored(reply: Value) -> Result<StoreReply, BackendError> {
    let mut items = Items::of(reply)?;
    Ok(StoreReply {
        overtaken: items.part_set()?,
        alias_overtaken: items.number()? == 1,
        stored: items.part_set()?,
        alias_stored: items.number()? == 1,
    })
}

pub(in super::super) fn release<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &ReleaseCommand,
) -> ScriptInvocation<'a> {
    let mut script = scripts.release.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.subject(epoch, command.subject))
        .arg(hex(epoch.0))
        .arg(hex(command.token.0));
    script
}

pub(in super::super) fn peek<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    subject: Subject,
) -> ScriptInvocation<'a> {
    let (kind, name) = kind_and_name(&subject);
    let mut script = scripts.peek.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.entity_only(epoch))
        .key(keys.subject(epoch, subject))
        .arg(hex(epoch.0))
        .arg(kind)
        .arg(name)
        .arg(keys.contacts(epoch))
        .arg(Part::COUNT)
        .arg(bits(PartSet::INVALIDATABLE));
    script
}

pub(in super::super) fn peeked(reply: Value) -> Result<PeekReply, BackendError> {
    let mut items = Items::of(reply)?;
    let (now, busy) = (items.time()?, items.duration()?);
    Ok(PeekReply {
        busy,
        alias: alias(&mut items, now)?,
        parts: items.parts(|items| items.stored(now))?,
        entity_only: items.parts(Items::duration)?,
        is_contact_gone: items.number()? != 0,
    })
}
