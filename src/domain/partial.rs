//! Data without its unreadable items, which were left out.

/// A path of keys in a response, without values.
pub type AnswerPath = &'static str;

/// Data, and the paths of the unreadable items that were left out.
#[derive(Debug, Default)]
pub struct Partial<T> {
    /// The readable data.
    pub data: T,
    /// The path of each unreadable item; empty if the data is complete.
    pub left_out: Vec<AnswerPath>,
}

impl<T> Partial<T> {
    /// Converts the data.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Partial<U> {
        Partial {
            data: change(self.data),
            left_out: self.left_out,
        }
    }
}

impl<T> From<T> for Partial<T> {
    fn from(data: T) -> Self {
        Self {
            data,
            left_out: Vec::new(),
        }
    }
}
