//! Everything that knows tonic: the server, what every call passes through, and the services.

pub mod context;
pub mod methods;
pub mod middleware;
pub mod server;
pub mod services;
