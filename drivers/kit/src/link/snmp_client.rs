//! Shared code of SNMP drivers: reads, sets and notifications with the contract's errors, and
//! decoding of SMI values.
//!
//! ```no_run
//! use qkd_driver_kit::link::snmp::Oid;
//! use qkd_driver_kit::link::snmp_client::{SnmpClient, enumeration};
//! # async fn example(agent: SnmpClient) -> qkd_hal::Result<()> {
//! let call = agent.call();
//! let oper = call.get(&[Oid::from([1, 3, 6, 1, 2, 1, 2, 2, 1, 8, 1])]).await?;
//! let up = enumeration(&oper[0], "ifOperStatus", &[(1, true), (2, false)])?;
//! # Ok(())
//! # }
//! ```

use super::{
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, Value},
    text::shown,
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, EventKind, Identity, Result,
    event::{EventHub, Origin},
    reading::{self, Quality, Reading},
    units::DecibelMilliwatts,
};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle, time::Instant};

/// Reason for which a value is not valid for its object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnmpDecodeError {
    /// Another type than the MIB gives the object.
    #[error("{object} has another type than the MIB gives it")]
    Type {
        /// Name of the object.
        object: &'static str,
    },
    /// A number that the MIB does not list.
    #[error("{object} is {value}, which the MIB does not list")]
    Enumeration {
        /// Name of the object.
        object: &'static str,
        /// Value that the agent sent.
        value: i64,
    },
    /// The agent lacks an object that its MIB makes mandatory.
    #[error("the agent has no {object}")]
    Absent {
        /// Name of the object.
        object: &'static str,
    },
    /// A name that is not below the column asked for.
    #[error("a name came that is not below the column asked for")]
    Name,
    /// A name whose index has another form than the MIB gives it.
    #[error("a name came with another index than the MIB gives its table")]
    Index,
}

impl From<SnmpDecodeError> for Error {
    fn from(misread: SnmpDecodeError) -> Self {
        let what = match misread {
            SnmpDecodeError::Enumeration { .. } => DeviceMisbehaved::ValueOutOfRange,
            _ => DeviceMisbehaved::UnexpectedReply,
        };
        Self::misbehaved(what, misread.to_string())
    }
}

/// A number of any of the SMI's integer types.
///
/// # Errors
/// [`SnmpDecodeError`]; so for all decoders.
pub fn integer(value: &Value, object: &'static str) -> Result<i64, SnmpDecodeError> {
    match value {
        Value::Integer(v) => Ok(i64::from(*v)),
        Value::Gauge32(v) | Value::Counter32(v) | Value::TimeTicks(v) => Ok(i64::from(*v)),
        value if value.is_absent() => Err(SnmpDecodeError::Absent { object }),
        _ => Err(SnmpDecodeError::Type { object }),
    }
}

/// A count, of any of the SMI's integer types; a negative one is not in any MIB.
///
/// # Errors
/// [`SnmpDecodeError`].
pub fn count(value: &Value, object: &'static str) -> Result<u64, SnmpDecodeError> {
    if let Value::Counter64(n) = value {
        return Ok(*n);
    }
    let n = integer(value, object)?;
    u64::try_from(n).map_err(|_| SnmpDecodeError::Enumeration { object, value: n })
}

/// An optical power, from a number that `dbm` converts. What is not a number becomes NaN, which
/// handles report as a reading of quality `Invalid`: one odd object does not spoil its neighbours.
///
/// # Errors
/// [`SnmpDecodeError::Absent`].
pub fn power(
    value: &Value,
    object: &'static str,
    dbm: impl FnOnce(i64) -> f64,
) -> Result<DecibelMilliwatts, SnmpDecodeError> {
    match integer(value, object) {
        Ok(n) => Ok(DecibelMilliwatts(dbm(n))),
        Err(SnmpDecodeError::Type { .. }) => Ok(DecibelMilliwatts(f64::NAN)),
        Err(misread) => Err(misread),
    }
}

/// An item of telemetry from an object that may be absent. It is `Invalid` where what came is not
/// of the object's type, and `OutOfRange` where it is a number that the MIB does not list.
///
/// # Errors
/// [`SnmpDecodeError::Absent`], [`SnmpDecodeError::Name`].
pub fn reading(
    name: impl Into<Cow<'static, str>>,
    unit: &'static str,
    decoded: Result<Option<reading::ReadingValue>, SnmpDecodeError>,
) -> Result<Option<Reading>, SnmpDecodeError> {
    match decoded {
        Ok(value) => Ok(value.map(|value| Reading::now(name, value, unit))),
        #[allow(clippy::cast_precision_loss, reason = "32 bits")]
        Err(SnmpDecodeError::Enumeration { value, .. }) => {
            let number = Reading::now(name, reading::ReadingValue::Number(value as f64), unit);
            Ok(Some(number.with_quality(Quality::OutOfRange)))
        }
        Err(SnmpDecodeError::Type { .. }) => {
            let nothing = Reading::now(name, reading::ReadingValue::Number(f64::NAN), unit);
            Ok(Some(nothing.with_quality(Quality::Invalid)))
        }
        Err(misread) => Err(misread),
    }
}

/// One of the numbers that the MIB lists.
///
/// # Errors
/// [`SnmpDecodeError`].
pub fn enumeration<T: Copy>(
    value: &Value,
    object: &'static str,
    known: &[(i64, T)],
) -> Result<T, SnmpDecodeError> {
    let n = integer(value, object)?;
    known
        .iter()
        .find(|(k, _)| *k == n)
        .map(|(_, t)| *t)
        .ok_or(SnmpDecodeError::Enumeration { object, value: n })
}

/// Decodes a value with `decode`; returns `None` if the agent does not have the object.
///
/// # Errors
/// [`SnmpDecodeError`].
pub fn optional<T>(
    value: &Value,
    decode: impl FnOnce(&Value) -> Result<T, SnmpDecodeError>,
) -> Result<Option<T>, SnmpDecodeError> {
    if value.is_absent() {
        Ok(None)
    } else {
        decode(value).map(Some)
    }
}

/// A text, as [`shown`]; `None` where the agent lacks it or it is empty.
///
/// # Errors
/// [`SnmpDecodeError`].
pub fn text(value: &Value, object: &'static str) -> Result<Option<String>, SnmpDecodeError> {
    match value {
        Value::OctetString(bytes) => Ok(Some(shown(bytes)).filter(|t| !t.is_empty())),
        value if value.is_absent() => Ok(None),
        _ => Err(SnmpDecodeError::Type { object }),
    }
}

/// The number of steps in a value, which must be a whole one of an Integer32.
///
/// # Errors
/// `InvalidInput`.
pub fn to_integer_steps(value: f64, step: f64, unit: &str) -> Result<i32> {
    let n = value / step;
    // Beyond 2^31 the cast saturates, and so differs from `n`.
    let whole = n.round() as i32;
    if (n - f64::from(whole)).abs() < 1e-6 {
        Ok(whole)
    } else {
        Err(Error::invalid(format!(
            "{value} {unit} is not set in steps of {step} {unit}"
        )))
    }
}

/// Client of an SNMP agent.
#[derive(Clone)]
pub struct SnmpClient {
    link: Arc<dyn SnmpLink>,
    deadline: Duration,
}

impl SnmpClient {
    /// Whose calls end within this time.
    #[must_use]
    pub fn new(link: Arc<dyn SnmpLink>, deadline: Duration) -> Self {
        Self { link, deadline }
    }
    /// Returns the SNMP link.
    #[must_use]
    pub fn link(&self) -> &dyn SnmpLink {
        self.link.as_ref()
    }
    /// Checks that a key or a password may be written over this link.
    ///
    /// # Errors
    /// `Authentication` if the link is below authPriv.
    pub fn check_secrets_allowed(&self) -> Result<()> {
        if self.link.security() == SecurityLevel::AuthPriv {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Authentication,
            "a key is written over SNMPv3 authPriv only; give credentials with both passwords",
        ))
    }

    /// A call that begins now.
    #[must_use]
    pub fn call(&self) -> SnmpCall<'_> {
        self.with_deadline(Instant::now() + self.deadline)
    }
    /// A call that ends by then.
    #[must_use]
    pub fn with_deadline(&self, until: Instant) -> SnmpCall<'_> {
        SnmpCall { agent: self, until }
    }

    /// Compares the identity of the responding agent with that of the opened one. If another device
    /// responds, it must not receive requests for the opened one: the link is closed, and the check
    /// in front of the handles refuses every later call if it [has a reference
    /// identity](crate::OpenedDevice::with_identity).
    pub async fn check_identity(&self, opened: &Identity, now: &Identity, events: &EventHub) {
        if !now.is_same_device(opened) {
            events.publish(
                Origin::Driver,
                EventKind::IdentityChanged {
                    found: now.to_string(),
                },
            );
            self.link.close().await;
        }
    }
}

/// Why a SET failed.
#[derive(Debug)]
pub struct SetError {
    /// Error of the contract.
    pub error: Error,
    /// Whether the agent answered with an error-status.
    pub is_answer: bool,
    /// 1-based number of the varbind that the agent refused, where it named one.
    pub varbind: Option<usize>,
}

/// One call: as many exchanges as it needs, until its deadline.
#[derive(Clone, Copy)]
pub struct SnmpCall<'a> {
    agent: &'a SnmpClient,
    until: Instant,
}

impl SnmpCall<'_> {
    /// When it ends at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.until
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Reads the values of instances, in the requested order.
    ///
    /// # Errors
    /// Errors of the link; `Misbehaved(ReplyForAnotherRequest)` if the reply contains other names.
    pub async fn get(&self, oids: &[Oid]) -> Result<Vec<Value>> {
        let binds = self
            .agent
            .link
            .get(oids, self.left())
            .await
            .map_err(|e| e.into_read_error("get"))?;
        if binds.len() != oids.len() || binds.iter().zip(oids).any(|(b, o)| b.oid != *o) {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ReplyForAnotherRequest,
                "the agent answered for other names than were asked for",
            ));
        }
        Ok(binds.into_iter().map(|b| b.value).collect())
    }

    /// Reads all instances below `root`: the sub-identifiers after `root`, and the value.
    ///
    /// # Errors
    /// Errors of the link; `Misbehaved(UnexpectedReply)` for a name that is not below `root`.
    pub async fn walk(&self, root: &Oid) -> Result<Vec<(Vec<u32>, Value)>> {
        let binds = self
            .agent
            .link
            .walk(root, self.left())
            .await
            .map_err(|e| e.into_read_error("walk"))?;
        binds
            .into_iter()
            .map(|bind| {
                Ok((
                    bind.oid
                        .suffix_of(root)
                        .ok_or(SnmpDecodeError::Name)?
                        .to_vec(),
                    bind.value,
                ))
            })
            .collect()
    }

    /// Sets what is not read back here.
    ///
    /// # Errors
    /// Those of the link; `Refused` with the error-status as code.
    pub async fn set(&self, operation: &'static str, request: SetRequest) -> Result<()> {
        let result = self.try_set(operation, request).await;
        result.map(drop).map_err(|refusal| refusal.error)
    }

    /// Sets as [`set`](Self::set). Returns the request id of the PDU, which is positive; the error
    /// has the number of the varbind that was refused.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn try_set(
        &self,
        operation: &'static str,
        request: SetRequest,
    ) -> Result<i32, SetError> {
        self.agent
            .link
            .set(request, self.left())
            .await
            .map_err(|e| SetError {
                varbind: e.varbind,
                is_answer: e.code.is_some(),
                error: e.into_change_error(operation),
            })
    }

    /// Sets a number, and reads it back.
    ///
    /// # Errors
    /// As [`set`](Self::set); `Misbehaved(ChangeNotApplied)` if the agent shows another value; what
    /// goes wrong in reading back has effect `Unknown`.
    pub async fn change(
        &self,
        operation: &'static str,
        object: &'static str,
        name: Oid,
        value: Value,
    ) -> Result<()> {
        let wanted = integer(&value, object)?;
        self.set(operation, SetRequest::new().with(name.clone(), value))
            .await?;
        let shown = self
            .get(&[name])
            .await
            .and_then(|v| Ok(integer(&v[0], object)?))
            .map_err(|e| e.with_operation(operation).with_effect(Effect::Unknown))?;
        if shown == wanted {
            return Ok(());
        }
        let why = format!("the agent accepted {wanted} for {object}, and shows {shown}");
        Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
            .with_operation(operation)
            .with_effect(Effect::Unknown))
    }
}

/// A background task of a device, aborted when dropped.
#[derive(Debug)]
pub struct BackgroundTask(JoinHandle<()>);

impl BackgroundTask {
    /// Starts the task.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// Hands each notification of the agent to `take`, until the link ends. `None`: some came
    /// faster than they were taken, and are lost.
    pub fn for_each_notification<F: Future<Output = ()> + Send>(
        link: &dyn SnmpLink,
        take: impl Fn(Option<Notification>) -> F + Send + 'static,
    ) -> Self {
        let mut notifications = link.notifications();
        Self::spawn(async move {
            loop {
                match notifications.recv().await {
                    Ok(notification) => take(Some(notification)).await,
                    Err(RecvError::Lagged(_)) => take(None).await,
                    Err(RecvError::Closed) => return,
                }
            }
        })
    }

    /// Aborts the task.
    pub fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_mib_are_reported_as_unknown() {
        assert_eq!(
            enumeration(&Value::Integer(2), "x", &[(1, 'a'), (2, 'b')]),
            Ok('b')
        );
        assert_eq!(
            enumeration(&Value::Integer(3), "x", &[(1, 'a')]),
            Err(SnmpDecodeError::Enumeration {
                object: "x",
                value: 3
            })
        );
        assert_eq!(
            integer(&Value::text("2"), "x"),
            Err(SnmpDecodeError::Type { object: "x" })
        );
        assert_eq!(
            integer(&Value::NoSuchObject, "x"),
            Err(SnmpDecodeError::Absent { object: "x" })
        );
        assert_eq!(
            optional(&Value::NoSuchInstance, |v| integer(v, "x")),
            Ok(None)
        );
        assert_eq!(count(&Value::Counter64(u64::MAX), "x"), Ok(u64::MAX));
        assert_eq!(
            count(&Value::Integer(-1), "x"),
            Err(SnmpDecodeError::Enumeration {
                object: "x",
                value: -1
            })
        );
        assert_eq!(
            text(&Value::text(" OLP\0 "), "x"),
            Ok(Some("OLP".to_owned()))
        );
    }

    #[test]
    fn a_value_that_is_not_a_whole_number_of_steps_is_refused() {
        assert_eq!(to_integer_steps(-25.3, 0.1, "dBm").unwrap(), -253);
        for wrong in [-25.35, f64::NAN, f64::INFINITY, 1e12] {
            assert!(to_integer_steps(wrong, 0.1, "dBm").is_err(), "{wrong}");
        }
    }
}
