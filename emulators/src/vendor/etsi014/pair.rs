//! A linked pair of QKD modules and its two KMEs: shared by the profile of this folder, and by that
//! of Veriqloud, whose key delivery is ETSI GS QKD 014 too.

use super::MemoryFrontEnd;
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::{
        optics::Fibre,
        qkd::{LinkConfig, QkdLink},
    },
    profile::{Options, Sae, Setting, controls::Controls, options::invalid},
};
use qkd_driver_kit::link::memory::Endpoint;
use qkd_northbound_etsi014::{KeyIdForm, Kme, KmeConfig};
use std::{io, sync::Arc, time::Duration};

/// IDs of the master and the slave SAE.
pub(crate) const MASTER: &str = "sae-alice";
pub(crate) const SLAVE: &str = "sae-bob";

pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "length",
        help: "fibre between the ends, in km; default 25; a change begins the initialisation anew",
        runtime: true,
    },
    Setting {
        name: "time-factor",
        help: "how much faster than real the model's time runs; default 1",
        runtime: false,
    },
    Setting {
        name: "stored",
        help: "keys stored at the beginning, in bits; default 5120000",
        runtime: false,
    },
    Setting {
        name: "running",
        help: "whether the link generates keys from the beginning: true (default) or false",
        runtime: false,
    },
    Setting {
        name: "key-size",
        help: "default size of a key, in bits; default 256 (Qline: 512)",
        runtime: false,
    },
    Setting {
        name: "max-per-request",
        help: "the most keys of one request; default 128",
        runtime: false,
    },
    Setting {
        name: "unknown-key-status",
        help: "status for an unknown key id: 400 (default, the standard's) or another that a KME \
               is known to answer, such as 404",
        runtime: false,
    },
    Setting {
        name: "key-id-form",
        help: "spelling of key ids: uuid (default, read in any spelling), hex, upper-case or \
               token (read as they were given out only)",
        runtime: false,
    },
    Setting {
        name: "twin-lifetime",
        help: "time in s for which a taken key's twin waits for its slave; default 3600; then it \
               is destroyed and counted",
        runtime: true,
    },
    Setting {
        name: "certificate",
        help: "certificate of the servers: valid (default), version-1, self-signed, other-name, \
               no-name, expired, not-yet-valid or unknown-issuer",
        runtime: false,
    },
    Setting {
        name: "post-refusal",
        help: "status with which POST is refused, such as 405, 404 or 501; default: POST is served",
        runtime: false,
    },
];

/// A linked pair and what `--set` says of it.
pub(crate) fn link(options: &Options) -> io::Result<Arc<QkdLink>> {
    let length: f64 = options.number("length", 25.0)?;
    let config = LinkConfig {
        fibre: fibre(length).map_err(invalid)?,
        stored: options.number("stored", LinkConfig::default().stored)?,
        running: options.flag("running", true)?,
        ..LinkConfig::default()
    };
    let link = QkdLink::new(
        config,
        Clock::scaled(options.number("time-factor", 1.0)?),
        options.seed,
    );
    link.set_twin_lifetime(twin_lifetime(options.text("twin-lifetime", "3600")).map_err(invalid)?);
    Ok(link)
}

fn twin_lifetime(seconds: &str) -> Result<Duration, String> {
    let parsed = seconds.parse().ok();
    parsed
        .filter(|s| (1..=31_536_000).contains(s))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("twin-lifetime={seconds}: it is 1 to 31536000 s"))
}

fn fibre(length: f64) -> Result<Fibre, String> {
    if (0.0..=500.0).contains(&length) {
        Ok(Fibre::with_length(length))
    } else {
        Err(format!("length={length}: it is 0 to 500 km"))
    }
}

fn key_id_form(name: &str) -> io::Result<KeyIdForm> {
    let found = KeyIdForm::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, form)| *form).ok_or_else(|| {
        let known = KeyIdForm::ALL.map(|(name, _)| name).join(", ");
        invalid(format!("key-id-form={name}: it is one of {known}"))
    })
}

/// Both KMEs of a pair.
pub(crate) fn kmes(
    link: &Arc<QkdLink>,
    options: &Options,
    key_size: u64,
) -> io::Result<[Arc<Kme>; 2]> {
    let config = |id: &str, peer: &str, local: &str, remote: &str| -> io::Result<KmeConfig> {
        let mut config = KmeConfig::new(id, peer, local, remote);
        config.key_size = options.number("key-size", key_size)?;
        config.max_per_request = options.number("max-per-request", config.max_per_request)?;
        config.unknown_key_status =
            options.number("unknown-key-status", config.unknown_key_status)?;
        config.key_id_form = key_id_form(options.text("key-id-form", "uuid"))?;
        if options.text("post-refusal", "").is_empty() {
            config.post_refusal = None;
        } else {
            config.post_refusal = Some(options.number("post-refusal", 405)?);
        }
        let is_status = |status: u16| (100..=599).contains(&status);
        if !config.key_size.is_multiple_of(8)
            || !(config.min_key_size..=config.max_key_size).contains(&config.key_size)
            || !is_status(config.unknown_key_status)
            || !config.post_refusal.is_none_or(is_status)
        {
            return Err(invalid(format!(
                "key-size is {} to {}, a multiple of 8; a status is 100 to 599",
                config.min_key_size, config.max_key_size
            )));
        }
        Ok(config)
    };
    Ok([
        Arc::new(Kme::new(
            config("kme-a", "kme-b", MASTER, SLAVE)?,
            link.keys(),
        )),
        Arc::new(Kme::new(
            config("kme-b", "kme-a", SLAVE, MASTER)?,
            link.keys(),
        )),
    ])
}

/// Creates faults, settings and state of a link; `more` returns additional state.
pub(crate) fn controls(
    options: &Options,
    link: &Arc<QkdLink>,
    more: impl Fn() -> String + Send + Sync + 'static,
) -> Controls {
    let faults = [1, 2].map(|end| {
        FaultInjector::new(
            options.seed.wrapping_add(end),
            Some(Arc::clone(link) as Arc<dyn ApplyDeviceFault>),
        )
    });
    let shown = Arc::clone(link);
    let mut controls = Controls::new(faults, move || shown.state() + &more());
    let twins = Arc::clone(link);
    controls.add_runtime_setting("twin-lifetime", move |value| {
        twins.set_twin_lifetime(twin_lifetime(value)?);
        Ok(())
    });
    let link = Arc::clone(link);
    controls.add_runtime_setting("length", move |value| {
        let new = fibre(
            value
                .parse()
                .map_err(|_| format!("length={value}: not a valid number"))?,
        )?;
        link.set_fibre(|fibre| fibre.length = new.length);
        Ok(())
    });
    controls
}

/// The applications of a pair, for those who start it.
pub(crate) fn applications() -> Sae {
    Sae {
        master: MASTER.to_owned(),
        slave: SLAVE.to_owned(),
    }
}

/// Each application and its peer.
pub(crate) const ENDS: [(&str, &str); 2] = [(MASTER, SLAVE), (SLAVE, MASTER)];

/// The key delivery of an end in memory, for one client.
pub(crate) fn kme_endpoint(kme: Arc<Kme>, client: &str) -> Endpoint {
    Endpoint::Http(Arc::new(MemoryFrontEnd(kme)), Some(client.to_owned()))
}
