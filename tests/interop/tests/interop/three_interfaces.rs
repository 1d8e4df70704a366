//! A Polatis switch has three interfaces on one state: what one of them changes, the other two and
//! the model show, and what one refuses, the others refuse alike.

use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    link::{memory::Endpoint, snmp::SnmpService},
};
use qkd_emulators::{
    Clock, FaultInjector, FaultSpec,
    fault::ApplyDeviceFault,
    model::switch::{Switch, monitor::AlarmMode},
    server::memory::attach,
    vendor::polatis::{ENTERPRISE, scpi::PolatisScpi, snmp, tl1::Tl1},
    wire::{ByteService, Session, snmp::NodeOptions},
};
use qkd_hal::{
    Effect, Error, ErrorKind, Identity, Result,
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use qkd_interop::scaled;
use qkd_switch_hal::{
    AlarmLevels, Attenuation, Attenuator, CrossConnect, CrossConnects, Geometry, MonitorSetting,
    MonitorStatus, OpticalSwitch, Plan, Port, PowerMeter, SwitchState,
    protection::{
        ExternalCommand, GroupId, Protection, ProtectionSetting, ProtectionStatus, SelectionMode,
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{sync::Arc, time::Duration};

/// Names of the interfaces.
const NAMES: [&str; 3] = ["scpi", "tl1", "snmp"];
const SCPI: usize = 0;
const TL1: usize = 1;
const SNMP: usize = 2;
/// Resolution of each interface, in dB: SCPI has one decimal in the sources, TL1 two, SNMP three.
const RESOLUTION: [f64; 3] = [0.0501, 0.0051, 0.0006];
const N: u32 = 16;

struct Rig {
    model: Arc<Switch>,
    opened: [OpenedDevice; 3],
    faults: [FaultInjector; 3],
    dice: ChaCha8Rng,
}

async fn rig(seed: u64) -> Rig {
    let identity = Identity::new("Polatis")
        .with_model("N-OST-16x16-LA1-DMHNS")
        .with_serial("002414")
        .with_firmware("6.5.2.18");
    let clock = Clock::default();
    let model = Arc::new(Switch::new(identity, Geometry::matrix(N, N), clock.clone()));
    model
        .change_monitors(&[17], |m| {
            (m.los.mode, m.los.low) = (AlarmMode::Continuous, -30_000)
        })
        .unwrap();
    model
        .change_aps(|aps| {
            aps.groups.entry(1).or_default().insert(2, 1);
            aps.triggers.entry(1).or_default().insert(17);
        })
        .unwrap();
    let agent = snmp::agent(
        Arc::clone(&model),
        NodeOptions::named("polatis", ENTERPRISE),
    );
    let (wire, tl1) = (
        PolatisScpi::new(Arc::clone(&model)),
        Tl1::new(Arc::clone(&model)),
    );
    let of_model =
        || FaultInjector::new(seed, Some(Arc::clone(&model) as Arc<dyn ApplyDeviceFault>));
    let faults = [
        of_model(),
        of_model(),
        FaultInjector::new(seed, Some(Arc::clone(&agent) as Arc<dyn ApplyDeviceFault>)),
    ];
    let scpi: Arc<dyn ByteService> = Arc::new(move || Box::new(wire.session()) as Box<dyn Session>);
    let tl1: Arc<dyn ByteService> = Arc::new(move || Box::new(tl1.session()) as Box<dyn Session>);
    let context = OpenContext::new()
        .with_memory(
            "scpi",
            attach("scpi", scpi, faults[SCPI].clone(), clock.clone()),
        )
        .with_memory("tl1", attach("tl1", tl1, faults[TL1].clone(), clock))
        .with_memory("snmp", Endpoint::Snmp(agent as Arc<dyn SnmpService>))
        .with_accepted_assumptions(
            [
                "polatis.relative-level-is-below",
                "polatis.inhswpr-is-lockout",
            ]
            .map(str::to_owned),
        );
    let registry = qkd_hardware::registry();
    let mut opened = Vec::new();
    for name in NAMES {
        opened.push(
            registry
                .open(
                    &format!("polatis+mem://{name}?protocol={name}&deadline=2s"),
                    &context,
                )
                .await
                .unwrap(),
        );
    }
    let opened = <[OpenedDevice; 3]>::try_from(opened)
        .map_err(|_| "three")
        .unwrap();
    Rig {
        model,
        opened,
        faults,
        dice: ChaCha8Rng::seed_from_u64(seed),
    }
}

/// Returns the parts of an error on which a controller decides.
fn gist<T>(result: &Result<T>) -> Option<(ErrorKind, Effect)> {
    result
        .as_ref()
        .err()
        .map(|e: &Error| (e.kind(), e.effect()))
}

fn near(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

fn same_level(a: Option<DecibelMilliwatts>, b: Option<DecibelMilliwatts>) -> bool {
    a.zip(b)
        .map_or(a.is_none() && b.is_none(), |(a, b)| near(a.0, b.0, 0.0501))
}

fn same_monitor(a: &MonitorStatus, b: &MonitorStatus) -> bool {
    let nm = |m: &MonitorStatus| m.wavelength.unwrap().0;
    near(nm(a), nm(b), 0.0501)
        && a.averaging == b.averaging
        && same_level(a.alarms.low, b.alarms.low)
        && same_level(a.alarms.high, b.alarms.high)
}

fn same_attenuation(a: &Attenuation, b: &Attenuation) -> bool {
    match (a, b) {
        (Attenuation::OutputPower(a), Attenuation::OutputPower(b)) => near(a.0, b.0, 0.0501),
        (
            Attenuation::Relative {
                below: a,
                reference: p,
            },
            Attenuation::Relative {
                below: b,
                reference: q,
            },
        ) => near(a.0, b.0, 0.0501) && p == q,
        (a, b) => a == b,
    }
}

fn gist_of_group(s: &ProtectionStatus) -> impl PartialEq + std::fmt::Debug + use<> {
    let paths: Vec<_> = s.paths.iter().map(|p| (p.path.clone(), p.port)).collect();
    (
        s.mode,
        s.active.path.clone(),
        s.active.request,
        paths,
        s.preferred.clone(),
    )
}

impl Rig {
    fn switch(&self, i: usize) -> Arc<dyn OpticalSwitch> {
        self.opened[i].switch().unwrap()
    }
    fn any(&mut self) -> usize {
        self.dice.random_range(0..3)
    }
    /// One of those that serve what SCPI does not.
    fn rich(&mut self) -> usize {
        self.dice.random_range(TL1..=SNMP)
    }
    fn ingress(&mut self) -> u32 {
        self.dice.random_range(1..=N)
    }
    fn egress(&mut self) -> u32 {
        self.dice.random_range(N + 1..=2 * N)
    }
    fn tenths(&mut self, range: std::ops::Range<i32>) -> f64 {
        f64::from(self.dice.random_range(range)) / 10.0
    }

    async fn plan(&self, i: usize, connect: &[CrossConnect], disconnect: &[Port]) -> Plan {
        let switch = self.switch(i);
        let geometry = switch.switch_capabilities().geometry;
        let present = switch.connections().await.unwrap().value;
        let wanted = present
            .with_changes(&geometry, disconnect, connect)
            .unwrap();
        switch.plan().to(wanted.clone()).build().await.unwrap()
    }

    /// All three and the model show the same.
    async fn agree(&self, after: &str) {
        let direct: &dyn OpticalSwitch = &*self.model;
        let monitors: Vec<Port> = PowerMeter::meter_capabilities(&*self.model)
            .monitors
            .iter()
            .copied()
            .collect();
        let voas: Vec<Port> = self
            .model
            .attenuator_capabilities()
            .ports
            .iter()
            .copied()
            .collect();
        for i in 0..3 {
            let what = format!("{} after {after}", NAMES[i]);
            let switch = self.switch(i);
            assert_eq!(
                switch.connections().await.unwrap().value,
                direct.connections().await.unwrap().value,
                "{what}"
            );
            let (through, direct) = (
                switch.ports(&[]).await.unwrap(),
                direct.ports(&[]).await.unwrap(),
            );
            assert_eq!(through.len(), direct.len());
            for (a, b) in through.iter().zip(&direct) {
                assert_eq!(
                    (a.port, a.state, a.peer),
                    (b.port, b.state, b.peer),
                    "{what}"
                );
            }
            let meter = self.opened[i].power_meter().unwrap();
            for (a, b) in meter
                .power(&monitors)
                .await
                .unwrap()
                .iter()
                .zip(self.model.power(&monitors).await.unwrap())
            {
                assert!(
                    near(a.value.0, b.value.0, RESOLUTION[i]),
                    "{what}: {} {}",
                    a.value,
                    b.value
                );
            }
            if i == SCPI {
                continue;
            }
            for port in &monitors {
                let (a, b) = (
                    meter.monitor(*port).await.unwrap(),
                    PowerMeter::monitor(&*self.model, *port).await.unwrap(),
                );
                assert!(same_monitor(&a, &b), "{what}: {a:?} {b:?}");
                assert!(
                    a.alarmed.is_none_or(|alarmed| b.alarmed == Some(alarmed)),
                    "{what}: {a:?} {b:?}"
                );
            }
            let voa = self.opened[i].attenuator().unwrap();
            for port in &voas {
                let (a, b) = (
                    voa.attenuation(*port).await.unwrap(),
                    self.model.attenuation(*port).await.unwrap(),
                );
                assert!(same_attenuation(&a, &b), "{what}: {a} {b} at {port}");
            }
        }
        let (through, group) = (self.opened[SNMP].protection().unwrap(), GroupId::from("1"));
        let (a, b) = (
            through.protection(&group).await.unwrap().value,
            Protection::protection(&*self.model, &group)
                .await
                .unwrap()
                .value,
        );
        // Without a path of the working port, the agent does not show which path is active: a path
        // that an operator made to the protection port alone looks like a switch-over (assumption
        // polatis.aps-live-by-path), and while neither port has a path the last state is kept.
        if b.active.path.0 == "2" || self.model.peer(1).is_some() {
            assert_eq!(gist_of_group(&a), gist_of_group(&b), "after {after}");
        }
    }

    async fn apply(&mut self, connect: &[CrossConnect], disconnect: &[Port]) {
        let i = self.any();
        let plan = self.plan(i, connect, disconnect).await;
        self.switch(i).apply(&plan).await.unwrap();
    }

    async fn set_monitor(&mut self) {
        let (i, port) = (self.rich(), Port(self.egress()));
        // The trigger's alarm is set at the beginning, so that cuts move light.
        let port = if port.0 == 17 { Port(18) } else { port };
        let (low, high) = (
            DecibelMilliwatts(self.tenths(-500..-200)),
            DecibelMilliwatts(self.tenths(0..200)),
        );
        let change = match self.dice.random_range(0..6) {
            0 => MonitorSetting::Wavelength(Nanometres(self.tenths(12_700..16_700))),
            1 => MonitorSetting::Averaging(
                *PowerMeter::meter_capabilities(&*self.model)
                    .averaging
                    .get(self.dice.random_range(0..8))
                    .unwrap(),
            ),
            2 => MonitorSetting::Alarms(AlarmLevels {
                low: Some(low),
                high: None,
            }),
            3 => MonitorSetting::Alarms(AlarmLevels {
                low: None,
                high: Some(high),
            }),
            4 => MonitorSetting::Alarms(AlarmLevels {
                low: Some(low),
                high: Some(high),
            }),
            _ => MonitorSetting::Alarms(AlarmLevels::default()),
        };
        self.opened[i]
            .power_meter()
            .unwrap()
            .set_monitor(port, &change)
            .await
            .unwrap();
    }

    async fn set_attenuation(&mut self) {
        let (i, port, reference) = (self.rich(), Port(self.egress()), Port(self.egress()));
        let wanted = match self.dice.random_range(0..4) {
            0 => Attenuation::Transparent,
            1 => Attenuation::Maximum,
            2 => Attenuation::OutputPower(DecibelMilliwatts(self.tenths(-300..0))),
            _ if reference == port => Attenuation::Maximum,
            _ => Attenuation::Relative {
                below: Decibels(self.tenths(0..100)),
                reference,
            },
        };
        self.opened[i]
            .attenuator()
            .unwrap()
            .set_attenuation(port, &wanted)
            .await
            .unwrap();
    }

    /// Every interface refuses the same wrong call in the same way, and nothing changes.
    async fn wrong_calls(&mut self) {
        self.model.remove(&[3, 4, 20, 21]).unwrap();
        let stale = self.plan(SCPI, &[CrossConnect::new(3, 20)], &[]).await;
        let other = SwitchState {
            device: Identity::new("another"),
            geometry: Geometry::matrix(N, N),
            connections: CrossConnects::dark(),
        }
        .plan()
        .to("1-17".parse().unwrap())
        .build()
        .unwrap();
        // An operator is faster.
        self.model.add(&[(3, 21), (4, 20)]).unwrap();
        let mut reported = Vec::new();
        for i in 0..3 {
            let (switch, meter) = (self.switch(i), self.opened[i].power_meter().unwrap());
            reported.push([
                gist(&switch.set_port(Port(0), false).await),
                gist(&switch.set_port(Port(2 * N + 1), false).await),
                gist(&switch.ports(&[Port(99)]).await),
                gist(&meter.power(&[Port(1)]).await),
                gist(&switch.apply(&stale).await),
                gist(&switch.apply(&other).await),
            ]);
        }
        let invalid = Some((ErrorKind::InvalidInput, Effect::None));
        assert_eq!(
            reported[SCPI],
            [
                invalid,
                invalid,
                invalid,
                invalid,
                Some((ErrorKind::StateChanged, Effect::None)),
                Some((ErrorKind::IdentityChanged, Effect::None))
            ]
        );
        assert!(
            reported.iter().all(|t| *t == reported[SCPI]),
            "{reported:?}"
        );
    }

    /// A switch that refuses does so over each interface, and says that nothing was done.
    async fn refusals(&mut self) {
        let mut reported = Vec::new();
        for i in 0..3 {
            let (ingress, egress) = (self.ingress(), self.egress());
            self.model.remove(&[ingress, egress]).unwrap();
            let plan = self
                .plan(i, &[CrossConnect::new(ingress, egress)], &[])
                .await;
            self.faults[i]
                .add("refuse=1".parse::<FaultSpec>().unwrap())
                .unwrap();
            reported.push([gist(&self.switch(i).apply(&plan).await), None]);
            self.faults[i]
                .add("refuse=1".parse::<FaultSpec>().unwrap())
                .unwrap();
            reported.last_mut().unwrap()[1] = gist(
                &self
                    .switch(i)
                    .set_port(Port(5), self.model.is_disabled(5))
                    .await,
            );
        }
        assert!(
            reported
                .iter()
                .flatten()
                .all(|t| *t == Some((ErrorKind::Refused, Effect::None))),
            "{reported:?}"
        );
        // Beyond what the switch can, which no public source bounds.
        let beyond = MonitorSetting::Wavelength(Nanometres(100.0));
        for i in [TL1, SNMP] {
            let reported = gist(
                &self.opened[i]
                    .power_meter()
                    .unwrap()
                    .set_monitor(Port(18), &beyond)
                    .await,
            );
            assert_eq!(
                reported,
                Some((ErrorKind::Refused, Effect::None)),
                "{}",
                NAMES[i]
            );
        }
        assert_eq!(
            gist(
                &self.opened[SCPI]
                    .power_meter()
                    .unwrap()
                    .set_monitor(Port(18), &beyond)
                    .await
            )
            .unwrap()
            .0,
            ErrorKind::Unsupported
        );
        assert_eq!(
            self.opened[SCPI].attenuator().err().unwrap().kind(),
            ErrorKind::Unsupported
        );
    }

    async fn group(&mut self) {
        let (group, switch) = (GroupId::from("1"), self.opened[SNMP].protection().unwrap());
        let mode = if self.dice.random() {
            SelectionMode::Manual
        } else {
            SelectionMode::Automatic
        };
        switch
            .set_protection(&group, &ProtectionSetting::Mode(mode))
            .await
            .unwrap();
        if mode == SelectionMode::Automatic {
            let command = if self.dice.random() {
                ExternalCommand::Lockout
            } else {
                ExternalCommand::Clear
            };
            switch.command(&group, &command).await.unwrap();
        }
    }

    async fn step(&mut self) -> String {
        let dice = self.dice.random_range(0..11);
        match dice {
            0 | 1 => {
                let connect = [CrossConnect::new(self.ingress(), self.egress())];
                self.apply(&connect, &[]).await;
            }
            2 => {
                let present: Vec<CrossConnect> = self.model.cross_connects().iter().collect();
                if let Some(c) = present.first() {
                    let port = if self.dice.random() {
                        c.ingress
                    } else {
                        c.egress
                    };
                    self.apply(&[], &[port]).await;
                }
            }
            3 => {
                // Several at once, over ports in use and free ones.
                let (from, to) = (self.dice.random_range(0..N), self.dice.random_range(0..N));
                let bulk: Vec<_> = (0..self.dice.random_range(2..N))
                    .map(|k| CrossConnect::new(1 + (from + k) % N, N + 1 + (to + k) % N))
                    .collect();
                self.apply(&bulk, &[]).await;
            }
            4 => {
                let (i, port) = (self.any(), Port(self.dice.random_range(1..=2 * N)));
                let enabled = self.dice.random();
                self.switch(i).set_port(port, enabled).await.unwrap();
            }
            5 => self.set_attenuation().await,
            6 => self.set_monitor().await,
            7 => self.wrong_calls().await,
            8 => self.refusals().await,
            9 => {
                // A cut, or light again.
                let (port, power) = (
                    self.ingress(),
                    if self.dice.random() {
                        -70.0
                    } else {
                        self.tenths(-200..50)
                    },
                );
                self.model.set_input_power(port, power);
                tokio::time::advance(Duration::from_secs(3)).await;
            }
            _ => self.group().await,
        }
        format!("operation {dice}")
    }
}

#[tokio::test(start_paused = true)]
async fn three_interfaces_show_the_same_switch() {
    for seed in (1..).take(scaled(3)) {
        let mut rig = rig(seed).await;
        let identity = rig.switch(SCPI).identity().await.unwrap();
        for (i, name) in NAMES.iter().enumerate() {
            assert_eq!(rig.switch(i).identity().await.unwrap(), identity, "{name}");
            assert_eq!(
                rig.switch(i).switch_capabilities().geometry,
                rig.model.geometry()
            );
            assert_eq!(
                rig.opened[i]
                    .power_meter()
                    .unwrap()
                    .meter_capabilities()
                    .monitors,
                PowerMeter::meter_capabilities(&*rig.model).monitors
            );
        }
        rig.agree("opening").await;
        for n in 0..80 {
            let what = rig.step().await;
            rig.agree(&format!("{what}, step {n} of seed {seed}")).await;
        }
    }
}
