//! Profiles of LEONI eol switches.

use super::LeoniEol;
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
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "leoni-eol",
    title: "LEONI eol 1×2, 1×4 or 2×2 switch on RS-232",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(ready(start(p, o))),
    in_memory,
}];

const BAUD: u32 = 57_600;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "model",
        help: "1x2 (default), 1x4 or 2x2",
        runtime: false,
    },
    Setting {
        name: "firmware",
        help: "firmware version: 3.27 (default), or v8.09 of a newer device, which has a type",
        runtime: false,
    },
    Setting {
        name: "family",
        help: "eol (default) or mol, for the type of a newer device",
        runtime: false,
    },
    Setting {
        name: "power-up",
        help: "position after a power failure, which is not published: first (default: channel 1) \
               or keep",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<LineProfile> {
    let model = options.text("model", "1x2");
    let geometry = match model {
        "1x2" => Geometry::one_by(2),
        "1x4" => Geometry::one_by(4),
        "2x2" => Geometry::Crossbar,
        _ => return Err(invalid(format!("model={model}: it is 1x2, 1x4 or 2x2"))),
    };
    let family = options.text("family", "eol");
    if !matches!(family, "eol" | "mol") {
        return Err(invalid(format!("family={family}: it is eol or mol")));
    }
    let clock = Clock::default();
    let identity = Identity::new("LEONI")
        .with_model(format!("{family} {model}"))
        .with_firmware(options.text("firmware", "3.27"));
    let switch = Arc::new(
        Switch::new(identity, geometry, clock.clone()).with_boot_mode(options.boot_mode()?),
    );
    let device = LeoniEol::new(Arc::clone(&switch));
    let faults = FaultInjector::new(options.seed, Some(switch as Arc<dyn ApplyDeviceFault>));
    let shown = device.clone();
    let controls = Controls::new([faults], move || shown.state());
    let service = Arc::new(move || Box::new(device.session()) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "leoni-eol",
        parameters: format!("model={model}"),
        controls,
        service,
        clock,
    })
}

fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    build(options)?.on_serial(profile, options, BAUD, "")
}

fn in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    Ok(build(options)?.in_memory(profile))
}
