//! SNMP against a scripted agent.

use crate::{driver, snmp::proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        memory::Endpoint,
        snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
    },
};
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, EventKind, Result, event::StreamItem, units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, CrossConnects, MonitorSetting, Port,
    protection::{ExternalCommand, GroupId, ProtectionSetting, SelectionMode, SwitchRequest},
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex},
};
use tokio::sync::broadcast;

struct Agent {
    objects: Mutex<BTreeMap<Oid, Value>>,
    /// Whether the other row of a path follows.
    mirrors: bool,
    traps: broadcast::Sender<Notification>,
}

impl SnmpService for Agent {
    fn get(&self, name: &Oid) -> Value {
        self.objects
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .unwrap_or(Value::NoSuchInstance)
    }
    fn next(&self, name: &Oid) -> Option<VarBind> {
        let objects = self.objects.lock().unwrap();
        objects
            .range((Bound::Excluded(name.clone()), Bound::Unbounded))
            .next()
            .map(|(o, v)| VarBind::new(o.clone(), v.clone()))
    }
    fn set(&self, _id: i32, binds: &[VarBind]) -> std::result::Result<(), (ErrorStatus, usize)> {
        let mut objects = self.objects.lock().unwrap();
        for bind in binds {
            let old = objects.insert(bind.oid.clone(), bind.value.clone());
            if let (Some([port]), Value::Gauge32(peer), true) = (
                bind.oid.suffix_of(&Oid::from(oid::PATCH)),
                &bind.value,
                self.mirrors,
            ) {
                if let Some(Value::Gauge32(old)) = old.filter(|v| *v != Value::Gauge32(0)) {
                    objects.insert(oid::of(oid::PATCH, old), Value::Gauge32(0));
                }
                if *peer != 0 {
                    objects.insert(oid::of(oid::PATCH, *peer), Value::Gauge32(*port));
                }
            }
            for (desired, current) in [
                (oid::APS_DESIRED_CONDITION, oid::APS_CONDITION),
                (oid::VOA_DESIRED, oid::VOA_STATE),
                (oid::PORT_DESIRED, oid::PORT_STATE),
            ] {
                if let Some([port]) = bind.oid.suffix_of(&Oid::from(desired)) {
                    objects.insert(oid::of(current, *port), bind.value.clone());
                }
            }
        }
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.traps.subscribe()
    }
}

async fn try_open(
    query: &str,
    mirrors: bool,
    change: impl FnOnce(&mut BTreeMap<Oid, Value>),
) -> (Result<OpenedDevice>, Arc<Agent>) {
    let mut objects: BTreeMap<Oid, Value> = [
        (oid::PRODUCT_CODE, Value::text("N-OST-2x2-LA1-DMHNS")),
        (oid::SERIAL_NUMBER, Value::text("002414")),
        (oid::FIRMWARE, Value::text("6.5.2.18")),
        (oid::SIZE, Value::text("2x2")),
    ]
    .map(|(name, value)| (Oid::from(name), value))
    .into();
    for port in 1..=4 {
        objects.insert(oid::of(oid::PATCH, port), Value::Gauge32(0));
        for one in [
            oid::PORT_STATE,
            oid::APS_DESIRED,
            oid::APS_CONDITION,
            oid::APS_DESIRED_CONDITION,
        ] {
            objects.insert(oid::of(one, port), Value::Integer(1));
        }
    }
    for port in 3..=4 {
        for (column, value) in [
            (oid::POWER, -12_340),
            (oid::ALARM_EDGE, 1),
            (oid::ALARM_LOW, -30_000),
            (oid::ALARM_HIGH, 0),
            (oid::ALARM_MODE, 1),
        ] {
            objects.insert(oid::of(column, port), Value::Integer(value));
        }
        for (column, value) in [
            (oid::OPM_WAVELENGTH, 1_550_000),
            (oid::OPM_ATIME, 4),
            (oid::VOA_REFERENCE, 0),
        ] {
            objects.insert(oid::of(column, port), Value::Gauge32(value));
        }
        for (column, value) in [
            (oid::VOA_LEVEL, 0),
            (oid::VOA_STATE, 1),
            (oid::VOA_DESIRED, 1),
        ] {
            objects.insert(oid::of(column, port), Value::Integer(value));
        }
    }
    // The working port 3, which port 4 protects.
    objects.insert(
        Oid::from(oid::APS_PRIORITY).child(&[3, 4]),
        Value::Gauge32(1),
    );
    change(&mut objects);
    let agent = Arc::new(Agent {
        objects: Mutex::new(objects),
        mirrors,
        traps: broadcast::channel(16).0,
    });
    let context = OpenContext::new().with_memory(
        "device",
        Endpoint::Snmp(Arc::clone(&agent) as Arc<dyn SnmpService>),
    );
    (
        Registry::new()
            .with(driver())
            .open(
                &format!("polatis+mem://device?protocol=snmp{query}"),
                &context,
            )
            .await,
        agent,
    )
}

const ASSUME: &str = "&assume=polatis.inhswpr-is-lockout";

async fn open() -> (OpenedDevice, Arc<Agent>) {
    let (opened, agent) = try_open(ASSUME, true, |_| {}).await;
    (opened.unwrap(), agent)
}

async fn apply(opened: &OpenedDevice, wanted: &str) -> Result<()> {
    let switch = opened.switch()?;
    let _present = switch.connections().await?.value;
    let wanted: CrossConnects = wanted.parse()?;
    let plan = switch.plan().to(wanted.clone()).build().await?;
    switch.apply(&plan).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn paths_are_set_by_their_ingress_row() {
    let (opened, agent) = open().await;
    assert_eq!(
        opened.device().identity().await.unwrap().to_string(),
        "Polatis N-OST-2x2-LA1-DMHNS, serial 002414, firmware 6.5.2.18"
    );
    apply(&opened, "1-3,2-4").await.unwrap();
    apply(&opened, "1-4").await.unwrap();
    assert_eq!(agent.get(&oid::of(oid::PATCH, 1)), Value::Gauge32(4));
    assert_eq!(
        opened
            .switch()
            .unwrap()
            .connections()
            .await
            .unwrap()
            .value
            .to_string(),
        "1-4"
    );
    opened
        .switch()
        .unwrap()
        .set_port(Port(2), false)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn contradictory_rows_are_reported() {
    let (opened, _agent) = try_open("", false, |_| {}).await;
    let error = apply(&opened.unwrap(), "1-3").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply)
    );
    let (opened, _agent) = try_open("", true, |o| drop(o.remove(&oid::of(oid::PATCH, 2)))).await;
    assert!(
        opened
            .unwrap()
            .switch()
            .unwrap()
            .connections()
            .await
            .unwrap_err()
            .message()
            .contains("3 rows")
    );
}

#[tokio::test(start_paused = true)]
async fn other_agents_are_refused() {
    let (opened, _) = try_open("", true, |o| drop(o.remove(&Oid::from(oid::PRODUCT_CODE)))).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::IdentityChanged);
    let (opened, _) = try_open("&power-scale=0", true, |_| {}).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn powers_are_in_thousandths_by_default() {
    for (query, dbm) in [("", -12.34), ("&power-scale=0.01", -123.4)] {
        let (opened, _) = try_open(query, true, |_| {}).await;
        let power = opened
            .unwrap()
            .power_meter()
            .unwrap()
            .power(&[Port(3)])
            .await
            .unwrap();
        assert!((power[0].value.0 - dbm).abs() < 1e-9);
    }
}

#[tokio::test(start_paused = true)]
async fn monitors_and_attenuators_are_set_and_read_back() {
    let (opened, _) = open().await;
    let (meter, voa) = (opened.power_meter().unwrap(), opened.attenuator().unwrap());
    let levels = AlarmLevels {
        low: Some(DecibelMilliwatts(-25.5)),
        high: Some(DecibelMilliwatts(3.0)),
    };
    meter
        .set_monitor(Port(3), &MonitorSetting::Alarms(levels))
        .await
        .unwrap();
    assert_eq!(meter.monitor(Port(3)).await.unwrap().alarms, levels);
    for wanted in [
        Attenuation::OutputPower(DecibelMilliwatts(-10.0)),
        Attenuation::Maximum,
        Attenuation::Transparent,
    ] {
        voa.set_attenuation(Port(4), &wanted).await.unwrap();
        assert_eq!(voa.attenuation(Port(4)).await.unwrap(), wanted);
    }
    let relative = Attenuation::Relative {
        below: qkd_hal::units::Decibels(3.0),
        reference: Port(3),
    };
    assert_eq!(
        voa.set_attenuation(Port(4), &relative)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput,
        "its sign was not accepted"
    );
}

fn trap(family: &[u32], number: u32, entry: &[u32], columns: &[(u32, i32)]) -> Notification {
    let binds = columns
        .iter()
        .map(|(c, n)| VarBind::new(Oid::from(entry).child(&[*c]), Value::Integer(*n)))
        .collect();
    Notification {
        trap: Oid::from(family).child(&[0, number]),
        uptime: 0,
        binds,
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_reports_its_selected_path() {
    let (opened, agent) = open().await;
    let (group, switch) = (GroupId::from("3"), opened.protection().unwrap());
    assert_eq!(switch.groups().await.unwrap(), std::slice::from_ref(&group));
    assert_eq!(
        switch.protection(&"1".into()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    apply(&opened, "1-3").await.unwrap();
    assert_eq!(
        switch.protection(&group).await.unwrap().value.active.path.0,
        "3"
    );
    let mut events = opened.device().events();
    // The switch switches over and sends two revisions of the same notification.
    agent
        .set(
            0,
            &[VarBind::new(oid::of(oid::PATCH, 1), Value::Gauge32(4))],
        )
        .unwrap();
    for revision in [1, 2] {
        agent
            .traps
            .send(trap(
                oid::APS_TRAPS,
                revision,
                oid::APS_BINDS,
                &[(1, 1), (2, 1), (3, 3), (4, 4)],
            ))
            .unwrap();
    }
    let StreamItem::Event(event) = events.next().await.unwrap() else {
        panic!()
    };
    assert_eq!(
        event.kind,
        EventKind::SwitchOver {
            group: "3".into(),
            path: "4".into(),
            request: "signal-fail".into()
        }
    );
    let now = switch.protection(&group).await.unwrap().value;
    assert_eq!(
        (now.active.path.0.as_str(), now.active.request),
        ("4", SwitchRequest::SignalFail)
    );
    assert!(now.active.since.is_some() && events.try_next().is_none());
    switch
        .command(&group, &ExternalCommand::Lockout)
        .await
        .unwrap();
    assert_eq!(
        switch
            .protection(&group)
            .await
            .unwrap()
            .value
            .active
            .request,
        SwitchRequest::LockoutOfProtection
    );
    switch
        .command(&group, &ExternalCommand::Clear)
        .await
        .unwrap();
    switch
        .set_protection(&group, &ProtectionSetting::Mode(SelectionMode::Manual))
        .await
        .unwrap();
    assert_eq!(
        switch
            .command(&group, &ExternalCommand::Lockout)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotReady
    );
}

#[tokio::test(start_paused = true)]
async fn the_assumption_about_inhswpr_must_be_accepted() {
    let (opened, _agent) = try_open("", true, |_| {}).await;
    let error = opened
        .unwrap()
        .protection()
        .unwrap()
        .command(&"3".into(), &ExternalCommand::Lockout)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AssumptionNotAccepted);
}
