//! GET, GETNEXT and SET over a table of objects.

use super::node::{ENTITY_MIB, FRAMEWORK_MIB, Node, SYSTEM_AND_IF_MIB, StandardObject};
use crate::fault::{ApplyDeviceFault, DeviceFault};
use qkd_driver_kit::link::snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind};
use std::time::Duration;
use tokio::sync::broadcast;

/// A vendor's objects in front of a model.
pub trait Mib: Send + Sync + 'static {
    /// A column or a scalar.
    type Object: Copy + Send + Sync + 'static;
    /// Tested changes of a SET.
    type Draft;

    /// Objects sorted by name; none is below another, or one of those that every agent has.
    const OBJECTS: &'static [(&'static [u32], Self::Object)];

    /// The part that does not depend on the maker.
    fn node(&self) -> &Node;
    /// Whether this agent has the object.
    fn has(&self, _object: Self::Object) -> bool {
        true
    }
    /// Returns the indices of the instances of an object, in ascending order.
    fn instances(&self, object: Self::Object) -> Vec<Vec<u32>>;
    /// Returns the value of an instance; `None` if it does not exist.
    fn read(&self, object: Self::Object, index: &[u32]) -> Option<Value>;
    /// A draft that does nothing.
    fn draft(&self) -> Self::Draft;
    /// Gives a draft the request ID of its SET, for MIBs that report it.
    fn set_request_id(&self, _draft: &mut Self::Draft, _request_id: i32) {}
    /// Adds a write to the draft.
    ///
    /// # Errors
    /// Why it is refused, given what is in the draft already.
    fn write(
        &self,
        draft: &mut Self::Draft,
        object: Self::Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus>;
    /// Does what the draft says.
    ///
    /// # Errors
    /// Why it is refused as a whole; only if the state has moved on since the test.
    fn commit(&self, draft: Self::Draft) -> Result<(), ErrorStatus>;
    /// Returns the state that SETs can change, as text; never a secret.
    fn state(&self) -> String;
    /// Advances the model, so that automatic changes are notified.
    fn tick(&self) {}
    /// Wall time for which nothing changes automatically, as long as nothing is set.
    fn quiet_for(&self) -> Duration {
        Duration::ZERO
    }
    /// A fault of the device.
    ///
    /// # Errors
    /// Error text for the user.
    fn fault(&self, fault: &DeviceFault) -> Result<(), String>;
}

/// Operations that a server needs in addition to the service.
pub trait SnmpAgent: SnmpService {
    /// Tests the varbinds of a SET, or the first of them, without applying any. If the first `n`
    /// pass and the first `n + 1` do not, the last one is refused.
    ///
    /// # Errors
    /// As [`SnmpService::set`].
    fn test(&self, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)>;
    /// Returns the vendor-independent part.
    fn node(&self) -> &Node;
    /// Returns the state that SETs can change, as text; never a secret.
    fn state(&self) -> String;
    /// Lets the model's time pass.
    fn tick(&self);
    /// Wall time for which nothing changes automatically, as long as nothing is set.
    fn quiet_for(&self) -> Duration;
}

/// An agent of a vendor's objects.
pub struct Agent<M>(M);

enum Place<O> {
    Standard(StandardObject),
    Own(O),
}

/// Returns the object of `oid` and the index of the instance.
fn find<'a, O: Copy>(objects: &[(&'static [u32], O)], ids: &'a [u32]) -> Option<(O, &'a [u32])> {
    let n = objects.partition_point(|(prefix, _)| *prefix <= ids);
    let (prefix, object) = objects.get(n.checked_sub(1)?)?;
    Some((*object, ids.strip_prefix(*prefix)?))
}

/// Returns the first instance after `ids`.
fn first_after<O: Copy>(
    objects: &[(&'static [u32], O)],
    ids: &[u32],
    instances: impl Fn(O) -> Vec<Vec<u32>>,
    read: impl Fn(O, &[u32]) -> Option<Value>,
) -> Option<VarBind> {
    let from = objects
        .partition_point(|(prefix, _)| *prefix <= ids)
        .saturating_sub(1);
    for (prefix, object) in objects.get(from..)? {
        let after = match ids.strip_prefix(*prefix) {
            Some(index) => Some(index),
            None if ids > *prefix => continue,
            None => None,
        };
        for index in instances(*object) {
            if after.is_none_or(|b| index.as_slice() > b)
                && let Some(value) = read(*object, &index)
            {
                return Some(VarBind::new(Oid::from(*prefix).child(&index), value));
            }
        }
    }
    None
}

struct Draft<D> {
    standard: Vec<(usize, Vec<u8>)>,
    own: Option<D>,
}

impl<M: Mib> Agent<M> {
    /// An agent of these objects.
    #[must_use]
    pub fn new(mib: M) -> Self {
        Self(mib)
    }
    /// Returns the objects of the vendor.
    #[must_use]
    pub fn mib(&self) -> &M {
        &self.0
    }
    fn find<'a>(&self, ids: &'a [u32]) -> Option<(Place<M::Object>, &'a [u32])> {
        let standard = |table| find(table, ids).map(|(o, index)| (Place::Standard(o), index));
        standard(SYSTEM_AND_IF_MIB)
            .or_else(|| standard(ENTITY_MIB))
            .or_else(|| standard(FRAMEWORK_MIB))
            .or_else(|| {
                let (object, index) = find(M::OBJECTS, ids)?;
                self.0.has(object).then_some((Place::Own(object), index))
            })
    }
    fn draft(&self, binds: &[VarBind]) -> Result<Draft<M::Draft>, (ErrorStatus, usize)> {
        let mut draft = Draft {
            standard: Vec::new(),
            own: None,
        };
        for (i, bind) in binds.iter().enumerate() {
            let tested = match self.find(bind.oid.sub_identifiers()) {
                None => Err(ErrorStatus::NoAccess),
                Some((Place::Standard(object), index)) => self
                    .0
                    .node()
                    .test(object, index, &bind.value)
                    .map(|w| draft.standard.push(w)),
                Some((Place::Own(object), index)) => self.0.write(
                    draft.own.get_or_insert_with(|| self.0.draft()),
                    object,
                    index,
                    &bind.value,
                ),
            };
            tested.map_err(|status| (status, i + 1))?;
        }
        Ok(draft)
    }
}

impl<M: Mib> SnmpService for Agent<M> {
    fn get(&self, oid: &Oid) -> Value {
        let value = match self.find(oid.sub_identifiers()) {
            None => return Value::NoSuchObject,
            Some((Place::Standard(object), index)) => self.0.node().read(object, index),
            Some((Place::Own(object), index)) => self.0.read(object, index),
        };
        value.unwrap_or(Value::NoSuchInstance)
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        let (ids, node) = (oid.sub_identifiers(), self.0.node());
        let standard = |table| {
            first_after(
                table,
                ids,
                |o| node.instances(o),
                |o, index| node.read(o, index),
            )
        };
        let instances = |o| {
            if self.0.has(o) {
                self.0.instances(o)
            } else {
                Vec::new()
            }
        };
        // A vendor's objects are before, between or after those of the standard MIBs.
        let own = first_after(M::OBJECTS, ids, instances, |o, index| self.0.read(o, index));
        [SYSTEM_AND_IF_MIB, ENTITY_MIB, FRAMEWORK_MIB]
            .into_iter()
            .find_map(standard)
            .into_iter()
            .chain(own)
            .min_by(|a, b| a.oid.cmp(&b.oid))
    }
    fn set(&self, request_id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        let draft = self.draft(binds)?;
        if let Some(mut own) = draft.own {
            self.0.set_request_id(&mut own, request_id);
            self.0.commit(own).map_err(|status| (status, 1))?;
        }
        self.0.node().change();
        draft
            .standard
            .into_iter()
            .for_each(|w| self.0.node().write(w));
        tracing::debug!(request_id, varbinds = binds.len(), "a SET was applied");
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.0.node().notifications()
    }
}

impl<M: Mib> SnmpAgent for Agent<M> {
    fn test(&self, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        self.draft(binds).map(drop)
    }
    fn node(&self) -> &Node {
        self.0.node()
    }
    fn state(&self) -> String {
        format!("{}\n{}", self.0.node().state(), self.0.state())
    }
    fn tick(&self) {
        self.0.tick();
    }
    fn quiet_for(&self) -> Duration {
        self.0.quiet_for()
    }
}

impl<M: Mib> ApplyDeviceFault for Agent<M> {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        // The agent restarts with the device. A device whose traffic is unaffected needs no other
        // action.
        let done = self.0.fault(fault);
        self.0.node().change();
        if *fault == DeviceFault::Reboot {
            self.0.node().reboot();
        }
        done
    }
}
