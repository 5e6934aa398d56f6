//! A list that Engage tells in pages. Where it is longer than is read, or its pages contradict one another, what is certain
//! is kept, and the list is known to be incomplete.

use super::{EngageClient, Error, Permit, wire::Page};
use crate::domain::{AnswerPath, Readable};

/// How many items a page is asked for.
const PAGE: usize = 100;
/// How many pages are read at most: more than a thousand vouchers are a defect, not a customer.
const MAX_PAGES: usize = 10;

impl EngageClient {
    /// The list's pages, as many as are read and can be.
    pub(super) async fn all_pages<T: Default>(
        &self,
        permit: Permit,
        path: &str,
        contact: Option<&str>,
        read: impl Fn(&[u8]) -> Result<Page<Readable<T>>, Error>,
        append: impl Fn(&mut T, T),
    ) -> Result<Readable<T>, Error> {
        let mut all = Readable::from(T::default());
        let mut offset = 0;
        for page_number in 0..MAX_PAGES {
            if page_number > 0 {
                permit.another().await?;
            }
            let offset_text = offset.to_string();
            let count_text = PAGE.to_string();
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(contact.map(|id| ("contactId", id)));
            query.extend([("offset", &*offset_text), ("count", &*count_text)]);
            let page = match self.call(&permit, path, &query, &read).await {
                Err(error) if error.is_too_large() && page_number > 0 => {
                    return Ok(cut(all, "size"));
                }
                page => page?,
            };
            // A page of somewhere else would leave a gap.
            if page.offset.is_some_and(|told| told != offset) {
                if page_number == 0 {
                    return Err(Error::invalid("offset"));
                }
                return Ok(cut(all, "offset"));
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
                return Ok(cut(all, "totalCount"));
            }
        }
        Ok(cut(all, "pages"))
    }
}

/// The list as far as it was read, known to be longer; `at` says what ended it.
fn cut<T>(mut list: Readable<T>, at: AnswerPath) -> Readable<T> {
    list.left_out.push(at);
    list
}
