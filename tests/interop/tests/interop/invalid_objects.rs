//! One object with an invalid encoding fails the readings that use it, and no others.

use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    link::snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
};
use qkd_emulators::{profile::Options, profiles};
use qkd_hal::{
    Operation, Support,
    reading::{Quality, Reading},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::sync::broadcast;

/// Objects without which there is no state to report.
const STATES: [&str; 6] = [
    // slSecuEncryptionIfIndex (SL-SECU-MIB): which channels there are.
    "1.3.6.1.4.1.4515.1.3.24.4.1.1.1",
    // heOpSwitchMode, -Control, -Revert, -State, -FailoverStatus and -InputStatus (ANSI/SCTE 85-4).
    "1.3.6.1.4.1.5591.1.11.1.4.1.1.1.1",
    "1.3.6.1.4.1.5591.1.11.1.4.1.1.2.1.4",
    // The device type of a slot (OAP), by which a card is recognised.
    "1.3.6.1.4.1.40989.10.16",
    // Associations, slots and MKA sessions of TIMETRA-MACSEC-MIB, of which counters are parts.
    "1.3.6.1.4.1.6527.3.1.2.114",
    "1.3.6.1.2.1.2.2.1",
];

#[derive(Default)]
struct Damage {
    asked: BTreeSet<Oid>,
    odd: Option<(Oid, Value)>,
}

/// An agent of which one object is encoded oddly.
struct InvalidObject {
    agent: Arc<dyn SnmpService>,
    damage: Arc<Mutex<Damage>>,
}

impl InvalidObject {
    fn shown(&self, oid: &Oid, value: Value) -> Value {
        match &self.damage.lock().unwrap().odd {
            Some((odd, instead)) if odd == oid => instead.clone(),
            _ => value,
        }
    }
}

impl SnmpService for InvalidObject {
    fn get(&self, oid: &Oid) -> Value {
        self.damage.lock().unwrap().asked.insert(oid.clone());
        self.shown(oid, self.agent.get(oid))
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        let mut bind = self.agent.next(oid)?;
        self.damage.lock().unwrap().asked.insert(bind.oid.clone());
        bind.value = self.shown(&bind.oid, bind.value);
        Some(bind)
    }
    fn set(&self, id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        self.agent.set(id, binds)
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.agent.notifications()
    }
}

async fn readings(opened: &OpenedDevice) -> qkd_hal::Result<Vec<Reading>> {
    let device = opened.device();
    if device.capabilities().supports(Operation::Telemetry) == Support::Unsupported {
        return Ok(Vec::new());
    }
    device.telemetry().await
}

#[tokio::test(start_paused = true)]
async fn one_invalid_object_fails_only_the_readings_that_use_it() {
    let mut agents = 0;
    for profile in profiles::all() {
        let damage = Arc::new(Mutex::new(Damage::default()));
        let Ok(memory) = profiles::in_memory(profile.name, &Options::default()) else {
            continue;
        };
        let memory = memory.with_agents(|agent| {
            Arc::new(InvalidObject {
                agent,
                damage: Arc::clone(&damage),
            })
        });
        let registry = qkd_hardware::registry();
        let assumptions: Vec<String> = registry
            .drivers()
            .flat_map(|d| d.info().assumptions)
            .map(|a| a.id.to_string())
            .collect();
        let context = memory
            .attach(OpenContext::new())
            .with_accepted_assumptions(assumptions);
        for uri in memory.uris() {
            damage.lock().unwrap().asked.clear();
            let opened = registry.open(uri, &context).await.unwrap();
            damage.lock().unwrap().asked.clear();
            let usual = readings(&opened).await.unwrap();
            let asked = std::mem::take(&mut damage.lock().unwrap().asked);
            if asked.is_empty() {
                continue;
            }
            agents += 1;
            for oid in asked {
                for odd in [Value::Invalid("a value of unknown type 0x4f".into()), {
                    Value::Gauge32((-500i32).cast_unsigned())
                }] {
                    damage.lock().unwrap().odd = Some((oid.clone(), odd.clone()));
                    let outcome = readings(&opened).await;
                    damage.lock().unwrap().odd = None;
                    let is_state = STATES
                        .iter()
                        .any(|s| oid.suffix_of(&s.parse().unwrap()).is_some());
                    let found = match outcome {
                        Ok(found) => found,
                        Err(error) if is_state => {
                            assert!(error.to_string().len() < 1000, "{error}");
                            continue;
                        }
                        Err(error) => panic!("{uri}: {oid} as {odd:?} spoils all: {error}"),
                    };
                    let good = |r: &&Reading| r.quality == Quality::Good;
                    for reading in found.iter().filter(good) {
                        if let qkd_hal::reading::ReadingValue::Number(n) = reading.value {
                            let text = format!("{uri}: {oid} as {odd:?}: {reading:?}");
                            assert!(reading.unit != "dBm" || n.abs() < 200.0, "{text}");
                        }
                    }
                    let same = |r: &&Reading| {
                        usual
                            .iter()
                            .any(|u| u.name == r.name && u.quality == r.quality)
                    };
                    assert!(
                        is_state || found.iter().filter(same).count() + 2 >= usual.len(),
                        "{uri}: {oid} as {odd:?} spoils more than what rests on it: {found:?}"
                    );
                }
            }
        }
    }
    assert!(agents >= 6, "{agents} agents");
}
