//! Protection switches: model through driver equals model direct, over a random programme of
//! settings, commands and cuts.

use qkd_driver_kit::{OpenContext, link::memory::Endpoint};
use qkd_emulators::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
        protection::{Group, Input, ProtectionSwitch},
    },
    vendor::{fs_olp, packetlight, scte_hms},
    wire::snmp::{NodeOptions, SnmpAgent},
};
use qkd_hal::{ErrorKind, Identity, units::DecibelMilliwatts};
use qkd_interop::scaled;
use qkd_switch_hal::{
    Geometry, SwitchCapabilities,
    protection::{
        ExternalCommand, ExternalCommandKind, GroupId, PathId, Protection, ProtectionCapabilities,
        ProtectionSetting, ProtectionStatus, SelectionMode, SettingKind, SwitchRequest,
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{sync::Arc, time::Duration};

struct Rig {
    driven: Arc<dyn Protection>,
    model: Arc<ProtectionSwitch>,
    group: GroupId,
    /// One that the device's own times are whole multiples of.
    second: Duration,
}

const MAX_WAIT_TO_RESTORE: Duration = Duration::from_secs(i32::MAX as u64);

fn limits(commands: &[ExternalCommandKind]) -> ProtectionCapabilities {
    ProtectionCapabilities::new(
        &[
            SettingKind::Mode,
            SettingKind::Preferred,
            SettingKind::Revertive,
            SettingKind::WaitToRestore,
            SettingKind::Threshold,
        ],
        commands,
    )
    .with_wait_to_restore(Duration::ZERO..=MAX_WAIT_TO_RESTORE, Duration::from_secs(1))
    .with_threshold(DecibelMilliwatts(-99.0)..=DecibelMilliwatts(99.0))
}

fn inputs() -> Vec<Input> {
    vec![Input::new(-5.0, -25.0), Input::new(-6.0, -25.0)]
}

async fn rig(uri: &str, model: Arc<ProtectionSwitch>, agent: Arc<dyn SnmpAgent>) -> Rig {
    let registry = qkd_hardware::registry();
    let all: Vec<String> = registry
        .drivers()
        .flat_map(|d| d.info().assumptions)
        .map(|a| a.id.to_string())
        .collect();
    let context = OpenContext::new()
        .with_memory("device", Endpoint::Snmp(agent))
        .with_accepted_assumptions(all);
    let driven = registry
        .open(uri, &context)
        .await
        .unwrap()
        .protection()
        .unwrap();
    let group = driven.groups().await.unwrap().remove(0);
    let second = driven.protection_capabilities().wait_step;
    Rig {
        driven,
        model,
        group,
        second,
    }
}

async fn hms(kind: scte_hms::Kind) -> Rig {
    let paths = kind
        .paths()
        .iter()
        .map(|(name, _, needs)| ((*name).to_owned(), needs.to_vec()))
        .collect();
    let group = Group::with_path_inputs(paths, inputs());
    let geometry = if kind == scte_hms::Kind::Ab {
        Geometry::one_by(2)
    } else {
        Geometry::Crossbar
    };
    let limits = limits(&[ExternalCommandKind::Force, ExternalCommandKind::Manual]);
    let model = ProtectionSwitch::new(
        Identity::new("SCTE HMS"),
        limits,
        vec![("1".into(), group)],
        Clock::default(),
    )
    .with_switch(SwitchCapabilities::new(geometry));
    let model = Arc::new(model);
    let agent = scte_hms::agent(
        Arc::clone(&model),
        kind,
        NodeOptions::named("hms", scte_hms::ENTERPRISE),
    );
    rig("scte-hms+mem://device", model, agent).await
}

async fn card() -> Rig {
    let groups = vec![("2".into(), Group::of(&fs_olp::PATHS, inputs()))];
    let model = Arc::new(ProtectionSwitch::new(
        Identity::new("FS.com").with_serial("G1"),
        limits(&[ExternalCommandKind::Force, ExternalCommandKind::Manual]),
        groups,
        Clock::default(),
    ));
    let agent = fs_olp::agent(
        Arc::clone(&model),
        Duration::from_secs(1),
        NodeOptions::named("oap", fs_olp::ENTERPRISE),
    );
    rig(
        "fs-olp+mem://device?delay-unit=s&power-scale=0.01&poll=off",
        model,
        agent,
    )
    .await
}

async fn packet_light() -> Rig {
    let uplink = 1_295_104;
    let ports = packetlight::Ports {
        user: [uplink - 256, uplink - 128],
        net: [uplink, uplink + 128],
    };
    let mut group = Group::of(&packetlight::PATHS, inputs());
    group.wait_to_restore = Duration::from_secs(300);
    let identity = Identity::new("PacketLight").with_serial("PL0");
    let limits = limits(&[
        ExternalCommandKind::Clear,
        ExternalCommandKind::Lockout,
        ExternalCommandKind::Force,
        ExternalCommandKind::Manual,
    ]);
    let groups = vec![(GroupId(ports.user[0].to_string()), group)];
    let model = Arc::new(ProtectionSwitch::new(
        identity.clone(),
        limits,
        groups,
        Clock::default(),
    ));
    let link = ForcedRekeyLink::new(Clock::default(), b"secret");
    let options = packetlight::Options {
        protection: Some((ports, Arc::clone(&model))),
        ..packetlight::Options::named("pl-0")
    };
    let agent = packetlight::agent(
        Arc::new(ForcedRekeyEndpoint::new(link, 0, "uplink-1", identity)),
        options,
    );
    rig("packetlight+mem://device?psk-encoding=hex", model, agent).await
}

/// Fields that both must report equally. No device reports the complete reason for the active path,
/// and drivers derive it from the present state: the model, which has a history, may name a command
/// from before the mode was changed, or that no request was due when all paths failed together.
fn same(driven: &ProtectionStatus, direct: &ProtectionStatus, after: &str) {
    let reported = |s: &ProtectionStatus| {
        (
            s.mode,
            s.active.path.clone(),
            s.revertive,
            s.wait_to_restore,
        )
    };
    assert_eq!(reported(driven), reported(direct), "after {after}");
    let all_well = direct.paths.iter().all(|p| p.failed == Some(false));
    let remembered = direct.mode == SelectionMode::Automatic
        && (!all_well || direct.active.request == SwitchRequest::ManualSwitch);
    assert!(
        remembered || driven.active.request == direct.active.request,
        "after {after}: {:?}, {:?}",
        driven.active,
        direct.active
    );
    let failed = |s: &ProtectionStatus| {
        s.paths
            .iter()
            .map(|p| (p.path.clone(), p.failed))
            .collect::<Vec<_>>()
    };
    let (mut one, mut other) = (failed(driven), failed(direct));
    one.sort();
    other.sort();
    assert_eq!(one, other, "after {after}");
    for path in &driven.paths {
        let model = direct.path(&path.path).unwrap();
        assert!(
            path.threshold.is_none() || path.threshold == model.threshold,
            "after {after}: {path:?}, {model:?}"
        );
    }
}

/// One more step of a programme; what it was.
async fn step(rig: &Rig, dice: &mut ChaCha8Rng, through: bool) -> String {
    let (driven, direct): (&dyn Protection, &dyn Protection) = (&*rig.driven, &*rig.model);
    let target = if through { driven } else { direct };
    let paths: Vec<PathId> = driven
        .protection(&rig.group)
        .await
        .unwrap()
        .value
        .paths
        .into_iter()
        .map(|p| p.path)
        .collect();
    let path = paths[dice.random_range(0..paths.len())].clone();
    let capabilities = driven.protection_capabilities();
    let setting = match dice.random_range(0..9) {
        0 | 1 => ProtectionSetting::Mode(if dice.random() {
            SelectionMode::Automatic
        } else {
            SelectionMode::Manual
        }),
        2 => ProtectionSetting::Preferred(path),
        3 => ProtectionSetting::Revertive(dice.random()),
        4 => ProtectionSetting::WaitToRestore(rig.second * dice.random_range(1..5)),
        5 => ProtectionSetting::Threshold {
            path,
            level: DecibelMilliwatts(f64::from(dice.random_range(-30..-20))),
        },
        6 => {
            let fault = if dice.random() {
                DeviceFault::Cut(Some(format!("{}/{path}", rig.group)))
            } else {
                DeviceFault::Clear
            };
            let text = format!("{fault:?}");
            rig.model.apply(&fault).unwrap();
            return text;
        }
        7 => {
            tokio::time::sleep(rig.second).await;
            return "a while".to_owned();
        }
        _ => {
            let command = match dice.random_range(0..4) {
                0 => ExternalCommand::Clear,
                1 => ExternalCommand::Lockout,
                2 => ExternalCommand::Force(path),
                _ => ExternalCommand::Manual(path),
            };
            let takes = capabilities.commands.contains(&command.kind());
            let now = direct.protection(&rig.group).await.unwrap().value;
            // A device without lasting commands accepts them in manual mode only, and one with them
            // in automatic mode only.
            let mode = if capabilities.commands.contains(&ExternalCommandKind::Clear) {
                SelectionMode::Automatic
            } else {
                SelectionMode::Manual
            };
            let expected = match (takes, now.permits(&command)) {
                (false, _) => Some(ErrorKind::InvalidInput),
                (true, Err(error)) => Some(error.kind()),
                (true, Ok(())) if now.mode != mode && command != ExternalCommand::Clear => {
                    Some(ErrorKind::NotReady)
                }
                (true, Ok(())) => None,
            };
            let got = driven.command(&rig.group, &command).await.err();
            assert_eq!(
                got.as_ref().map(qkd_hal::Error::kind),
                expected,
                "{command}: {got:?}"
            );
            return command.to_string();
        }
    };
    if capabilities.settings.contains(&setting.kind()) {
        target.set_protection(&rig.group, &setting).await.unwrap();
    }
    setting.to_string()
}

async fn programme(rig: Rig, seed: u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut done = Vec::new();
    for turn in 0..scaled(400) {
        let through = dice.random();
        done.push(step(&rig, &mut dice, through).await);
        let driven = rig.driven.protection(&rig.group).await.unwrap().value;
        let direct = rig.model.protection(&rig.group).await.unwrap().value;
        same(
            &driven,
            &direct,
            &format!("turn {turn} of {:?}", &done[done.len().saturating_sub(6)..]),
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_a_b_switch_through_its_driver_is_the_model() {
    programme(hms(scte_hms::Kind::Ab).await, 21).await;
}

#[tokio::test(start_paused = true)]
async fn a_crossbar_through_its_driver_is_the_model() {
    programme(hms(scte_hms::Kind::TwoByTwo).await, 22).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_protection_card_through_its_driver_is_the_model() {
    programme(card().await, 23).await;
}

#[tokio::test(start_paused = true)]
async fn optical_protection_through_its_driver_is_the_model() {
    programme(packet_light().await, 24).await;
}
