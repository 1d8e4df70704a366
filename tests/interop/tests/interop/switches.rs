//! Switches: model through driver equals model direct, step by step, and faults end as the contract
//! says.

use qkd_driver_kit::OpenContext;
use qkd_emulators::{
    Clock, FaultInjector, FaultSpec,
    model::switch::Switch,
    server::memory::attach,
    vendor::{
        agiltron::{Agiltron, Model},
        polatis::scpi::PolatisScpi,
    },
    wire::{ByteService, Session},
};
use qkd_hal::{DeviceMisbehaved, Effect, ErrorKind, Identity, TransportFault, reading::Quality};
use qkd_interop::scaled;
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Port, PortState, PowerMeter,
    SwitchState,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

struct Rig {
    driven: Arc<dyn OpticalSwitch>,
    /// Of those that have monitors.
    meter: Option<Arc<dyn PowerMeter>>,
    model: Arc<Switch>,
    faults: FaultInjector,
}

const MATRIX: Geometry = Geometry::matrix(8, 8);

fn polatis_model() -> Arc<Switch> {
    let identity = Identity::new("Polatis")
        .with_model("N-OST-8x8-LA1-DMHNS")
        .with_serial("002414")
        .with_firmware("6.5.2.18");
    Arc::new(Switch::new(identity, MATRIX, Clock::default()))
}

async fn rig(uri: &str, model: Arc<Switch>, service: Arc<dyn ByteService>) -> Rig {
    let faults = FaultInjector::new(
        7,
        Some(Arc::clone(&model) as Arc<dyn qkd_emulators::fault::ApplyDeviceFault>),
    );
    let context = OpenContext::new().with_memory(
        "device",
        attach("device", service, faults.clone(), Clock::default()),
    );
    let opened = qkd_hardware::registry().open(uri, &context).await.unwrap();
    Rig {
        driven: opened.switch().unwrap(),
        meter: opened.power_meter().ok(),
        model,
        faults,
    }
}

async fn polatis() -> Rig {
    let model = polatis_model();
    let wire = PolatisScpi::new(Arc::clone(&model));
    rig(
        "polatis+mem://device?deadline=2s",
        model,
        Arc::new(move || Box::new(wire.session()) as Box<dyn Session>),
    )
    .await
}

async fn agiltron(which: Model, name: &str) -> Rig {
    let model = Arc::new(Switch::new(
        Identity::new("Agiltron"),
        Geometry::one_by(8),
        Clock::default(),
    ));
    let wired = Arc::clone(&model);
    let service =
        Arc::new(move || Box::new(Agiltron::new(which, Arc::clone(&wired))) as Box<dyn Session>);
    rig(
        &format!("agiltron+mem://device?model={name}&channels=8&deadline=2s"),
        model,
        service,
    )
    .await
}

async fn plan(switch: &dyn OpticalSwitch, connect: &[CrossConnect], disconnect: &[Port]) -> Plan {
    let geometry = switch.switch_capabilities().geometry;
    let present = switch.connections().await.unwrap().value;
    let wanted = present
        .with_changes(&geometry, disconnect, connect)
        .unwrap();
    switch.plan().to(wanted.clone()).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_polatis_through_its_driver_is_the_model() {
    let rig = polatis().await;
    let (driven, model) = (&*rig.driven, &*rig.model);
    let direct: &dyn OpticalSwitch = model;
    let mut dice = ChaCha8Rng::seed_from_u64(11);
    assert_eq!(
        driven.identity().await.unwrap(),
        direct.identity().await.unwrap()
    );
    assert_eq!(
        driven.switch_capabilities().geometry,
        direct.switch_capabilities().geometry
    );
    assert_eq!(
        rig.meter.as_ref().unwrap().meter_capabilities().monitors,
        model.meter_capabilities().monitors
    );
    for _ in 0..scaled(150) {
        match dice.random_range(0..5) {
            0 => {
                // A reader of the model and a reader of the wire see the same, though a driver made
                // the change.
                let connect = [CrossConnect::new(
                    dice.random_range(1..9),
                    dice.random_range(9..17),
                )];
                driven
                    .apply(&plan(driven, &connect, &[]).await)
                    .await
                    .unwrap();
            }
            1 => {
                // And the other way round.
                let connect = [CrossConnect::new(
                    dice.random_range(1..9),
                    dice.random_range(9..17),
                )];
                direct
                    .apply(&plan(direct, &connect, &[]).await)
                    .await
                    .unwrap();
            }
            2 => {
                if let Some(c) = model.cross_connects().iter().next() {
                    driven
                        .apply(&plan(driven, &[], &[c.egress]).await)
                        .await
                        .unwrap();
                }
            }
            3 => driven
                .set_port(Port(dice.random_range(1..17)), dice.random())
                .await
                .unwrap(),
            _ => model.set_input_power(
                dice.random_range(1..9),
                f64::from(dice.random_range(-300..50)) / 10.0,
            ),
        }
        assert_eq!(
            driven.connections().await.unwrap().value,
            direct.connections().await.unwrap().value
        );
        let (through, direct) = (
            driven.ports(&[]).await.unwrap(),
            direct.ports(&[]).await.unwrap(),
        );
        for (a, b) in through.iter().zip(&direct) {
            assert_eq!((a.port, a.state, a.peer), (b.port, b.state, b.peer));
        }
        assert_eq!(through.len(), direct.len());
        let monitors: Vec<Port> = rig
            .meter
            .as_ref()
            .unwrap()
            .meter_capabilities()
            .monitors
            .iter()
            .copied()
            .collect();
        for (a, b) in rig
            .meter
            .as_ref()
            .unwrap()
            .power(&monitors)
            .await
            .unwrap()
            .iter()
            .zip(model.power(&monitors).await.unwrap())
        {
            // The wire has one decimal.
            assert!(
                (a.value.0 - b.value.0).abs() <= 0.0501,
                "{} {}",
                a.value,
                b.value
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agiltron_ff_through_its_driver_is_the_model() {
    let rig = agiltron(Model::Ff, "ff").await;
    for channel in [3, 8, 1, 1, 5] {
        let moved = plan(&*rig.driven, &[CrossConnect::new(0, channel)], &[]).await;
        rig.driven.apply(&moved).await.unwrap();
        assert_eq!(rig.model.peer(0), Some(channel));
        let now = rig.driven.connections().await.unwrap();
        assert_eq!(
            (now.value, now.quality),
            (rig.model.cross_connects(), Quality::Good)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_self_align_switch_never_reports_an_unread_state() {
    let rig = agiltron(Model::SelfAlign, "selfalign").await;
    assert_eq!(
        rig.driven.connections().await.unwrap_err().kind(),
        ErrorKind::NotReady,
        "nothing is known before the first acknowledgement"
    );
    let identity = rig
        .driven
        .identity()
        .await
        .unwrap_or_else(|_| Identity::new("Agiltron"));
    let wanted: CrossConnects = "common-6".parse().unwrap();
    let blind = Plan::unverified(&identity, &Geometry::one_by(8), &wanted).unwrap();
    let applied = rig.driven.apply(&blind).await.unwrap();
    assert!(!applied.verified, "an acknowledgement is not a reading");
    assert_eq!(rig.model.peer(0), Some(6));
    let now = rig.driven.connections().await.unwrap();
    assert_eq!((now.value, now.quality), (wanted, Quality::Stale));
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_an_outdated_state_changes_nothing() {
    let rig = polatis().await;
    let old = plan(&*rig.driven, &[CrossConnect::new(1, 9)], &[]).await;
    rig.model.add(&[(1, 10)]).unwrap();
    let error = rig.driven.apply(&old).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::StateChanged, Effect::None)
    );
    assert_eq!(rig.model.cross_connects().to_string(), "1-10");
    // On other ports, another controller may make any change.
    let new = plan(&*rig.driven, &[CrossConnect::new(1, 9)], &[]).await;
    rig.model.add(&[(4, 12)]).unwrap();
    rig.driven.apply(&new).await.unwrap();
    assert_eq!(rig.model.cross_connects().to_string(), "1-9,4-12");
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_another_device_is_refused() {
    let rig = polatis().await;
    let other = Identity::new("Polatis")
        .with_model("N-OST-8x8-LA1-DMHNS")
        .with_serial("000001");
    let plan = SwitchState {
        device: other.clone(),
        geometry: MATRIX,
        connections: CrossConnects::dark(),
    }
    .plan()
    .to("1-9".parse().unwrap())
    .build()
    .unwrap();
    let error = rig.driven.apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::IdentityChanged, Effect::None)
    );
    assert!(rig.model.cross_connects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_reports_exactly_the_completed_steps() {
    let rig = polatis().await;
    rig.model.add(&[(1, 9), (2, 10)]).unwrap();
    let swap = plan(
        &*rig.driven,
        &[CrossConnect::new(1, 10), CrossConnect::new(2, 9)],
        &[],
    )
    .await;
    rig.faults
        .add("refuse=1".parse::<FaultSpec>().unwrap())
        .unwrap();
    let error = rig.driven.apply(&swap).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let unchanged = rig.model.cross_connects().to_string() == "1-9,2-10";
    assert_eq!(
        error.effect(),
        if unchanged {
            Effect::None
        } else {
            Effect::Partial
        },
        "{error}"
    );
    assert!(error.message().contains("done:"), "{error}");
    rig.driven
        .apply(
            &plan(
                &*rig.driven,
                &[CrossConnect::new(1, 10), CrossConnect::new(2, 9)],
                &[],
            )
            .await,
        )
        .await
        .unwrap();
    assert_eq!(rig.model.cross_connects().to_string(), "1-10,2-9");
}

#[tokio::test(start_paused = true)]
async fn ports_out_of_range_never_reach_the_wire() {
    let rig = polatis().await;
    for port in [0, 17, u32::MAX] {
        assert_eq!(
            rig.driven.ports(&[Port(port)]).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            rig.driven
                .set_port(Port(port), false)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(
        rig.meter
            .as_ref()
            .unwrap()
            .power(&[Port(1)])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput,
        "an ingress port has no monitor here"
    );
    assert!((1..17).all(|p| rig.model.port_state(p) == PortState::Enabled));
}

/// Every fault of the wire, on a reading and on a change: the call ends within its deadline with a
/// typed error or the right answer, and the next one works.
#[tokio::test(start_paused = true)]
async fn every_fault_of_the_wire_ends_typed_and_the_next_call_works() {
    let mut kinds = BTreeSet::new();
    for fault in [
        "drop",
        "reorder=3s",
        "duplicate",
        "truncate",
        "corrupt",
        "reset",
        "throttle",
        "flood",
        "delay=5s",
        "delay=100ms",
    ] {
        for change in [false, true] {
            let rig = polatis().await;
            rig.model.add(&[(1, 9)]).unwrap();
            let step = plan(&*rig.driven, &[CrossConnect::new(2, 10)], &[]).await;
            let begun = tokio::time::Instant::now();
            rig.faults
                .add(format!("{fault}@once").parse::<FaultSpec>().unwrap())
                .unwrap();
            let outcome = if change {
                rig.driven.apply(&step).await.map(|_| ())
            } else {
                rig.driven
                    .connections()
                    .await
                    .map(|now| assert_eq!(now.value.to_string(), "1-9", "{fault}"))
            };
            assert!(
                begun.elapsed() <= Duration::from_secs(7),
                "{fault}: a change is several exchanges, of which one may time out"
            );
            if let Err(error) = outcome {
                kinds.insert(error.kind().name());
                let known = matches!(
                    error.kind(),
                    ErrorKind::Timeout
                        | ErrorKind::Transport(
                            TransportFault::HungUp
                                | TransportFault::Framing
                                | TransportFault::Overrun
                        )
                        | ErrorKind::Unreachable
                ) || matches!(
                    error.kind(),
                    ErrorKind::Misbehaved(
                        DeviceMisbehaved::UnexpectedReply
                            | DeviceMisbehaved::ReplyForAnotherRequest
                            | DeviceMisbehaved::ValueOutOfRange
                            | DeviceMisbehaved::UnsolicitedData
                    )
                );
                assert!(known, "{fault}: {error}");
                let moved = rig.model.cross_connects().to_string() != "1-9";
                assert!(
                    !moved || error.effect() != Effect::None,
                    "{fault}: the device changed, and the error denies it: {error}"
                );
            }
            rig.faults
                .add("clear".parse::<FaultSpec>().unwrap())
                .unwrap();
            tokio::time::sleep(Duration::from_secs(4)).await;
            let now = rig
                .driven
                .connections()
                .await
                .unwrap_or_else(|e| panic!("{fault}: the next call fails: {e}"));
            assert_eq!(now.value, rig.model.cross_connects(), "{fault}");
        }
    }
    assert!(
        kinds.contains("timeout") && kinds.contains("transport"),
        "{kinds:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn another_switch_after_a_reconnect_closes_the_handle() {
    let rig = polatis().await;
    rig.faults
        .add("identity=999999".parse::<FaultSpec>().unwrap())
        .unwrap();
    rig.faults
        .add("reset@once".parse::<FaultSpec>().unwrap())
        .unwrap();
    let _ = rig.driven.connections().await;
    let error = rig.driven.connections().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityChanged, "{error}");
    assert_eq!(
        rig.driven
            .apply(
                &SwitchState {
                    device: rig.model.base().identity(),
                    geometry: MATRIX,
                    connections: CrossConnects::dark()
                }
                .plan()
                .to("1-9".parse().unwrap())
                .build()
                .unwrap()
            )
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::IdentityChanged
    );
    assert!(rig.model.cross_connects().is_empty());
}
