//! What is governed, in plain types: resource types, entitlements, grants, principals, and their ids.

pub mod catalog;
pub mod ids;
