//! A scripted SNMP agent for tests of drivers: stored objects, and a function that is called for
//! each SET.

use super::{
    memory::Endpoint,
    snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::broadcast;

/// The objects of an agent.
pub type Objects = BTreeMap<Oid, Value>;

struct State {
    objects: Objects,
    refuse: Option<ErrorStatus>,
    set: Vec<VarBind>,
    request_id: Option<Oid>,
}

/// A scripted SNMP agent.
pub struct ScriptedAgent {
    state: Mutex<State>,
    react: fn(&mut Objects, &VarBind),
    notifications: broadcast::Sender<Notification>,
}

impl ScriptedAgent {
    /// With these objects; `react` makes of a varbind that was set what the device does, beyond
    /// keeping it.
    #[must_use]
    pub fn new(objects: Objects, react: fn(&mut Objects, &VarBind)) -> Arc<Self> {
        let state = Mutex::new(State {
            objects,
            refuse: None,
            set: Vec::new(),
            request_id: None,
        });
        Arc::new(Self {
            state,
            react,
            notifications: broadcast::channel(64).0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the in-memory endpoint of the agent.
    #[must_use]
    pub fn endpoint(self: &Arc<Self>) -> Endpoint {
        Endpoint::Snmp(Arc::clone(self) as _)
    }
    /// Sets the value of an object.
    pub fn set_value(&self, oid: Oid, value: Value) {
        self.lock().objects.insert(oid, value);
    }
    /// An object is there no longer.
    pub fn remove(&self, oid: &Oid) {
        self.lock().objects.remove(oid);
    }
    /// The value of an object.
    #[must_use]
    pub fn value(&self, oid: &Oid) -> Option<Value> {
        self.lock().objects.get(oid).cloned()
    }
    /// The next SET is refused.
    pub fn refuse(&self, status: ErrorStatus) {
        self.lock().refuse = Some(status);
    }
    /// From now on, this object has the request id of the last SET that was not refused.
    pub fn report_request_id(&self, oid: Oid) {
        self.lock().request_id = Some(oid);
    }
    /// Returns the varbinds of all SETs since the last call, including refused ones.
    #[must_use]
    pub fn accepted_sets(&self) -> Vec<VarBind> {
        std::mem::take(&mut self.lock().set)
    }
    /// Sends a notification to the subscribers, if there are any.
    pub fn notify(&self, trap: Oid, binds: Vec<VarBind>) {
        let _ = self.notifications.send(Notification {
            trap,
            uptime: 1,
            binds,
        });
    }
}

impl SnmpService for ScriptedAgent {
    fn get(&self, oid: &Oid) -> Value {
        self.value(oid).unwrap_or(Value::NoSuchInstance)
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        self.lock()
            .objects
            .range((Bound::Excluded(oid.clone()), Bound::Unbounded))
            .next()
            .map(|(o, v)| VarBind::new(o.clone(), v.clone()))
    }
    fn set(&self, id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        let mut state = self.lock();
        state.set.extend_from_slice(binds);
        if let Some(status) = state.refuse.take() {
            return Err((status, 1));
        }
        for bind in binds {
            state.objects.insert(bind.oid.clone(), bind.value.clone());
            (self.react)(&mut state.objects, bind);
        }
        if let Some(oid) = state.request_id.clone() {
            let id = Value::Gauge32(id.unsigned_abs());
            state.objects.insert(oid, id);
        }
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }
}
