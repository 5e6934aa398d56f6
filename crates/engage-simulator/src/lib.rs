//! A stateful simulator of Voyado Engage for tests, demos and load runs.
//!
//! It generates invented contacts, serves the calls of Engage's API v2 and v3 that the service makes, records every
//! call, and simulates network faults. It shares no type with the service: shared types would make it agree with the
//! service's mistakes.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use engage_simulator::{Endpoint, Fault, Simulator, fixtures};
//!
//! let engage = Simulator::builder().seed(7).contacts(200).start().await?;
//! engage.contact(fixtures::ALVA.id).points("120.5");
//! engage.fault_times(Endpoint::PointAccounts, Fault::ResetMidBody, 1);
//! println!("{}", engage.base_url());
//! engage.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Engage's API
//!
//! Under `/api/v3` and `/api/v2`: `contactoverview`, `contacts/id`, `contacts/{id}`,
//! `contacts/{id}/promotions`, `contacts/{id}/purchasehistorysummary`, `point-accounts`, `point-accounts/definitions` (in
//! v3 inferred from v2), `contacts/changes`, `target-audiences`; v3 also has `reward-vouchers[/available|/redeemed]` and
//! `point-transactions`, v2 `contacts/{id}/bonuschecks[/available|/redeemed]` and `contacts/{id}/bonuspointtransactions`.
//! Anything else, and any query parameter that Engage does not accept, is a 404 and listed by [`Simulator::unexpected`].
//!
//! - The overview has the data of one overview lag ago, identifiers included; everything else is current. Initial contacts
//!   have always existed.
//! - Responses are computed when a call arrives; latency delays them. A hold of [`Simulator::hold_before`] computes them on
//!   release.
//! - The rate limit and latencies use real time, with any clock; only calls with the right key count against the limit.
//! - Times without a zone are Swedish.
//!
//! # The control API
//!
//! Most operations of the Rust handle are available over HTTP, on the same listener, without a key. Bodies are JSON.
//! Endpoints are named `all`, `overview`, `contactIdLookup`, `contact`, `promotions`, `vouchers`, `pointAccounts`,
//! `pointDefinitions`, `pointTransactions`, `redeemedVouchers`, `purchases`, `changes`, `targetAudiences`; durations
//! are milliseconds.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /control/contacts?offset=&count=` | ids of the contacts |
//! | `POST /control/contacts` `{"contactType":"Member","attributes":{}}` | creates one: `{"id"}` |
//! | `GET /control/contacts/{id}` | all data of a contact |
//! | `POST /control/contacts/{id}` `[edit, …]` | edits one, in order, see below |
//! | `DELETE /control/contacts/{id}` | deletes one |
//! | `POST /control/move-email` `{"from":"id","to":"id"}` | moves an e-mail address |
//! | `POST /control/point-definitions` `{"id":1,"name":"Bonus"}` | adds a point definition, or renames it |
//! | `DELETE /control/point-definitions/{id}` | removes one |
//! | `GET /control/settings` | time, number of contacts, number of calls |
//! | `POST /control/settings` | any of `customKey` (`off`, `memberNumber`, `externalId`), `voucherKey` (`rewardVouchers`, `bonusChecks`), `wrapPointAccounts`, `pageCap` (0: none), `forbid`, `apiKeys` (those that are accepted; empty: the one from the start), `rateLimit` (0: none), `overviewLagMs` |
//! | `POST /control/faults` `{"endpoint":"all","fault":"hang","times":3}` | adds a fault; without `times` until cleared |
//! | `DELETE /control/faults` | removes all faults |
//! | `POST /control/latency` `{"endpoint":"all","fixedMs":20}` or `{"endpoint":"all","medianMs":40,"sigma":0.8}` | sets a latency; with neither, none |
//! | `POST /control/holds` `{"endpoint":"overview","before":false}` | creates a hold: `{"hold":1}` |
//! | `POST /control/holds/{hold}/release-one` | releases one call |
//! | `DELETE /control/holds/{hold}` | releases all |
//! | `GET /control/calls` | counts, in flight, unexpected |
//! | `GET /control/calls/log?count=` | the latest calls |
//! | `DELETE /control/calls` | clears them |
//! | `POST /control/clock` `{"advanceMs":60000}` | advances the clock |
//! | `POST /control/webhooks` `{"url":"http://…","secret":"whsec_…"}` | edits send webhooks |
//! | the same with `"encryptionKey":"…32 characters…"` | with encrypted payloads |
//! | `DELETE /control/webhooks` | disables webhooks |
//! | `POST /control/webhooks/send` `{"event":"contact.updated","contactId":"…"}` | sends one |
//! | `POST /control/webhooks/resend` `{"backwards":true}` | resends all, under their ids |
//! | `GET /control/webhooks/deliveries` | results of deliveries |
//!
//! Edits: `{"points":"120.5"}`, `{"pointsOf":[2,"3"]}`, `{"attribute":["shoeSize",41]}`,
//! `{"alsoFoundBy":["memberNumber","100001"]}`, `{"addVoucher":{"amount":"100"}}`, `{"removeVoucher":"id"}`,
//! `{"redeemVoucher":"id"}`, `{"reactivateVoucher":"id"}`, `{"addTransaction":{"amount":20}}`, `{"purchases":{}}`,
//! `{"addPromotion":{}}`, `{"removePromotion":"id"}`, `{"redeemPromotion":"id"}`, `{"audiences":[]}`,
//! `{"warnings":[]}`, `{"preferences":{}}`, `{"consents":[]}`, `{"contactType":"Contact"}`, `"delete"`.
//!
//! Faults: `"hang"`, `"resetBeforeBody"`, `"resetMidBody"`, `"truncatedJson"`, `"html502"`,
//! `"htmlOk200"`, `"wrongContentType"`, `"empty200"`, `{"tooMany":{"retryAfter":"5"}}`,
//! `{"status":[503,"busy"]}`, `{"delay":250}`, `{"body":"{}"}`, `{"wrongContact":"id"}`,
//! `{"raw":"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"}`.

// In reading order. First the handle.
mod simulator;

mod edit;
pub mod fixtures;

// Then the path of a call, from the socket to the response.
mod server;

mod service;

mod api;

mod answer;

mod control;

// Then the data.
mod world;

mod contact;
mod identifier;
mod json;
mod seed;
mod settings;

// Last: records, time, faults, holds and webhooks.
mod calls;
mod clock;
mod endpoint;
mod fault;
mod hold;
mod webhook;

pub use calls::{Call, HeadersSeen};
pub use clock::SimulatorClock;
pub use edit::{ContactEditor, VoucherSeed};
pub use endpoint::Endpoint;
pub use fault::{Fault, Latency};
pub use hold::Hold;
pub use settings::{CustomKey, VoucherKey};
pub use simulator::{Simulator, SimulatorBuilder};
pub use webhook::{DEFAULT_WEBHOOK_SECRET, Delivery, WebhookTarget, sign};
