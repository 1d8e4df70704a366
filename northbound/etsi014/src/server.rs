//! The shell: HTTP/1.1 over TLS with client certificates, or plain.

use crate::{
    HttpReply, Kme,
    connections::{Connections, Limits, Ticket},
    deadline::WriteDeadline,
};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// The longest body that is read.
const BODY_LIMIT: usize = 1 << 20;

/// Handler of requests: a [`Kme`], or a layer in front of one.
#[async_trait]
pub trait RequestHandler: Send + Sync {
    /// Answers a request; `None` hangs up without an answer.
    async fn answer(
        &self,
        sae: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Option<HttpReply>;
}

#[async_trait]
impl RequestHandler for Kme {
    async fn answer(
        &self,
        sae: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Option<HttpReply> {
        Some(self.handle(sae, method, path_and_query, body))
    }
}

/// Authentication of callers.
#[derive(Clone)]
pub enum ClientAuth {
    /// By the common name of their certificates, over TLS.
    Certificates(Arc<ServerConfig>),
    /// Everybody is this SAE, over plain HTTP, as in the sample configuration of a Veriqloud Qline.
    Everybody(String),
}

impl ClientAuth {
    /// Mutual TLS from PEM texts. TLS 1.2 and 1.3 (clause 5: at least 1.2).
    ///
    /// # Errors
    /// If a text is not what it should be.
    pub fn mutual_tls(ca: &str, cert: &str, key: &str) -> io::Result<Self> {
        let wrong =
            |e: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, e.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots
                .add(root.map_err(|e| wrong(&e))?)
                .map_err(|e| wrong(&e))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|e| wrong(&e))?;
        let chain = CertificateDer::pem_slice_iter(cert.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| wrong(&e))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| wrong(&e))?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|e| wrong(&e))?;
        let certified = CertifiedKey::new(chain, key);
        // A certificate of version 1 cannot be compared with its key; emulators show one.
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InvalidCertificate(_)) => {}
            Err(error) => return Err(wrong(&error)),
        }
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(&e))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Ok(Self::Certificates(Arc::new(config)))
    }
}

/// Serves until dropped; all connections end with it. With the default [`Limits`].
pub async fn serve(listener: TcpListener, answer: Arc<dyn RequestHandler>, callers: ClientAuth) {
    serve_within(listener, answer, callers, Limits::default()).await;
}

/// Serves until dropped, within these limits.
pub async fn serve_within(
    listener: TcpListener,
    answer: Arc<dyn RequestHandler>,
    callers: ClientAuth,
    limits: Limits,
) {
    let connections = Connections::new(limits);
    let mut tasks = JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = tasks.join_next() => continue,
        };
        let Some(ticket) = connections.admit(address.ip()) else {
            tracing::debug!(%address, "connection refused: its client has too many");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let id = ticket.id();
        let task = handle(stream, ticket, answer.clone(), callers.clone(), limits);
        connections.set_abort(id, tasks.spawn(task));
    }
}

async fn handle(
    stream: TcpStream,
    ticket: Ticket,
    answer: Arc<dyn RequestHandler>,
    callers: ClientAuth,
    limits: Limits,
) {
    match callers {
        ClientAuth::Everybody(sae) => connection(stream, ticket, answer, Some(sae), limits).await,
        ClientAuth::Certificates(config) => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match timeout(limits.read_deadline, handshake).await {
                Ok(Ok(stream)) => {
                    let sae = stream
                        .get_ref()
                        .1
                        .peer_certificates()
                        .and_then(|c| c.first())
                        .and_then(common_name);
                    if sae.as_deref().is_none_or(|sae| ticket.identify(sae)) {
                        connection(stream, ticket, answer, sae, limits).await;
                    } else {
                        tracing::debug!("connection refused: its SAE has too many");
                    }
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
    }
}

/// The SAE id: the common name of the client's certificate.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    certificate
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()
        .map(str::to_owned)
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    ticket: Ticket,
    answer: Arc<dyn RequestHandler>,
    sae: Option<String>,
    limits: Limits,
) {
    let served = Served {
        answer: answer.as_ref(),
        sae: sae.as_deref(),
        ticket: &ticket,
        body_deadline: limits.read_deadline,
    };
    let service = service_fn(|request| served.respond(request));
    let stream = WriteDeadline::new(stream, limits.write_deadline);
    let http = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_deadline)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = http {
        tracing::debug!(%error, "connection ended");
    }
}

/// One connection, as its requests see it.
struct Served<'a> {
    answer: &'a dyn RequestHandler,
    sae: Option<&'a str>,
    ticket: &'a Ticket,
    body_deadline: Duration,
}

impl Served<'_> {
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, HungUp> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        let body = timeout(self.body_deadline, Limited::new(body, BODY_LIMIT).collect()).await;
        let reply = match body {
            Ok(Ok(body)) => {
                self.ticket.set_waiting(false);
                let reply = self
                    .answer
                    .answer(self.sae, head.method.as_str(), path, &body.to_bytes())
                    .await;
                self.ticket.set_waiting(true);
                reply.ok_or(HungUp)?
            }
            _ => HttpReply::error(400, "the body is too long or incomplete"),
        };
        Ok(response(reply))
    }
}

fn response(reply: HttpReply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(
        reply.body.map(Bytes::from_owner).unwrap_or_default(),
    ));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status)
        .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

/// The connection ends without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hung up")
    }
}
impl std::error::Error for HungUp {}
