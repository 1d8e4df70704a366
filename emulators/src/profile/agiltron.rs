//! Profiles of Agiltron switches.

use super::{
    InMemory, Options, Profile, RunningEmulator, Setting, controls::Controls, line::LineProfile,
};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::switch::Switch,
    wire::{
        Session,
        agiltron::{Agiltron, Model},
    },
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{io, sync::Arc};

const BAUD: u32 = 9600;

/// Product of the family.
pub(super) struct Kind {
    model: Model,
    /// The URI's word for it.
    word: &'static str,
    /// Default number of channels.
    channels: u32,
    pub(super) settings: &'static [Setting],
}

pub(super) static FF: Kind = Kind {
    model: Model::Ff,
    word: "ff",
    channels: 4,
    settings: &[Setting {
        name: "channels",
        help: "how many channels; default 4",
        live: false,
    }],
};
pub(super) static SELF_ALIGN: Kind = Kind {
    model: Model::SelfAlign,
    word: "selfalign",
    channels: 16,
    settings: &[Setting {
        name: "channels",
        help: "how many channels; default 16",
        live: false,
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

pub(super) fn start(
    profile: &'static Profile,
    options: &Options,
    kind: &Kind,
) -> io::Result<RunningEmulator> {
    build(options, kind)?.on_serial(profile, options, BAUD, "")
}

pub(super) fn in_memory(
    profile: &'static Profile,
    options: &Options,
    kind: &Kind,
) -> io::Result<InMemory> {
    Ok(build(options, kind)?.in_memory(profile))
}
