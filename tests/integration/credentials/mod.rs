//! Credentials beside one plain token: an access token whose private key signs each request, a token exchange, and several
//! credentials for one organization.

mod check;
mod clock;
mod harness;
mod health;
mod private_key;
mod refusals;
mod secrets;
mod several;
mod start;
mod token_exchange;
