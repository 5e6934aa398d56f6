//! A finished span.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Now, Tick},
    domain::{ClientName, KeyedDigest, PartSet, SpanContext, SpanId},
};

/// A finished span.
#[derive(Clone, Debug)]
pub struct Span {
    /// The span itself.
    pub context: SpanContext,
    /// The span that caused it; `None` for the first span of a trace.
    pub parent: Option<SpanId>,
    /// Whether the parent is a span of another process.
    pub has_remote_parent: bool,
    /// The words of its name.
    pub name: [&'static str; 2],
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub started: Now,
    /// When it ended.
    pub ended: Tick,
    /// Whether it counts as an error.
    pub is_error: bool,
    /// Further facts about it.
    pub attributes: Vec<Attribute>,
    /// Events during it.
    pub events: Vec<SpanEvent>,
    /// Spans of other traces that belong to it.
    pub links: Vec<SpanContext>,
}

/// A kind of span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Something within this process.
    Internal,
    /// A request to this service.
    Server,
    /// A request that this service makes.
    Client,
}

/// A name with its value.
pub type Attribute = (&'static str, Value);

/// The value of an attribute. None can contain a caller's or a contact's data.
#[derive(Clone, Debug)]
pub enum Value {
    /// A fixed word.
    Name(&'static str),
    /// The configured name of a client.
    Client(ClientName),
    /// A configured host.
    Host(Arc<str>),
    /// The digest of a contact.
    Contact(KeyedDigest),
    /// Parts, by name.
    Parts(PartSet),
    /// A number.
    Number(i64),
    /// A duration, in milliseconds.
    Millis(Duration),
    /// A boolean.
    Flag(bool),
}

/// An event during a span.
#[derive(Clone, Debug)]
pub struct SpanEvent {
    /// Its name.
    pub name: &'static str,
    /// Its time.
    pub at: Tick,
    /// Further facts about it.
    pub attributes: Vec<Attribute>,
}
