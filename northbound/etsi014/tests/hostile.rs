//! A legitimate client is served while others misbehave; keys that are not fetched expire.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use qkd_northbound_etsi014::{
    ClientAuth, HttpReply, KeyAudience, KeyMaterial, KeyPool, KeySource, Kme, KmeConfig, Limits,
    RequestHandler, SourceError,
    pki::{CertifiedKey, TestPki},
    serve_within,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

struct Endless;
impl KeyMaterial for Endless {
    fn available(&mut self) -> u64 {
        1 << 40
    }
    fn capacity(&self) -> u64 {
        1 << 40
    }
    fn draw(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// The size of a response that no socket buffer holds.
const LARGE: usize = 64 << 20;

/// Alice's KME, which also has a path with a large response.
struct Server(Kme);

#[async_trait]
impl RequestHandler for Server {
    async fn answer(
        &self,
        sae: Option<&str>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<HttpReply> {
        if path == "/large" {
            return Some(HttpReply {
                status: 200,
                body: Some(Zeroizing::new(vec![b' '; LARGE])),
            });
        }
        Some(self.0.handle(sae, method, path, body))
    }
}

struct Bench {
    pki: TestPki,
    address: SocketAddr,
    _server: JoinSet<()>,
}

async fn bench(limits: Limits) -> Bench {
    let pki = TestPki::new("test CA").unwrap();
    let own = pki.server("kme").unwrap();
    let mut config = KmeConfig::new("A", "B", "alice", "bob");
    config.local.insert("mallory".into());
    let kme = Kme::new(config, Arc::new(KeyPool::new(Endless)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let callers = ClientAuth::mutual_tls(&pki.ca(), &own.cert, &own.key).unwrap();
    let mut server = JoinSet::new();
    server.spawn(serve_within(
        listener,
        Arc::new(Server(kme)),
        callers,
        limits,
    ));
    Bench {
        pki,
        address,
        _server: server,
    }
}

/// A connection from an address of this machine of its own.
async fn connect(from: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

impl Bench {
    async fn tls(&self, from: [u8; 4], pair: &CertifiedKey) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pki.ca().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let stream = connect(from, self.address).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("127.0.0.1").unwrap(), stream)
            .await
    }

    /// Whether Alice gets a key on a connection of her own.
    async fn alice_gets_a_key(&self, from: [u8; 4], alice: &CertifiedKey) -> bool {
        let ask = async {
            let mut stream = self.tls(from, alice).await.ok()?;
            let request = "GET /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: x\r\n\
                           Connection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.ok()?;
            Some(text.starts_with("HTTP/1.1 200") && text.contains("key_ID"))
        };
        matches!(timeout(Duration::from_secs(20), ask).await, Ok(Some(true)))
    }
}

fn limits() -> Limits {
    Limits {
        connections: 24,
        connections_per_address: 16,
        connections_per_sae: 4,
        // Long: whoever is answered is not answered because a deadline has ended the others.
        read_deadline: Duration::from_secs(120),
        write_deadline: Duration::from_secs(120),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_served_among_silent_connections() {
    let bench = bench(limits()).await;
    let alice = bench.pki.client("alice").unwrap();
    // From her address and from others, more than the server has places.
    let mut silent = Vec::new();
    for n in 0..40u8 {
        let mut stream = connect([127, 0, 0, 1 + n % 4], bench.address)
            .await
            .unwrap();
        if n % 2 == 0 {
            // The beginning of a TLS record, and nothing more.
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0]).await;
        }
        silent.push(stream);
    }
    assert!(bench.alice_gets_a_key([127, 0, 0, 1], &alice).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_served_among_slow_clients() {
    let bench = bench(limits()).await;
    let alice = bench.pki.client("alice").unwrap();
    let mallory = bench.pki.client("mallory").unwrap();
    let mut held = Vec::new();
    for n in 0..12u8 {
        let begun = match n % 3 {
            0 => "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
            1 => "GET /api/v1/keys/bob/status HTTP/1.1\r\nHos",
            _ => {
                "POST /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{"
            }
        };
        let Ok(mut stream) = bench.tls([127, 0, 0, 1 + n % 3], &mallory).await else {
            continue;
        };
        let _ = stream.write_all(begun.as_bytes()).await;
        held.push(stream);
    }
    assert!(bench.alice_gets_a_key([127, 0, 0, 1], &alice).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_served_during_a_flood_of_connections_and_requests() {
    let bench = Arc::new(bench(limits()).await);
    let alice = bench.pki.client("alice").unwrap();
    let mallory = Arc::new(bench.pki.client("mallory").unwrap());
    let mut flood = JoinSet::new();
    for n in 2..5u8 {
        let address = bench.address;
        flood.spawn(async move {
            loop {
                drop(connect([127, 0, 0, n], address).await);
            }
        });
        let (bench, mallory) = (Arc::clone(&bench), Arc::clone(&mallory));
        flood.spawn(async move {
            loop {
                let Ok(mut stream) = bench.tls([127, 0, 0, n], &mallory).await else {
                    continue;
                };
                let request = b"GET /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: x\r\n\r\n";
                for _ in 0..100 {
                    if stream.write_all(request).await.is_err() {
                        break;
                    }
                }
            }
        });
    }
    for _ in 0..5 {
        assert!(bench.alice_gets_a_key([127, 0, 0, 1], &alice).await);
    }
    flood.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let bench = bench(Limits {
        write_deadline: Duration::from_millis(200),
        ..limits()
    })
    .await;
    let alice = bench.pki.client("alice").unwrap();
    let mut stream = bench.tls([127, 0, 0, 1], &alice).await.unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // Reads at 64 KiB per 50 ms: all of it would take 50 s.
    let mut some = vec![0; 64 << 10];
    let mut read = 0;
    while let Ok(count @ 1..) = stream.read(&mut some).await {
        read += count;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(read < LARGE, "{read} bytes came");
}

fn grant(master: &str) -> KeyAudience {
    KeyAudience {
        master: master.into(),
        slaves: vec!["bob".into()],
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfetched_key_of_the_peer_expires_and_is_counted() {
    let pool = KeyPool::new(Endless);
    pool.set_peer_key_lifetime(Duration::from_secs(60));
    let early = pool.take(&grant("alice"), 3, 256).unwrap();
    pool.take_by_id("alice", "bob", &[early[0].id]).unwrap();
    tokio::time::advance(Duration::from_secs(40)).await;
    let late = pool.take(&grant("alice"), 1, 256).unwrap();
    assert_eq!((pool.undelivered(), pool.expired()), (3, 0));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!((pool.undelivered(), pool.expired()), (1, 2));
    let gone = pool.take_by_id("alice", "bob", &[early[1].id]).unwrap_err();
    assert_eq!(gone, SourceError::NotFound);
    pool.take_by_id("alice", "bob", &[late[0].id]).unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!((pool.undelivered(), pool.expired()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn one_master_cannot_use_the_capacity_of_others() {
    let pool = KeyPool::new(Endless);
    for _ in 0..500 {
        pool.take(&grant("mallory"), 1000, 8).unwrap();
    }
    let full = pool.take(&grant("mallory"), 1, 8).unwrap_err();
    assert_eq!(full, SourceError::Undelivered);
    pool.take(&grant("alice"), 1, 8).unwrap();
    // Their time ends, and mallory may take keys again.
    tokio::time::advance(Duration::from_secs(3600)).await;
    pool.take(&grant("mallory"), 1, 8).unwrap();
    assert_eq!(pool.expired(), 500_001);
}
