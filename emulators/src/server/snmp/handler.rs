//! Between `async-snmp`'s handler and our agents.

use crate::wire::snmp::SnmpAgent;
use async_snmp::{
    handler::{
        BoxFuture, GetNextResult, GetResult, HandlerResult, MibHandler, PreparedSet,
        RequestContext, SetCommitError, SetCommitResult, SetTestError, SetTestResult, SetUndoError,
        SetUndoResult,
    },
    value::Value as Theirs,
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

pub(super) fn oid_out(oid: &Oid) -> async_snmp::Oid {
    async_snmp::Oid::from_slice(oid.sub_identifiers())
}

fn oid_in(oid: &async_snmp::Oid) -> Oid {
    Oid::from(oid.arcs())
}

fn value_out(value: Value) -> Theirs {
    match value {
        Value::Integer(v) => Theirs::Integer(v),
        Value::OctetString(v) => Theirs::OctetString(v.into()),
        Value::ObjectId(v) => Theirs::ObjectIdentifier(oid_out(&v)),
        Value::IpAddress(v) => Theirs::IpAddress(v),
        Value::Counter32(v) => Theirs::Counter32(v),
        Value::Gauge32(v) => Theirs::Gauge32(v),
        Value::TimeTicks(v) => Theirs::TimeTicks(v),
        Value::Counter64(v) => Theirs::Counter64(v),
        Value::Opaque(v) => Theirs::Opaque(v.into()),
        Value::Null => Theirs::Null,
        Value::NoSuchObject => Theirs::NoSuchObject,
        Value::NoSuchInstance => Theirs::NoSuchInstance,
        Value::EndOfMibView => Theirs::EndOfMibView,
        // The relay damages replies; an agent's own values are always encoded as their types.
        Value::Invalid(why) => Theirs::Opaque(why.into_bytes().into()),
    }
}

/// `None`: a type that no SMIv2 object has.
fn value_in(value: &Theirs) -> Option<Value> {
    Some(match value {
        Theirs::Integer(v) => Value::Integer(*v),
        Theirs::OctetString(v) => Value::OctetString(v.to_vec()),
        Theirs::ObjectIdentifier(v) => Value::ObjectId(oid_in(v)),
        Theirs::IpAddress(v) => Value::IpAddress(*v),
        Theirs::Counter32(v) => Value::Counter32(*v),
        Theirs::Gauge32(v) => Value::Gauge32(*v),
        Theirs::TimeTicks(v) => Value::TimeTicks(*v),
        Theirs::Counter64(v) => Value::Counter64(*v),
        Theirs::Opaque(v) => Value::Opaque(v.to_vec()),
        Theirs::Null => Value::Null,
        _ => return None,
    })
}

pub(super) fn bind_out(bind: VarBind) -> async_snmp::varbind::VarBind {
    async_snmp::varbind::VarBind::new(oid_out(&bind.oid), value_out(bind.value))
}

fn refusal(status: ErrorStatus) -> SetTestError {
    match status {
        ErrorStatus::NoAccess | ErrorStatus::AuthorizationError => SetTestError::NoAccess,
        ErrorStatus::WrongType => SetTestError::WrongType,
        ErrorStatus::WrongLength => SetTestError::WrongLength,
        ErrorStatus::WrongValue => SetTestError::WrongValue,
        ErrorStatus::NoCreation => SetTestError::NoCreation,
        ErrorStatus::InconsistentValue => SetTestError::InconsistentValue,
        ErrorStatus::ResourceUnavailable => SetTestError::ResourceUnavailable,
        ErrorStatus::NotWritable => SetTestError::NotWritable,
        ErrorStatus::InconsistentName => SetTestError::InconsistentName,
        ErrorStatus::GenErr | ErrorStatus::CommitFailed => SetTestError::GeneralFailure,
    }
}

/// The varbinds of the PDU that is being tested. Keys among them are zeroized.
#[derive(Default)]
struct Gathered(Vec<VarBind>);

impl Drop for Gathered {
    fn drop(&mut self) {
        for bind in &mut self.0 {
            if let Value::OctetString(bytes) | Value::Opaque(bytes) = &mut bind.value {
                bytes.zeroize();
            }
        }
    }
}

/// `async-snmp` processes one SET at a time. A dropped [`Prepared`] leaves nothing, however its PDU
/// ended.
type Desk = Arc<Mutex<Gathered>>;

fn lock(desk: &Desk) -> MutexGuard<'_, Gathered> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Handler {
    service: Arc<dyn SnmpAgent>,
    desk: Desk,
}

impl Handler {
    pub(super) fn new(service: Arc<dyn SnmpAgent>) -> Self {
        Self {
            service,
            desk: Desk::default(),
        }
    }
    fn test(&self, oid: &async_snmp::Oid, value: &Theirs) -> Result<(), ErrorStatus> {
        let value = value_in(value).ok_or(ErrorStatus::WrongType)?;
        let mut gathered = lock(&self.desk);
        gathered.0.push(VarBind::new(oid_in(oid), value));
        self.service.test(&gathered.0).map_err(|(status, _)| status)
    }
}

struct Prepared {
    service: Arc<dyn SnmpAgent>,
    desk: Desk,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        drop(std::mem::take(&mut *lock(&self.desk)));
    }
}

impl PreparedSet for Prepared {
    /// The first commit of a PDU sets everything; the others find nothing left to do.
    fn commit<'a>(
        &'a mut self,
        context: &'a RequestContext,
        _oid: &'a async_snmp::Oid,
        _value: &'a Theirs,
    ) -> BoxFuture<'a, SetCommitResult> {
        let all = std::mem::take(&mut *lock(&self.desk));
        let done = if all.0.is_empty() {
            Ok(())
        } else {
            self.service.set(context.request_id(), &all.0)
        };
        Box::pin(async move { done.map_err(|_| SetCommitError::Failed) })
    }
    /// Only the first commit can fail. The model applies whole PDUs: the test before finds all
    /// errors except a refusal that was injected as a fault, and this happens before anything is
    /// applied.
    fn undo<'a>(
        &'a mut self,
        _context: &'a RequestContext,
        _oid: &'a async_snmp::Oid,
        _value: &'a Theirs,
    ) -> BoxFuture<'a, SetUndoResult> {
        Box::pin(async { Ok::<(), SetUndoError>(()) })
    }
}

impl MibHandler for Handler {
    fn get<'a>(
        &'a self,
        _context: &'a RequestContext,
        oid: &'a async_snmp::Oid,
    ) -> BoxFuture<'a, HandlerResult<GetResult>> {
        Box::pin(async move {
            Ok(match self.service.get(&oid_in(oid)) {
                Value::NoSuchObject => GetResult::NoSuchObject,
                Value::NoSuchInstance => GetResult::NoSuchInstance,
                value => GetResult::Value(value_out(value)),
            })
        })
    }
    fn get_next<'a>(
        &'a self,
        _context: &'a RequestContext,
        oid: &'a async_snmp::Oid,
    ) -> BoxFuture<'a, HandlerResult<GetNextResult>> {
        Box::pin(async move {
            Ok(self
                .service
                .next(&oid_in(oid))
                .map_or(GetNextResult::EndOfMibView, |bind| {
                    GetNextResult::Value(bind_out(bind))
                }))
        })
    }
    fn test_set<'a>(
        &'a self,
        _context: &'a RequestContext,
        oid: &'a async_snmp::Oid,
        value: &'a Theirs,
    ) -> BoxFuture<'a, SetTestResult> {
        Box::pin(async move {
            match self.test(oid, value) {
                Ok(()) => Ok(Box::new(Prepared {
                    service: self.service.clone(),
                    desk: self.desk.clone(),
                }) as Box<dyn PreparedSet>),
                Err(status) => {
                    // With a first varbind there is no `Prepared` yet that would do it.
                    drop(std::mem::take(&mut *lock(&self.desk)));
                    Err(refusal(status))
                }
            }
        })
    }
}
