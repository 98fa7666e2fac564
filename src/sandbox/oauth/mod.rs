//! Credentials beside plain tokens: access tokens with a public key, and OAuth applications that exchange tokens. Every
//! JWT is verified.

mod application;
mod jwt;
mod key_pair;
mod token_endpoint;

pub use application::ApplicationSpec;
pub(super) use application::Applications;
pub use jwt::KeyFormatError;
pub(super) use jwt::{PublicKey, issuer};
pub use key_pair::{KeyGenerationError, KeyPair};
pub(super) use token_endpoint::exchange;
