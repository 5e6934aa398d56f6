//! The scripts, each with the parts that it shares with others.

use ::redis::Script;

/// The scripts of the operations.
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) rewrap: Script,
    pub(super) fetch: Script,
    pub(super) store: Script,
    pub(super) release: Script,
    pub(super) invalidate: Script,
    pub(super) advance: Script,
    pub(super) beat: Script,
    pub(super) lease_tokens: Script,
    pub(super) pause: Script,
    pub(super) peek: Script,
}

/// Concatenates files into one script; its first line, if not empty, makes the server decide before the run whether to
/// refuse the script (see `scripts/server.lua`).
macro_rules! script {
    ($first_line:literal, $($file:literal)+) => {
        Script::new(concat!(
            $first_line,
            include_str!("scripts/server.lua"),
            $(include_str!(concat!("scripts/", $file, ".lua")),)+
        ))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            open: script!("#!lua flags=allow-oom\n", "stream" "begin_epoch" "open"),
            rewrap: script!("#!lua flags=allow-oom\n", "epoch" "rewrap"),
            fetch: script!("", "epoch" "stream" "leases" "values" "entity_only" "fetch"),
            store: script!("#!lua\n", "epoch" "since" "leases" "values" "entity_only" "store"),
            release: script!("#!lua flags=allow-oom\n", "epoch" "leases" "release"),
            invalidate: script!(
                "#!lua flags=allow-oom\n",
                "epoch" "stream" "leases" "entity_only" "invalidate"
            ),
            advance: script!(
                "#!lua flags=allow-oom\n",
                "epoch" "stream" "begin_epoch" "advance"
            ),
            beat: script!("#!lua flags=allow-oom\n", "epoch" "stream" "beat"),
            lease_tokens: script!("#!lua flags=allow-oom\n", "budget" "lease_tokens"),
            pause: script!("#!lua flags=allow-oom\n", "budget" "pause"),
            peek: script!(
                "#!lua flags=no-writes\n",
                "epoch" "leases" "values" "entity_only" "peek"
            ),
        }
    }
}
