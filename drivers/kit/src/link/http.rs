//! HTTP links: requests to one server, over HTTP or HTTPS with mutual TLS.

use super::{Disclosure, LinkError};
use async_trait::async_trait;
use std::time::Duration;
use zeroize::Zeroizing;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The GET method.
    Get,
    /// POST with a JSON body.
    Post,
}

/// An HTTP request.
pub struct HttpRequest {
    /// The operation, for transcripts and traces.
    pub name: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path with its query, percent-encoded, beginning with `/`.
    pub path: String,
    /// JSON body; `None` for a request without a body.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// Whether it may change the server: keys that are delivered leave its store, whatever the
    /// method.
    pub changes: bool,
    /// Secrets in the body of the reply.
    pub reply_disclosure: Disclosure,
}

/// An HTTP response.
pub struct HttpResponse {
    /// HTTP status code.
    pub status: u16,
    /// Body, zeroized on drop.
    pub body: Zeroizing<Vec<u8>>,
}

/// Requests to one server.
#[async_trait]
pub trait HttpLink: Send + Sync {
    /// Sends the request and returns the response, whatever its status.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`, `Authentication` (the TLS handshake failed), `Transport` (cut,
    /// overrun), `Closed`.
    async fn call(&self, request: HttpRequest, within: Duration)
    -> Result<HttpResponse, LinkError>;
    /// The name of the far end.
    fn address(&self) -> String;
    /// Closes the link. Later calls fail with `Closed`.
    async fn close(&self);
}

/// A server's logic, without sockets: used by the in-memory link and by the TLS server.
pub trait HttpService: Send + Sync {
    /// Answers a request of the client that its certificate names, if it showed one.
    fn call(&self, client: Option<&str>, method: Method, path: &str, body: &[u8]) -> HttpResponse;
}
