//! JDS Uniphase SB switches.

use super::{Codes, JdsuSb};
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
    name: "jdsu-sb",
    title: "JDS Uniphase SB 1×N switch on RS-232",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(ready(start(p, o))),
    in_memory,
}];

const BAUD: u32 = 1200;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "channels",
        help: "how many channels, at most 48; default 16",
        runtime: false,
    },
    Setting {
        name: "firmware",
        help: "firmware version; default 2.00",
        runtime: false,
    },
    Setting {
        name: "parameter-error-code",
        help: "number of a parameter error in LERR?, which is not public; default 200",
        runtime: false,
    },
    Setting {
        name: "syntax-error-code",
        help: "number of a syntax error in LERR?, which is not public; default 100",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<LineProfile> {
    let code = |name, default| {
        options.number(name, default).and_then(|code| {
            if (1..=999).contains(&code) {
                Ok(code)
            } else {
                Err(invalid(format!("{name}={code}: it has three digits")))
            }
        })
    };
    let Codes { syntax, parameter } = Codes::default();
    let codes = Codes {
        syntax: code("syntax-error-code", syntax)?,
        parameter: code("parameter-error-code", parameter)?,
    };
    let channels = options.channels(16, 48)?;
    let identity = Identity::new("JDS Uniphase")
        .with_model("SB Switch")
        .with_firmware(options.text("firmware", "2.00"));
    let clock = Clock::default();
    let device = JdsuSb::new(
        Arc::new(Switch::new(
            identity,
            Geometry::OneByN {
                channels,
                dark: true,
            },
            clock.clone(),
        )),
        codes,
    );
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::new(device.clone()) as Arc<dyn ApplyDeviceFault>),
    );
    let shown = device.clone();
    let controls = Controls::new([faults], move || shown.state());
    let service = Arc::new(move || Box::new(device.session()) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "jdsu-sb",
        parameters: String::new(),
        controls,
        service,
        clock,
    })
}

fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    // A pseudo-terminal has no CTS.
    build(options)?.on_serial(profile, options, BAUD, "flow=none")
}

fn in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    Ok(build(options)?.in_memory(profile))
}
