//! Profiles of Agiltron switches.

use super::{Agiltron, Model};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::switch::Switch,
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, controls::Controls, line::LineProfile,
    },
    wire::Session,
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{future::ready, io, sync::Arc};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "agiltron-ff",
        title: "Agiltron FF 1×N switch on a serial line",
        settings: FF.settings,
        has_wire: true,
        start: |p, o| Box::pin(ready(start(p, o, &FF))),
        in_memory: |p, o| in_memory(p, o, &FF),
    },
    Profile {
        name: "agiltron-selfalign",
        title: "Agiltron SelfAlign 1×N switch on a serial line",
        settings: SELF_ALIGN.settings,
        has_wire: true,
        start: |p, o| Box::pin(ready(start(p, o, &SELF_ALIGN))),
        in_memory: |p, o| in_memory(p, o, &SELF_ALIGN),
    },
];

const BAUD: u32 = 9600;

/// Product of the family.
struct Kind {
    model: Model,
    /// The URI's word for it.
    word: &'static str,
    /// Default number of channels.
    channels: u32,
    settings: &'static [Setting],
}

const FF: Kind = Kind {
    model: Model::Ff,
    word: "ff",
    channels: 4,
    settings: &[Setting {
        name: "channels",
        help: "how many channels; default 4",
        runtime: false,
    }],
};
const SELF_ALIGN: Kind = Kind {
    model: Model::SelfAlign,
    word: "selfalign",
    channels: 16,
    settings: &[Setting {
        name: "channels",
        help: "how many channels; default 16",
        runtime: false,
    }],
};

fn build(options: &Options, kind: &Kind) -> io::Result<LineProfile> {
    let model = kind.model;
    // The frame has one byte for the channel.
    let channels = options.channels(kind.channels, 255)?;
    let clock = Clock::default();
    let switch = Arc::new(Switch::new(
        Identity::new("Agiltron"),
        Geometry::one_by(channels),
        clock.clone(),
    ));
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::clone(&switch) as Arc<dyn ApplyDeviceFault>),
    );
    let shown = Arc::clone(&switch);
    let controls = Controls::new([faults], move || shown.state());
    let service =
        Arc::new(move || Box::new(Agiltron::new(model, Arc::clone(&switch))) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "agiltron",
        parameters: format!("model={}&channels={channels}", kind.word),
        controls,
        service,
        clock,
    })
}

fn start(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<RunningEmulator> {
    build(options, kind)?.on_serial(profile, options, BAUD, "")
}

fn in_memory(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<InMemory> {
    Ok(build(options, kind)?.in_memory(profile))
}
