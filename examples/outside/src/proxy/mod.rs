//! A device at the other end of a byte stream: requests go there, outcomes and events come back.
//!
//! ```text
//! client                                    server
//!   |<-- Hello(declarations, identity) -------|   once
//!   |--- Call(id, request) [+ key] ---------->|   any number at once
//!   |<-- Return(id, outcome) [+ keys] --------|   in the order in which calls end
//!   |--- Cancel(id) ------------------------->|   the caller dropped its future
//!   |<-- Event -------------------------------|   with its number and time
//!   |--- Close ------------------------------>|
//! ```
//!
//! Keys are not part of a message. They follow it in the same frame, on a stream that is protected
//! ([`Protection`]); on any other stream, an operation that hands over keys or random bytes is
//! refused before it reaches the device.

mod client;
mod frame;
mod server;

pub use client::{Client, connect};
pub use server::serve;

use qkd_hardware::hal::{Declarations, Error, Event, Identity, Operation, Outcome, Request};
use serde::{Deserialize, Serialize};

/// Whether a byte stream protects keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// It does not, or nothing is known.
    None,
    /// TLS with certificates of both sides.
    MutualTls,
    /// It never leaves the memory of this process: for tests.
    Memory,
}

impl Protection {
    /// Whether keys may travel on the stream with this operation.
    pub fn allows(self, operation: Operation) -> bool {
        let secret = matches!(
            operation,
            Operation::Stage | Operation::TakeKeys | Operation::TakeKeysById | Operation::Random
        );
        self != Self::None || !secret
    }
}

/// The refusal of an operation with keys on a stream that does not protect them.
fn unprotected(operation: Operation) -> Error {
    Error::unsupported(
        operation.name(),
        "the stream to this device does not protect keys; use mutual TLS. Nothing was sent",
    )
}

/// Messages of a client.
#[derive(Serialize, Deserialize)]
enum ToServer<'a> {
    Call { id: u64, request: Request<'a> },
    Cancel { id: u64 },
    Close,
}

/// Messages of a server.
#[derive(Serialize, Deserialize)]
enum ToClient {
    Hello {
        declarations: Box<Declarations>,
        identity: Option<Identity>,
        /// Sequence number of the next event.
        next_event: u64,
    },
    Return {
        id: u64,
        result: Result<Box<Outcome>, Error>,
    },
    Event(Event),
    Closed,
}
