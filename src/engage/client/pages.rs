//! Paged lists. If a list is too long, or its pages contradict one another, the part that is certain is kept and marked
//! as incomplete.

use super::EngageClient;
use crate::{
    domain::{AnswerPath, Partial},
    engage::{admission::Permit, error::Error, wire::Page},
};

/// Items requested per page.
pub(super) const PAGE: usize = 100;
/// Upper bound of pages: more than a thousand vouchers are a defect.
pub(super) const MAX_PAGES: u32 = 10;

/// A list to request: its path and query, and the most pages to read.
#[derive(Clone, Copy)]
pub(super) struct PagedList<'a> {
    pub(super) path: &'a str,
    /// The contact, if the query has it as a parameter.
    pub(super) contact: Option<&'a str>,
    pub(super) max_pages: u32,
}

impl EngageClient {
    /// Fetches a list, up to its limit of pages.
    pub(super) async fn all_pages<T: Default>(
        &self,
        permit: &Permit,
        list: PagedList<'_>,
        read: impl Fn(&[u8]) -> Result<Page<Partial<T>>, Error>,
        append: impl Fn(&mut T, T),
    ) -> Result<Partial<T>, Error> {
        let mut all = Partial::from(T::default());
        let mut offset = 0;
        for page_number in 0..list.max_pages {
            if page_number > 0 {
                permit.another().await?;
            }
            let offset_text = offset.to_string();
            let count_text = PAGE.to_string();
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(list.contact.map(|id| ("contactId", id)));
            query.extend([("offset", &*offset_text), ("count", &*count_text)]);
            let page = match self.call(permit, list.path, &query, &read).await {
                Err(error) if error.is_too_large() && page_number > 0 => {
                    return Ok(truncated(all, "size"));
                }
                page => page?,
            };
            // A page at another offset would leave a gap.
            if page.offset.is_some_and(|actual| actual != offset) {
                if page_number == 0 {
                    return Err(Error::invalid("offset"));
                }
                return Ok(truncated(all, "offset"));
            }
            offset += page.count;
            let mut items = page.items;
            append(&mut all.data, items.data);
            all.left_out.append(&mut items.left_out);
            let is_last = match page.total {
                Some(total) => offset >= total,
                None => page.count < PAGE,
            };
            if is_last {
                return Ok(all);
            }
            if page.count == 0 {
                return Ok(truncated(all, "totalCount"));
            }
        }
        Ok(truncated(all, "pages"))
    }
}

/// The items that were read, marked as incomplete; `at` names the cause.
fn truncated<T>(mut list: Partial<T>, at: AnswerPath) -> Partial<T> {
    list.left_out.push(at);
    list
}
