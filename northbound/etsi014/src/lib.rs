//! The server side of ETSI GS QKD 014 V1.1.1 (REST key delivery), written once: for a real key
//! manager and for the emulators.
//!
//! | module | what it is |
//! |---|---|
//! | [`key_id`] | spellings of key ids |
//! | [`kme`] | the socket-free core: [`Kme::handle`] answers a request with a status and a body |
//! | [`source`] | where keys come from: the [`KeySource`] trait, and a [`KeyPool`] that two KMEs share |
//! | [`server`] | thin shell: HTTPS with mutual TLS, or plain HTTP |
//! | [`pki`] | certificates for tests |
//!
//! Clause numbers in this crate are those of GS QKD 014 V1.1.1 (2019-02).
//!
//! # What the standard leaves open, and what this server does
//! - Only 200, 400, 401 and 503 are defined. A path outside the interface is 404, another method
//!   405 (RFC 9110).
//! - Too few stored keys: 503.
//! - A limit of the status (`max_key_per_request`, `min_key_size`, `max_key_size`,
//!   `max_SAE_ID_count`) that a request exceeds: 400, naming it.
//! - A SAE that the KME does not know: 400 as a receiver, 401 as a caller.
//! - An `extension_optional` that is not supported is ignored, unless
//!   [`KmeConfig::refuse_unhandled_options`] is set.
//! - One id asked twice in one request: 400, as for a key that is not there any more. Nothing is
//!   delivered then.
//!
//! # What clients cannot do
//! - Hold the server: [`Limits`] has deadlines for reading and writing, and numbers of connections
//!   in total, of one address and of one SAE. At a limit, a connection that the server waits for
//!   gives way, of unknown clients first.
//! - Fill its memory with keys whose twins nobody fetches: a twin expires ([`KeyPool`]), and one
//!   master can have half of all twins.

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
