//! HTTP and HTTPS with mutual TLS, through `reqwest` and `rustls`.

mod identity;
mod trust;
mod verify;

pub use trust::{PIN, SERVER_NAME, Trust};

use super::{
    LinkError,
    http::{HttpLink, HttpRequest, HttpResponse, Method},
};
use crate::credentials::CredentialEntry;
use async_trait::async_trait;
use qkd_hal::{Error, ErrorKind, Result, TransportFault};
use reqwest::{Client, header};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore, crypto::CryptoProvider};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use zeroize::{Zeroize, Zeroizing};

/// Maximum number of bytes of a response's body.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Requests to one server.
pub struct HttpsLink {
    client: Client,
    base: String,
    address: String,
    closed: AtomicBool,
}

impl HttpsLink {
    /// To `host:port`; with an entry's `ca`, `cert` and `key` over TLS, otherwise in clear.
    ///
    /// # Errors
    /// `Authentication`, naming the entry's field that does not fit.
    pub fn open(address: &str, tls: Option<(&CredentialEntry, Trust)>) -> Result<Arc<Self>> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        let (builder, scheme) = match tls {
            Some((entry, trust)) => (
                builder
                    .tls_backend_preconfigured(tls_config(entry, trust)?)
                    .https_only(true),
                "https",
            ),
            // A client that never uses TLS still needs a configuration: without one, reqwest
            // would look for a process-wide provider.
            None => (
                builder.tls_backend_preconfigured(config_without_roots()?),
                "http",
            ),
        };
        let client = builder
            .build()
            .map_err(|e| Error::new(ErrorKind::Internal, format!("no HTTP client: {e}")))?;
        Ok(Arc::new(Self {
            client,
            base: format!("{scheme}://{address}"),
            address: address.to_owned(),
            closed: AtomicBool::new(false),
        }))
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, format!("TLS: {e}")))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config_without_roots() -> Result<ClientConfig> {
    Ok(builder(&provider())?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn tls_config(entry: &CredentialEntry, trust: Trust) -> Result<ClientConfig> {
    let provider = provider();
    let roots = identity::roots(entry, trust.pin.is_some())?;
    let verifier = verify::Verifier::new(roots, trust, &provider)
        .map_err(|e| identity::wrong(entry, "ca", e))?;
    builder(&provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity::chain(entry)?, identity::private_key(entry)?)
        .map_err(|e| identity::wrong(entry, "cert and key", e))
}

#[async_trait]
impl HttpLink for HttpsLink {
    async fn call(
        &self,
        request: HttpRequest,
        within: Duration,
    ) -> Result<HttpResponse, LinkError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LinkError::new(ErrorKind::Closed, "the link was closed"));
        }
        let url = format!("{}{}", self.base, request.path);
        let call = match request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
        };
        let call = match request.body {
            Some(mut body) => call
                .header(header::CONTENT_TYPE, "application/json")
                .body(std::mem::take(&mut *body)),
            None => call,
        };
        // The exchange runs to its end even if the caller goes away: the response may hold keys,
        // which its buffer then zeroizes.
        let task = tokio::spawn(async move {
            let mut response = call.timeout(within).send().await?;
            let status = response.status().as_u16();
            let mut body = Zeroizing::new(Vec::new());
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > BODY_LIMIT {
                    return Ok(None);
                }
                append(&mut body, &chunk);
            }
            Ok(Some(HttpResponse { status, body }))
        });
        match task.await {
            Ok(Ok(Some(response))) => Ok(response),
            Ok(Ok(None)) => Err(LinkError::new(
                ErrorKind::Transport(TransportFault::Overrun),
                format!("the response's body has more than {BODY_LIMIT} bytes"),
            )
            .mark_sent()),
            Ok(Err(error)) => Err(self.fail(&error)),
            Err(_) => Err(
                LinkError::new(ErrorKind::Internal, "the request's task ended early").mark_sent(),
            ),
        }
    }
    fn address(&self) -> String {
        self.base.clone()
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Appends without leaving a copy of the old buffer in memory.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Vec::with_capacity(
            (body.capacity() * 2)
                .max(body.len() + chunk.len())
                .max(4096),
        );
        larger.extend_from_slice(body);
        body.zeroize();
        **body = larger;
    }
    body.extend_from_slice(chunk);
}

impl HttpsLink {
    fn fail(&self, error: &reqwest::Error) -> LinkError {
        // reqwest's own text names the URL, which holds no secret; the causes say what it was.
        let mut causes = Vec::new();
        let mut refused = None;
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            refused = refused.or_else(|| refused_handshake(cause));
            source = cause.source();
        }
        let why = causes.last().cloned().unwrap_or_else(|| error.to_string());
        if error.is_timeout() {
            let late = LinkError::new(
                ErrorKind::Timeout,
                format!("{} did not respond within the deadline", self.address),
            );
            if error.is_connect() {
                late
            } else {
                late.mark_sent()
            }
        } else if let Some(why) = refused {
            // With TLS 1.3 a refused client certificate shows after the request was written; the
            // server has not acted on it.
            LinkError::new(
                ErrorKind::Authentication,
                format!("TLS with {} failed: {why}", self.address),
            )
        } else if error.is_connect() {
            LinkError::new(
                ErrorKind::Unreachable,
                format!("no connection to {}: {why}", self.address),
            )
        } else {
            LinkError::new(
                ErrorKind::Transport(TransportFault::HungUp),
                format!("the connection to {} broke: {why}", self.address),
            )
            .mark_sent()
        }
    }
}

/// Returns why one side refused the certificate or the parameters of the other, if the error is
/// such a refusal. A connection that merely closes is not a refusal: the server may have processed
/// the request.
fn refused_handshake(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::{AlertDescription as A, Error as E};
    // TLS errors come wrapped in I/O errors, sometimes twice.
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return refused_handshake(io.get_ref()?);
    }
    let tls = error.downcast_ref::<rustls::Error>()?;
    match tls {
        E::InvalidCertificate(CertificateError::Other(OtherError(fault))) => Some(format!(
            "the server's certificate was not accepted: {fault}"
        )),
        E::InvalidCertificate(_)
        | E::NoCertificatesPresented
        | E::UnsupportedNameType
        | E::PeerIncompatible(_) => Some(tls.to_string()),
        E::AlertReceived(alert) => match alert {
            A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            // Another CA of the same name.
            | A::DecryptError
            | A::CertificateRequired => Some(format!(
                "the server refused our client certificate ({alert:?}); check that `cert` of the \
                 credentials is in date and issued by a CA that the server accepts"
            )),
            A::HandshakeFailure | A::ProtocolVersion | A::InsufficientSecurity => {
                Some(tls.to_string())
            }
            _ => None,
        },
        _ => None,
    }
}
