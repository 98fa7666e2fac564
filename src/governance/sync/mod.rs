//! Listings for a sync: complete or an error, with what a client will request next read ahead.

mod holdings;
mod list_history;
mod listing;
pub(crate) mod page_token;
mod prefetch;
mod progress;
mod unlisted_users;

pub use list_history::ListHistory;
pub use listing::{Listings, Page, complete_list};
pub use page_token::PageTokenError;
