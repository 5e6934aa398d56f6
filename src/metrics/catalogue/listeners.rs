//! Metrics of connections and of deliveries.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge};

families! {
    CONNECTIONS = Gauge, "connections" [listener: values::LISTENERS]:
        "Open connections", "";
    CONNECTIONS_MAX = Gauge, "connections_max" [listener: values::LISTENERS]:
        "Limit on concurrent connections, without the reserve for probes",
        "`server.max_connections`, or fewer where the [descriptors](#connections-and-descriptors) do not suffice";
    CONNECTIONS_CLOSED_FOR_ROOM = Counter, "connections_closed_for_room_total" [listener: values::LISTENERS]:
        "Idle connections closed for a new one at the limit of connections", "";
    CONNECTIONS_TURNED_AWAY = Counter, "connections_turned_away_total" [listener: values::LISTENERS]:
        "Requests answered with 503 because every connection at the limit was busy", "";
    WEBHOOKS = Counter, "webhooks_total" [event, outcome] from webhooks:
        "Deliveries of Engage's webhooks, by event and outcome",
        "`taken`, `repeated`, `unaddressed` (no contact in it, or not all of them readable); not accepted: `not-shared` (it took effect at this replica alone), and as event `(unread)`: `unsigned`, `untimely`, `forged`, `not-json`, `sealed`, `too-large`, `incomplete` (too slow, broken off), `overloaded`; only where webhooks are configured";
    WEBHOOK_FEED_STATE = Gauge, "webhook_feed_state" [state: values::FEED_STATES]:
        "State of the webhook feed: 1 for the current state, 0 for the others",
        "`unknown` (none yet), `working`, `silent`, `failing`; only where webhooks are configured";
    WEBHOOK_LAST_TAKEN = Gauge, "webhook_last_taken_timestamp_seconds" []:
        "When the last webhook was accepted, in seconds since 1970; 0 before the first",
        "only where webhooks are configured";
}

fn webhooks() -> Vec<Vec<&'static str>> {
    let read = values::EVENTS.iter().flat_map(|event| {
        values::READ_OUTCOMES
            .iter()
            .map(|outcome| vec![*event, *outcome])
    });
    let unread = values::UNREAD_OUTCOMES
        .iter()
        .map(|outcome| vec![values::UNREAD, *outcome]);
    read.chain(unread).collect()
}
