//! The stream: invalidations, heartbeats, and reading it.

use std::time::Duration;

use ::redis::{Cmd, ScriptInvocation, Value};
use bytes::Bytes;

use super::{
    super::{
        super::protocol::{
            BackendError, BeatCommand, BeatReply, EntryContent, EpochId, InvalidateCommand,
            InvalidateReply, Position, ReplicaId, StreamEntry,
        },
        keys::{Keys, hex, millis, position},
        reply::{self, Items, from_hex},
        scripts::Scripts,
    },
    bits,
};
use crate::domain::{Part, PartSet};

/// The byte after the name of an alias, in the list of what is covered.
const ALIAS: u8 = 0x40;
/// The byte after the name of a purged contact, in the list of what is covered.
const PURGE: u8 = 0x80;

/// No part has the bit of an alias.
const _: () = assert!(1 << (Part::COUNT - 1) < ALIAS as usize);

/// How many entries are read at once, at most.
const ENTRIES: usize = 500;

pub(in super::super) fn invalidate<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &InvalidateCommand,
) -> ScriptInvocation<'a> {
    let mut script = scripts.invalidate.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.entity_only(epoch));
    if let Some((message, _)) = command.message {
        script.key(keys.message(epoch, message));
    }
    let remembered = command.message.map_or(Duration::ZERO, |(_, memory)| memory);
    script
        .arg(hex(epoch.0))
        .arg(covered(command))
        .arg(keys.contacts(epoch))
        .arg(keys.aliases(epoch))
        .arg(u8::from(command.negatives))
        .arg(millis(command.entity_only))
        .arg(bits(PartSet::INVALIDATABLE))
        .arg(millis(remembered))
        .arg(hex(command.replica.0))
        .arg(&command.payload[..])
        .arg(millis(command.stream.keep));
    script
}

/// See `scripts/invalidate.lua`.
fn covered(command: &InvalidateCommand) -> Vec<u8> {
    let contacts = command.contacts.iter().map(|covered| {
        let what = if covered.is_purge {
            PURGE
        } else {
            bits(covered.parts)
        };
        (&covered.contact.0, what)
    });
    let aliases = command.aliases.iter().map(|alias| (&alias.0, ALIAS));
    let mut records = Vec::with_capacity(17 * (command.contacts.len() + command.aliases.len()));
    for (name, what) in contacts.chain(aliases) {
        records.extend_from_slice(name);
        records.push(what);
    }
    records
}

pub(in super::super) fn invalidated(reply: Value) -> Result<InvalidateReply, BackendError> {
    match reply {
        Value::Nil => Ok(InvalidateReply::Repeated),
        reply => reply::position(&reply::bytes(reply)?).map(InvalidateReply::Written),
    }
}

pub(in super::super) fn beat<'a>(
    scripts: &'a Scripts,
    keys: &Keys,
    epoch: EpochId,
    command: &BeatCommand,
) -> ScriptInvocation<'a> {
    let mut script = scripts.beat.prepare_invoke();
    script
        .key(keys.epoch())
        .key(keys.stream(epoch))
        .key(keys.replicas())
        .arg(hex(epoch.0))
        .arg(hex(command.replica.0))
        .arg(u8::from(command.leaves))
        .arg(millis(command.interval))
        .arg(millis(command.stream.keep));
    script
}

pub(in super::super) fn beaten(reply: Value) -> Result<BeatReply, BackendError> {
    let mut items = Items::of(reply)?;
    Ok(BeatReply {
        now: items.time()?,
        alive: items.small()?,
        last: items.position()?,
    })
}

pub(in super::super) fn read(keys: &Keys, epoch: EpochId, after: Position, wait: Duration) -> Cmd {
    let mut command = ::redis::cmd("XREAD");
    command.arg("COUNT").arg(ENTRIES);
    // Zero would mean for ever.
    if millis(wait) > 0 {
        command.arg("BLOCK").arg(millis(wait));
    }
    command
        .arg("STREAMS")
        .arg(keys.stream(epoch))
        .arg(position(after));
    command
}

pub(in super::super) fn entries(reply: Value) -> Result<Vec<StreamEntry>, BackendError> {
    if reply == Value::Nil {
        return Ok(Vec::new());
    }
    // One stream: its key, then its entries. In RESP2 the two are an array of their own.
    let mut streams = Items::of(reply)?;
    let mut stream = match streams.value()? {
        stream @ Value::Array(_) => Items::of(stream)?,
        _key => return list(streams.value()?),
    };
    stream.value()?;
    list(stream.value()?)
}

fn list(entries: Value) -> Result<Vec<StreamEntry>, BackendError> {
    let mut items = Items::of(entries)?;
    let mut list = Vec::new();
    while let Some(item) = items.next() {
        let mut entry = Items::of(item)?;
        list.push(read_entry(entry.position()?, entry.value()?));
    }
    Ok(list)
}

/// The fields of an entry that this version knows.
#[derive(Default)]
struct Fields {
    previous: Option<Bytes>,
    kind: Option<Bytes>,
    replica: Option<Bytes>,
    payload: Option<Bytes>,
    next: Option<Bytes>,
    secret: Option<Bytes>,
}

/// What can't be read of an entry is unknown. If that is the position of the entry before it, the reader finds a gap.
fn read_entry(position: Position, fields: Value) -> StreamEntry {
    let fields = read_fields(fields).unwrap_or_default();
    let previous = fields
        .previous
        .as_ref()
        .and_then(|text| reply::position(text).ok())
        .unwrap_or(Position::START);
    StreamEntry {
        position,
        previous,
        content: content(fields).unwrap_or(EntryContent::Unknown),
    }
}

fn read_fields(fields: Value) -> Result<Fields, BackendError> {
    let mut items = Items::of(fields)?;
    let mut fields = Fields::default();
    while let Some(name) = items.next() {
        let value = Some(items.bytes()?);
        match &reply::bytes(name)?[..] {
            b"p" => fields.previous = value,
            b"k" => fields.kind = value,
            b"r" => fields.replica = value,
            b"v" => fields.payload = value,
            b"n" => fields.next = value,
            b"s" => fields.secret = value,
            _ => {}
        }
    }
    Ok(fields)
}

fn content(fields: Fields) -> Option<EntryContent> {
    let replica = |text: Option<Bytes>| from_hex(&text?).ok().map(ReplicaId);
    match &fields.kind?[..] {
        b"h" => Some(EntryContent::Heartbeat),
        b"i" => Some(EntryContent::Invalidation {
            replica: replica(fields.replica)?,
            payload: fields.payload?,
        }),
        b"a" => Some(EntryContent::Advance {
            replica: replica(fields.replica)?,
            payload: fields.payload?,
            next: EpochId(from_hex(&fields.next?).ok()?),
            wrapped_secret: fields.secret?,
        }),
        _ => None,
    }
}
