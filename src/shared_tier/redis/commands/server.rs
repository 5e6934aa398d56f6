//! What needs no script: removing the keys of an ended epoch, and what the server says about itself.

use std::collections::HashMap;

use ::redis::{Value, cmd};

use super::super::{
    super::protocol::{BackendError, EpochId, ServerInfo},
    keys::Keys,
    link::Link,
    reply::{Items, bytes, number},
};

/// About how many keys the server examines in one step.
const STEP: usize = 500;

/// Removes the keys of an epoch but its stream, step by step.
pub(in super::super) async fn sweep(
    link: &Link,
    keys: &Keys,
    ended: EpochId,
) -> Result<u64, BackendError> {
    let stream = keys.stream(ended);
    let pattern = as_pattern(&keys.of_epoch(ended)) + "*";
    let mut cursor = 0;
    let mut removed = 0;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(STEP);
        let mut reply = Items::of(link.command(&scan).await?)?;
        cursor = reply.number()?;
        let mut found = Items::of(reply.value()?)?;
        let mut unlink = cmd("UNLINK");
        let mut is_empty = true;
        while let Some(key) = found.next() {
            let key = bytes(key)?;
            if key != stream.as_bytes() {
                unlink.arg(&key[..]);
                is_empty = false;
            }
        }
        if !is_empty {
            removed += number(&link.command(&unlink).await?)?;
        }
        if cursor == 0 {
            return Ok(removed);
        }
    }
}

/// A pattern that matches this text alone.
fn as_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// What the server says about itself. A managed service may hide parts of it.
pub(in super::super) async fn inspect(link: &Link) -> Result<ServerInfo, BackendError> {
    let mut info = cmd("INFO");
    info.arg("server")
        .arg("memory")
        .arg("persistence")
        .arg("replication");
    let text = match link.command(&info).await? {
        Value::VerbatimString { text, .. } => text,
        text => String::from_utf8_lossy(&bytes(text)?).into_owned(),
    };
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let field = |name: &str| fields.get(name).copied();
    let is_valkey = field("server_name") == Some("valkey");
    let (server, version) = if is_valkey {
        ("valkey", field("valkey_version"))
    } else {
        ("redis", field("redis_version"))
    };
    let of_number = |name: &str| field(name).and_then(|value| value.parse().ok());
    Ok(ServerInfo {
        server: server.to_owned(),
        version: version.unwrap_or_default().to_owned(),
        mode: field("redis_mode")
            .or_else(|| field("server_mode"))
            .unwrap_or_default()
            .to_owned(),
        eviction_policy: field("maxmemory_policy").unwrap_or_default().to_owned(),
        max_memory: of_number("maxmemory"),
        used_memory: of_number("used_memory").unwrap_or(0),
        appends: field("aof_enabled") == Some("1"),
        snapshots: snapshots(link).await,
        replicas: field("connected_slaves")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0),
    })
}

/// Whether the server writes snapshots, if the user may ask for its configuration.
async fn snapshots(link: &Link) -> Option<bool> {
    let mut get = cmd("CONFIG");
    get.arg("GET").arg("save");
    let mut pair = Items::of(link.command(&get).await.ok()?).ok()?;
    pair.next()?;
    Some(!bytes(pair.next()?).ok()?.is_empty())
}
