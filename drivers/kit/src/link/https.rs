//! HTTP and HTTPS with mutual TLS, through `reqwest` and `rustls`.

use super::{
    LinkError,
    http::{HttpLink, HttpRequest, HttpResponse, Method},
};
use crate::credentials::Entry;
use async_trait::async_trait;
use qkd_hal::{Error, ErrorKind, Result, TransportFault};
use reqwest::{Client, header};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use zeroize::{Zeroize, Zeroizing};

/// The most bytes of a response's body.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Requests to one server.
pub struct Https {
    client: Client,
    base: String,
    address: String,
    closed: AtomicBool,
}

impl Https {
    /// To `host:port`; with an entry's `ca`, `cert` and `key` over TLS, otherwise in clear.
    ///
    /// # Errors
    /// `Authentication`, naming the entry's field that does not fit.
    pub fn open(address: &str, tls: Option<&Entry>) -> Result<Arc<Self>> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        let (builder, scheme) = match tls {
            Some(entry) => (
                builder
                    .tls_backend_preconfigured(tls_config(entry)?)
                    .https_only(true),
                "https",
            ),
            // A client that never speaks TLS still needs a configuration: without one, reqwest would look for a process-wide provider.
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

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, format!("TLS: {e}")))
}

fn config_without_roots() -> Result<ClientConfig> {
    Ok(builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn tls_config(entry: &Entry) -> Result<ClientConfig> {
    let wrong = |field: &str, why: String| {
        Error::new(
            ErrorKind::Authentication,
            format!("credentials `{}`: {field}: {why}", entry.name()),
        )
    };
    let certificates = |field: &str| -> Result<Vec<CertificateDer<'static>>> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(&entry.pem(field)?)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| wrong(field, e.to_string()))?;
        if found.is_empty() {
            Err(wrong(field, "the file holds no PEM certificate".to_owned()))
        } else {
            Ok(found)
        }
    };
    let mut roots = RootCertStore::empty();
    for ca in certificates("ca")? {
        roots.add(ca).map_err(|e| wrong("ca", e.to_string()))?;
    }
    let key = PrivateKeyDer::from_pem_slice(&entry.pem("key")?)
        .map_err(|_| wrong("key", "the file holds no PEM private key".to_owned()))?;
    builder()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates("cert")?, key)
        .map_err(|e| wrong("cert and key", e.to_string()))
}

#[async_trait]
impl HttpLink for Https {
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
        // The exchange runs to its end even if the caller goes away: the response may hold keys, which its buffer then zeroizes.
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
            .sent()),
            Ok(Err(error)) => Err(self.fail(&error)),
            Err(_) => {
                Err(LinkError::new(ErrorKind::Internal, "the request's task ended early").sent())
            }
        }
    }
    fn address(&self) -> String {
        self.base.clone()
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Appends without leaving a copy behind when the buffer moves.
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

impl Https {
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
                late.sent()
            }
        } else if let Some(why) = refused {
            // With TLS 1.3 a refused client certificate shows after the request was written; the server has not acted on it.
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
            .sent()
        }
    }
}

/// Why one side refused the other's certificate or parameters, if that is what this error is. A connection that just ends is none: the request may have been acted on.
fn refused_handshake(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::{AlertDescription as A, Error as E};
    // TLS errors come wrapped in I/O errors, sometimes twice.
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return refused_handshake(io.get_ref()?);
    }
    let tls = error.downcast_ref::<rustls::Error>()?;
    let refused = match tls {
        E::InvalidCertificate(_)
        | E::NoCertificatesPresented
        | E::UnsupportedNameType
        | E::PeerIncompatible(_) => true,
        E::AlertReceived(alert) => matches!(
            alert,
            A::HandshakeFailure
                | A::NoCertificate
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied
                | A::ProtocolVersion
                | A::InsufficientSecurity
                | A::CertificateRequired
        ),
        _ => false,
    };
    refused.then(|| tls.to_string())
}
