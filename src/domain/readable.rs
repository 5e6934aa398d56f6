//! What could be read of an answer's part, and what could not.

/// A place in an answer: a path of keys, without values.
pub type AnswerPath = &'static str;

/// Data, and what was left out of it because it cannot be read.
#[derive(Debug, Default)]
pub struct Readable<T> {
    /// What could be read.
    pub data: T,
    /// Where each thing was that could not; empty where the data is complete.
    pub left_out: Vec<AnswerPath>,
}

impl<T> Readable<T> {
    /// The same about other data.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Readable<U> {
        Readable {
            data: change(self.data),
            left_out: self.left_out,
        }
    }
}

impl<T> From<T> for Readable<T> {
    fn from(data: T) -> Self {
        Self {
            data,
            left_out: Vec::new(),
        }
    }
}
