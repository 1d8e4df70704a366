//! Profiles of Thorlabs OSW switches.

use super::ThorlabsOsw;
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::switch::Switch,
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, controls::Controls,
        line::LineProfile, options::invalid,
    },
    wire::Session,
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{future::ready, io, sync::Arc};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "thorlabs-osw12",
        title: "Thorlabs OSW12 1×2 MEMS switch on its USB serial port",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(ready(start(p, o, &OSW12))),
        in_memory: |p, o| in_memory(p, o, &OSW12),
    },
    Profile {
        name: "thorlabs-osw22",
        title: "Thorlabs OSW22 2×2 MEMS switch on its USB serial port",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(ready(start(p, o, &OSW22))),
        in_memory: |p, o| in_memory(p, o, &OSW22),
    },
];

const BAUD: u32 = 115_200;

/// Product of the family.
struct Kind {
    /// The URI's word for it.
    word: &'static str,
    /// Reported type of the device.
    code: &'static str,
    geometry: Geometry,
}

const OSW12: Kind = Kind {
    word: "osw12",
    code: "OSW12-1310E",
    geometry: Geometry::one_by(2),
};
const OSW22: Kind = Kind {
    word: "osw22",
    code: "OSW22-1310E",
    geometry: Geometry::Crossbar,
};

const SETTINGS: &[Setting] = &[
    Setting {
        name: "type",
        help: "reply to T?; default: the product's code",
        runtime: false,
    },
    Setting {
        name: "firmware",
        help: "reply to I?; default: OSW board, firmware 1.0",
        runtime: false,
    },
    Setting {
        name: "startup",
        help: "for how long after it was opened it does not hear; default 1s",
        runtime: false,
    },
    Setting {
        name: "power-up",
        help: "position after a power failure, which is not published: first (default: port 1, or \
               bar) or keep",
        runtime: false,
    },
    Setting {
        name: "stale-reads",
        help: "number of replies to S? with the old state after a set; default 1",
        runtime: true,
    },
];

fn build(options: &Options, kind: &Kind) -> io::Result<LineProfile> {
    let startup = options.text("startup", "1s");
    let startup = humantime::parse_duration(startup)
        .map_err(|e| invalid(format!("startup={startup}: {e}")))?;
    let clock = Clock::default();
    let identity = Identity::new("Thorlabs")
        .with_model(options.text("type", kind.code))
        .with_firmware(options.text("firmware", "OSW board, firmware 1.0"));
    let switch = Arc::new(
        Switch::new(identity, kind.geometry, clock.clone()).with_boot_mode(options.boot_mode()?),
    );
    let device = ThorlabsOsw::new(Arc::clone(&switch), startup);
    device.set_stale_read_count(options.number("stale-reads", 1)?);
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::new(device.clone()) as Arc<dyn ApplyDeviceFault>),
    );
    let mut controls = Controls::new([faults], move || switch.state());
    let at_runtime = device.clone();
    controls.add_runtime_setting("stale-reads", move |value| {
        at_runtime.set_stale_read_count(
            value
                .parse()
                .map_err(|_| format!("stale-reads={value}: not a valid number"))?,
        );
        Ok(())
    });
    let service = Arc::new(move || Box::new(device.session()) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "thorlabs-osw",
        parameters: format!("model={}", kind.word),
        controls,
        service,
        clock,
    })
}

fn start(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<RunningEmulator> {
    // A pseudo-terminal has no CTS.
    build(options, kind)?.on_serial(profile, options, BAUD, "flow=none")
}

fn in_memory(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<InMemory> {
    Ok(build(options, kind)?.in_memory(profile))
}
