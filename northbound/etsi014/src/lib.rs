//! Server of ETSI GS QKD 014 V1.1.1 (REST key delivery), for a real key manager and for the
//! emulators.
//!
//! | module | content |
//! |---|---|
//! | [`key_id`] | spellings of key IDs |
//! | [`kme`] | core without sockets: [`Kme::handle`] answers a request |
//! | [`source`] | sources of keys: the [`KeySource`] trait, and a [`KeyPool`] that two KMEs share |
//! | [`server`] | HTTPS with mutual TLS, or plain HTTP |
//! | [`pki`] | certificates for tests |
//!
//! Clause numbers in this crate are those of GS QKD 014 V1.1.1 (2019-02).
//!
//! # Cases that the standard does not specify
//!
//! - Only 200, 400, 401 and 503 are defined. A path outside the interface returns 404, another
//!   method 405 (RFC 9110).
//! - Too few stored keys: 503.
//! - A request that exceeds a limit of the status (`max_key_per_request`, `min_key_size`,
//!   `max_key_size`, `max_SAE_ID_count`): 400, with the name of the limit.
//! - An SAE that the KME does not know: 400 as a receiver, 401 as a caller.
//! - An `extension_optional` that is not supported is ignored, unless
//!   [`KmeConfig::refuse_unhandled_options`] is set.
//! - One ID twice in one request: 400, as for a key that no longer exists. No key is delivered.
//!
//! # Protection against misbehaving clients
//!
//! - Occupation of the server: [`Limits`] has deadlines for reading and writing, and numbers of
//!   connections in total, of one address and of one SAE. At a limit, a connection that the server
//!   waits for is closed, of unknown clients first.
//! - Memory: a key that the peer does not fetch expires ([`KeyPool`]), and one master can occupy
//!   half of the capacity for such keys.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connections;
mod deadline;
mod der;
pub mod key_id;
pub mod kme;
pub mod pki;
mod request;
pub mod server;
pub mod source;

pub use connections::Limits;
pub use key_id::KeyIdForm;
pub use kme::{HttpReply, Kme, KmeConfig, fuzz};
pub use server::{ClientAuth, RequestHandler, serve, serve_within};
pub use source::{KeyAudience, KeyItem, KeyMaterial, KeyPool, KeySource, SourceError};
