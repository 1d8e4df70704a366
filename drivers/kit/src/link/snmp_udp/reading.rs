//! Reads that end: repeated where the network loses, smaller where something is too big, and
//! bounded where an agent does not stop.
//!
//! A read is sent up to [`ATTEMPTS`] times within its deadline. An attempt goes on while the next
//! one runs, so that an agent that is slower than one share of the deadline still answers. Each
//! attempt asks for less at a time than the one before: a reply that is lost because it is large
//! (fragments that a network drops) is lost each time. What was found to fit is remembered.

use super::{
    super::{
        LinkError,
        memory::refused,
        snmp::{Oid, Value, VarBind},
    },
    Shared,
    exchange::{Failure, Request, Response},
    options::SnmpOptions,
};
use futures::stream::{FuturesUnordered, StreamExt};
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use std::{
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Number of transmissions of a read before its deadline.
pub(super) const ATTEMPTS: u32 = 4;
/// The longest time until the next attempt.
const MAX_ATTEMPT: Duration = Duration::from_secs(1);
/// Number of failures at a size, with success at a smaller one, after which the size is reduced.
const FAILURES: u32 = 2;
/// Maximum number of bytes that a walk may collect.
pub(super) const MAX_WALK_BYTES: usize = 8 << 20;
/// Bytes of a row in addition to its name and its octets.
const ROW_BYTES: usize = 64;

/// Number of items per request that this agent and its network have carried.
pub(super) struct Size {
    most: AtomicUsize,
    failures: AtomicU32,
}

impl Size {
    fn new(most: usize) -> Self {
        Self {
            most: AtomicUsize::new(most),
            failures: AtomicU32::new(0),
        }
    }

    /// The size of attempt `n`, counted from 0: all, half, an eighth, and then one at a time.
    fn of_attempt(&self, n: u32) -> usize {
        let all = self.most.load(Ordering::Relaxed);
        match n {
            0 => all,
            1 => all / 2,
            2 => all / 8,
            _ => 1,
        }
        .max(1)
    }

    /// Attempt `n` succeeded with this size: it is kept once a larger one has failed repeatedly.
    fn note(&self, n: u32, size: usize) {
        if n == 0 {
            self.failures.store(0, Ordering::Relaxed);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.lower(size);
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Nothing larger than this is sent any more.
    fn lower(&self, size: usize) {
        self.most.fetch_min(size.max(1), Ordering::Relaxed);
    }
}

/// Sizes that this agent and its network have carried.
pub(super) struct Sizes {
    /// Rows of a GETBULK; 1 selects GETNEXT.
    rows: Size,
    /// Varbinds of a GET.
    varbinds: Size,
}

impl Sizes {
    pub(super) fn new(options: &SnmpOptions) -> Self {
        Self {
            rows: Size::new(usize::try_from(options.bulk).unwrap_or(usize::MAX)),
            varbinds: Size::new(options.varbinds),
        }
    }
}

impl Shared {
    /// Reads the values of instances, in the requested order.
    pub(super) async fn get(
        &self,
        oids: &[Oid],
        deadline: Instant,
    ) -> Result<Vec<VarBind>, LinkError> {
        self.first_answer(deadline, |attempt| self.get_in_parts(oids, attempt))
            .await
            .map_err(|failure| match failure {
                Failure::Refused(status, index) => {
                    refused(status, index, oids.get(index.wrapping_sub(1)))
                }
                failure => failure.into_error(&self.name),
            })
    }

    /// All instances below `root`.
    pub(super) async fn walk(
        &self,
        root: &Oid,
        deadline: Instant,
    ) -> Result<Vec<VarBind>, LinkError> {
        let mut found: Vec<VarBind> = Vec::new();
        let mut bytes = 0;
        let mut at = root.clone();
        loop {
            let step = self
                .first_answer(deadline, |attempt| self.rows_after(&at, attempt))
                .await;
            let rows = step.map_err(|failure| {
                let mut error = match failure {
                    Failure::Refused(status, index) => refused(status, index, Some(&at)),
                    failure => failure.into_error(&self.name),
                };
                error.detail = format!(
                    "walk of {root}, after {} rows, at {at}: {}",
                    found.len(),
                    error.detail
                );
                error
            })?;
            for row in rows {
                if row.oid.suffix_of(root).is_none() || row.value == Value::EndOfMibView {
                    return Ok(found);
                }
                // Agents end a walk with an exception at the name that was asked for, too.
                if row.oid <= at && row.value.is_absent() {
                    return Ok(found);
                }
                if row.oid <= at {
                    let what = format!("walk of {root}: after {at} the agent names {}", row.oid);
                    let kind = ErrorKind::Misbehaved(DeviceMisbehaved::NamesNotIncreasing);
                    return Err(LinkError::new(kind, what));
                }
                at = row.oid.clone();
                // A row of a table that has no such instance is not a row.
                if row.value.is_absent() {
                    continue;
                }
                bytes += ROW_BYTES + row.oid.sub_identifiers().len() * 4 + octets(&row.value);
                if bytes > MAX_WALK_BYTES {
                    let what = format!(
                        "agent {}: the walk of {root} did not end within {MAX_WALK_BYTES} bytes \
                         ({} rows); the agent does not stop, or the table is too large",
                        self.name,
                        found.len()
                    );
                    let kind = ErrorKind::Transport(TransportFault::Overrun);
                    return Err(LinkError::new(kind, what).mark_sent());
                }
                found.push(row);
            }
        }
    }

    /// Starts attempts one after the other until one of them is answered. An answer that another
    /// attempt cannot better ends the read.
    async fn first_answer<T, F>(
        &self,
        deadline: Instant,
        attempt: impl Fn(u32) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send,
        T: Send,
    {
        let mut running = FuturesUnordered::new();
        let mut checks = FuturesUnordered::new();
        let mut started = 0;
        let mut next = Instant::now();
        let mut last = None;
        loop {
            if started < ATTEMPTS && (running.is_empty() || Instant::now() >= next) {
                let left = deadline.saturating_duration_since(Instant::now());
                next = Instant::now() + (left / (ATTEMPTS - started)).min(MAX_ATTEMPT);
                if started > 0 {
                    // Silence is also how another engine at this address looks: its Report does
                    // not fit the keys of the one that was opened.
                    checks.push(self.check_engine());
                }
                running.push(attempt(started));
                started += 1;
            }
            tokio::select! {
                biased;
                Some(answer) = running.next() => match answer {
                    Ok(answer) => return Ok(answer),
                    Err(failure) if !can_be_repeated(&failure) => return Err(failure),
                    Err(failure) => {
                        if started == ATTEMPTS && running.is_empty() {
                            return Err(failure);
                        }
                        if matches!(failure, Failure::UnknownEngine | Failure::ClockMoved) {
                            timeout_at(deadline, self.rediscover())
                                .await
                                .map_err(|_| Failure::Link(self.timeout().mark_sent()))??;
                        }
                        last = Some(failure);
                    }
                },
                Some(checked) = checks.next() => checked?,
                () = sleep_until(deadline) => {
                    return Err(match last {
                        // The received datagram was not a reply: this is the reason for the
                        // failure.
                        Some(Failure::Noise(error)) => Failure::Noise(error.mark_sent()),
                        _ => Failure::Link(self.timeout().mark_sent()),
                    });
                }
                () = sleep_until(next), if started < ATTEMPTS => {}
            }
        }
    }

    async fn get_in_parts(&self, oids: &[Oid], attempt: u32) -> Result<Vec<VarBind>, Failure> {
        let mut found = Vec::with_capacity(oids.len());
        let mut size = self.sizes.varbinds.of_attempt(attempt);
        while found.len() < oids.len() {
            let part = &oids[found.len()..oids.len().min(found.len() + size)];
            match self.stack().exchange(Request::Get(part)).await {
                Ok(response) if response.has_cut_values && part.len() > 1 => {
                    found.extend(self.get_one_by_one(part).await?);
                }
                Ok(response) => {
                    let part_found = matched(part, response)?;
                    found.extend(part_found);
                }
                Err(Failure::TooBig) if part.len() > 1 => {
                    // RFC 3416, 4.2.1: the reply does not fit; this holds for every later GET.
                    size = part.len() / 2;
                    self.sizes.varbinds.lower(size);
                }
                Err(Failure::Undecodable(_)) => {
                    found.extend(self.get_one_by_one(part).await?);
                }
                Err(Failure::Refused(status, index)) if index > 0 => {
                    return Err(Failure::Refused(status, index + found.len()));
                }
                Err(failure) => return Err(failure),
            }
        }
        self.sizes.varbinds.note(attempt, size);
        Ok(found)
    }

    /// One GET for each object: what cannot be decoded is that object's, not its neighbours'.
    async fn get_one_by_one(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Failure> {
        let mut found = Vec::with_capacity(oids.len());
        for oid in oids {
            let one = std::slice::from_ref(oid);
            match self.stack().exchange(Request::Get(one)).await {
                Ok(response) => found.extend(matched(one, response)?),
                Err(Failure::Undecodable(why)) => {
                    found.push(VarBind::new(oid.clone(), Value::Invalid(why)));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(found)
    }

    /// The next rows after `at`, at least one.
    async fn rows_after(&self, at: &Oid, attempt: u32) -> Result<Vec<VarBind>, Failure> {
        let mut rows = self.sizes.rows.of_attempt(attempt);
        let mut refused_bulk = false;
        loop {
            let request = if rows > 1 {
                Request::Bulk(at, u32::try_from(rows).unwrap_or(u32::MAX))
            } else {
                Request::Next(at)
            };
            match self.stack().exchange(request).await {
                Ok(response) if response.has_cut_values && rows > 1 => rows = 1,
                Ok(response) if response.binds.is_empty() && rows > 1 => rows = 1,
                Ok(response) if response.binds.is_empty() => {
                    return Err(Failure::Undecodable("no row that can be read".to_owned()));
                }
                Ok(mut response) => {
                    if response.has_cut_values {
                        cut(&mut response.binds);
                    }
                    if refused_bulk {
                        self.sizes.rows.lower(1);
                    }
                    self.sizes.rows.note(attempt, rows);
                    return Ok(response.binds);
                }
                Err(Failure::TooBig) if rows > 1 => {
                    rows /= 2;
                    self.sizes.rows.lower(rows);
                }
                // Agents that lack GETBULK answer it with an error-status.
                Err(Failure::Refused(..)) if rows > 1 => {
                    refused_bulk = true;
                    rows = 1;
                }
                Err(Failure::Undecodable(_)) if rows > 1 => rows = 1,
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn can_be_repeated(failure: &Failure) -> bool {
    use Failure as F;
    matches!(failure, F::Noise(_) | F::ClockMoved | F::UnknownEngine)
        || matches!(failure, Failure::Link(error) if error.kind == ErrorKind::Timeout)
}

/// The varbinds of a reply to a GET, if they are those asked for.
fn matched(oids: &[Oid], response: Response) -> Result<Vec<VarBind>, Failure> {
    let mut binds = response.binds;
    if binds.len() != oids.len() || binds.iter().zip(oids).any(|(b, o)| b.oid != *o) {
        return Err(Failure::Noise(LinkError::new(
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
            "the agent answered for other names than were asked for",
        )));
    }
    if response.has_cut_values {
        cut(&mut binds);
    }
    Ok(binds)
}

/// Marks the values of a reply of one varbind that the library had to cut.
fn cut(binds: &mut [VarBind]) {
    for bind in binds {
        bind.value = Value::Invalid("a value outside the range of its type".to_owned());
    }
}

fn octets(value: &Value) -> usize {
    match value {
        Value::OctetString(v) | Value::Opaque(v) => v.len(),
        Value::ObjectId(v) => v.sub_identifiers().len() * 4,
        Value::Invalid(why) => why.len(),
        _ => 8,
    }
}
