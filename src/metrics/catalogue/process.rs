//! Metrics of the process, its log and its traces.

use super::{families, values};
use crate::metrics::Kind::{Counter, Gauge};

families! {
    ALARMS = Counter, "alarms_total" [alarm: values::ALARMS]:
        "Log events with alarm = true, by their message",
        "each is in [the log](#log-events)";
    LOG_EVENTS = Counter, "log_events_total" [level: values::LEVELS]:
        "Log events by level",
        "`error`, `warn`, `info`, `debug`, `trace`; without those that `telemetry.log` leaves out";
    LOG_EVENTS_DROPPED = Counter, "log_events_dropped_total" [log: values::LOGS]:
        "Log events that were not written",
        "`events` and `audit`: standard output was not read in time; `strangers`: too many of those that callers without a valid credential can cause, or too many panics";
    TRACES_EXPORTED = Counter, "traces_exported_total" []:
        "Spans that the collector has taken", "only with `telemetry.otlp_endpoint`";
    TRACES_DROPPED = Counter, "traces_dropped_total" []:
        "Spans that were dropped, because 2,048 were waiting or the collector did not take them",
        "only with `telemetry.otlp_endpoint`";
    RELOADS = Counter, "reloads_total" [outcome: values::RELOADS]:
        "Reloads of the configuration, by outcome", "`succeeded`, `failed` ([nothing changed](#reload))";
    LAST_RELOAD_SUCCESS = Gauge, "last_reload_success_timestamp_seconds" []:
        "When the configuration in force was loaded, at the start or by a reload, in seconds since 1970", "";
    LAST_RELOAD_FAILED = Gauge, "last_reload_failed" []:
        "Whether the last reload failed, so that an earlier configuration is in force", "";
    BUILD_INFO = Gauge, "build_info" [version, revision]:
        "Always 1, with the version and the commit that it was built from", "";
    PROCESS_CPU = Counter, "process_cpu_seconds_total" []:
        "Processor time of the process, in seconds", "";
    PROCESS_OPEN_FDS = Gauge, "process_open_fds" []:
        "Open file descriptors of the process", "";
    PROCESS_MAX_FDS = Gauge, "process_max_fds" []:
        "Most file descriptors that the process may open", "";
    PROCESS_RESIDENT_MEMORY = Gauge, "process_resident_memory_bytes" []:
        "Resident memory of the process", "";
    PROCESS_VIRTUAL_MEMORY = Gauge, "process_virtual_memory_bytes" []:
        "Virtual memory of the process", "";
    PROCESS_THREADS = Gauge, "process_threads" []:
        "Threads of the process", "";
    PROCESS_START_TIME = Gauge, "process_start_time_seconds" []:
        "When the process started, in seconds since 1970", "";
}
