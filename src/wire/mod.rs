//! The translation between the governance model and the messages of the protocol. It knows no server.

pub(crate) mod actions;
pub(crate) mod change;
pub(crate) mod email;
pub(crate) mod lifecycle;
pub(crate) mod rate_limit;
pub(crate) mod request;
pub(crate) mod rows;
pub(crate) mod status;
