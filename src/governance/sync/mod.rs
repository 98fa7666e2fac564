//! Listings for a sync: complete or an error, with the rows that a client is expected to request next prefetched.

mod carried;
mod list_history;
mod listing;
mod observed_lists;
pub(crate) mod page_token;
mod prefetch;
mod progress;
mod rate_limit_reset;
mod session;
mod unlisted_users;

pub use list_history::ListHistory;
pub use listing::{Listings, Page, complete_list};
pub use page_token::PageTokenError;
