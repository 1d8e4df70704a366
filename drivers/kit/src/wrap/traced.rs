//! Traced links: each exchange goes into a transcript.
//!
//! Whether an exchange may change the device follows from its kind on SNMP (SET) and USB (OUT), and
//! is what the driver declared on the others.

use crate::{
    link::{
        Disclosure, LinkError,
        bytes::{ByteLink, Exchange},
        datagram::{DatagramExchange, DatagramLink, Datagrams},
        http::{HttpLink, HttpRequest, HttpResponse, Method},
        snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, VarBind},
        usb::{BulkRead, SetupPacket, UsbIdentity, UsbLink},
    },
    transcript::{
        Outcome, Part, Record, Transcript, parts,
        varbind::{names, varbind, varbinds},
    },
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

/// A link whose exchanges are recorded.
pub struct TracedLink<L> {
    inner: L,
    transcript: Transcript,
}

impl<L> TracedLink<L> {
    /// Creates a link that records the exchanges of `inner`.
    pub fn new(inner: L, transcript: Transcript) -> Self {
        Self { inner, transcript }
    }

    /// Creates the record with the data known before the exchange.
    fn begin(&self, link: String, name: &str, changes: bool, request: Vec<Part>) -> Record {
        let at_us = self.transcript.now();
        Record {
            at_us,
            link,
            name: name.to_owned(),
            changes,
            request,
            reply: Vec::new(),
            outcome: Outcome::Ok,
            took_us: 0,
        }
    }

    fn end<T>(
        &self,
        mut record: Record,
        result: &Result<T, LinkError>,
        reply: impl FnOnce(&T) -> Vec<Part>,
    ) {
        match result {
            Ok(value) => record.reply = reply(value),
            Err(error) => record.outcome = Outcome::Error(error.kind.name().to_owned()),
        }
        record.took_us = self.transcript.now().saturating_sub(record.at_us);
        self.transcript.push(record);
    }
}

#[async_trait]
impl ByteLink for TracedLink<Arc<dyn ByteLink>> {
    async fn exchange(&self, exchange: Exchange) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let disclosure = exchange.reply_disclosure;
        let sent = parts(&exchange.request, exchange.request_disclosure);
        let record = self.begin(self.inner.address(), exchange.name, exchange.changes, sent);
        let result = self.inner.exchange(exchange).await;
        self.end(record, &result, |reply| parts(reply, disclosure));
        result
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl SnmpLink for TracedLink<Arc<dyn SnmpLink>> {
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError> {
        let record = self.begin(self.inner.address(), "get", false, names(oids));
        let result = self.inner.get(oids, within).await;
        self.end(record, &result, |binds| varbinds(binds));
        result
    }
    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError> {
        let sent = request
            .binds()
            .iter()
            .enumerate()
            .flat_map(|(i, b)| varbind(b, request.is_secret(i)))
            .collect();
        let record = self.begin(self.inner.address(), "set", true, sent);
        let result = self.inner.set(request, within).await;
        self.end(record, &result, |id| vec![Part::Text(id.to_string())]);
        result
    }
    async fn walk(&self, root: &Oid, within: Duration) -> Result<Vec<VarBind>, LinkError> {
        let record = self.begin(
            self.inner.address(),
            "walk",
            false,
            names(std::slice::from_ref(root)),
        );
        let result = self.inner.walk(root, within).await;
        self.end(record, &result, |binds| varbinds(binds));
        result
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.inner.notifications()
    }
    fn has_notifications(&self) -> bool {
        self.inner.has_notifications()
    }
    fn security(&self) -> SecurityLevel {
        self.inner.security()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl UsbLink for TracedLink<Arc<dyn UsbLink>> {
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        let record = self.begin(
            self.inner.address(),
            "control-in",
            false,
            vec![Part::Hex(hex::encode(setup.to_bytes()))],
        );
        let result = self.inner.control_in(setup, within, disclosure).await;
        self.end(record, &result, |data| parts(data, disclosure));
        result
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        let mut sent = vec![Part::Hex(hex::encode(setup.to_bytes()))];
        sent.extend(parts(data, disclosure));
        let record = self.begin(self.inner.address(), "control-out", true, sent);
        let result = self
            .inner
            .control_out(setup, data, within, disclosure)
            .await;
        self.end(record, &result, |()| Vec::new());
        result
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let asked = vec![Part::Text(format!(
            "endpoint {:#04x}, {} x {}",
            read.endpoint, read.count, read.chunk
        ))];
        let record = self.begin(self.inner.address(), "bulk-in", false, asked);
        let result = self.inner.bulk_in(read).await;
        self.end(record, &result, |data| parts(data, read.disclosure));
        result
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        let mut sent = vec![Part::Text(format!("endpoint {endpoint:#04x}"))];
        sent.extend(parts(data, disclosure));
        let record = self.begin(self.inner.address(), "bulk-out", true, sent);
        let result = self
            .inner
            .bulk_out(endpoint, data, within, disclosure)
            .await;
        self.end(record, &result, |n| vec![Part::Text(n.to_string())]);
        result
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let asked = vec![Part::Text(format!(
            "endpoint {:#04x}, {} x {}",
            read.endpoint, read.count, read.chunk
        ))];
        let record = self.begin(self.inner.address(), "interrupt-in", false, asked);
        let result = self.inner.interrupt_in(read).await;
        self.end(record, &result, |data| parts(data, read.disclosure));
        result
    }
    fn identity(&self) -> UsbIdentity {
        self.inner.identity()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl HttpLink for TracedLink<Arc<dyn HttpLink>> {
    async fn call(
        &self,
        request: HttpRequest,
        within: Duration,
    ) -> Result<HttpResponse, LinkError> {
        let disclosure = request.reply_disclosure;
        let verb = if request.method == Method::Get {
            "GET"
        } else {
            "POST"
        };
        let mut sent = vec![Part::Text(format!("{verb} {}\n", request.path))];
        sent.extend(parts(
            request.body.as_ref().map_or(&[], |b| b.as_slice()),
            Disclosure::Public,
        ));
        let record = self.begin(self.inner.address(), request.name, request.changes, sent);
        let result = self.inner.call(request, within).await;
        self.end(record, &result, |response| {
            let mut reply = vec![Part::Text(format!("{}\n", response.status))];
            reply.extend(parts(&response.body, disclosure));
            reply
        });
        result
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl DatagramLink for TracedLink<Arc<dyn DatagramLink>> {
    async fn exchange(&self, exchange: DatagramExchange) -> Result<Datagrams, LinkError> {
        let disclosure = exchange.reply_disclosure;
        let sent = parts(&exchange.request, exchange.request_disclosure);
        let record = self.begin(self.inner.address(), exchange.name, exchange.changes, sent);
        let result = self.inner.exchange(exchange).await;
        // The length before each datagram separates it from the next one.
        self.end(record, &result, |datagrams| {
            let one = |datagram: &Zeroizing<Vec<u8>>| {
                let length = Part::Text(format!("{}\n", datagram.len()));
                std::iter::once(length).chain(parts(datagram, disclosure))
            };
            datagrams.iter().flat_map(one).collect()
        });
        result
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
