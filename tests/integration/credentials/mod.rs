//! Credentials beside plain tokens: an access token whose private key signs each request, and a token exchange.

mod check;
mod clock;
mod harness;
mod health;
mod private_key;
mod refusals;
mod secrets;
mod start;
mod token_exchange;
