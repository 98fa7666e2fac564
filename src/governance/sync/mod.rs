//! Listings for a sync: complete or an error, with what a client will request next read ahead.

pub mod empty_lists;
pub mod listing;
pub mod page_token;
pub mod prefetch;
pub mod progress;
pub mod unlisted_users;
