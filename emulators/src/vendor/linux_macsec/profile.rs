//! A pair of kernels in memory. A server of netlink does not exist: the kernel answers on its own
//! sockets only.

use super::{
    MacsecEnd, MacsecPair, Settings,
    operator::{add_channel, endpoint, set_key},
};
use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    profile::{
        InMemory, Options, Profile, Setting,
        agents::{TIME_FACTOR, clock},
        options::invalid,
        sockets::{self, TRAFFIC, packets_per_second},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{io, sync::Arc};
use zeroize::Zeroizing;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "linux-macsec-pair",
    title: "Two Linux kernels with a MACsec interface, netlink, in memory only",
    settings: SETTINGS,
    has_wire: false,
    start: |p, _| {
        Box::pin(async move {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "profile {} has no wire, since only the kernel answers on netlink sockets: \
                     tests open it in memory",
                    p.name
                ),
            ))
        })
    },
    in_memory: build,
}];

const SETTINGS: &[Setting] = &[
    TRAFFIC,
    TIME_FACTOR,
    Setting {
        name: "configured",
        help: "true (default): both have a receive channel, and a first key; false: none",
        runtime: false,
    },
    Setting {
        name: "cipher",
        help: "gcm-aes-128, gcm-aes-256 (default), gcm-aes-xpn-128 or gcm-aes-xpn-256",
        runtime: false,
    },
];

/// Association and id of the first key.
const FIRST: u8 = 1;
const FIRST_ID: [u8; 16] = *b"first key of all";

fn build(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    let clock = clock(options)?;
    let (key_length, xpn) = match options.text("cipher", "gcm-aes-256") {
        "gcm-aes-128" => (16, false),
        "gcm-aes-256" => (32, false),
        "gcm-aes-xpn-128" => (16, true),
        "gcm-aes-xpn-256" => (32, true),
        other => return Err(invalid(format!("cipher={other}: unknown cipher suite"))),
    };
    let settings = Settings {
        frames_per_second: packets_per_second(options)?,
        key_length,
        xpn,
        ..Settings::default()
    };
    let is_configured = options.flag("configured", true)?;
    let pair = MacsecPair::new(clock, settings);
    if is_configured {
        let mut key = Zeroizing::new(vec![0; key_length]);
        ChaCha12Rng::seed_from_u64(options.seed).fill_bytes(&mut key);
        for end in 0..2 {
            add_channel(&pair, end);
            // A first key of these suites would need a salt.
            if !xpn {
                set_key(&pair, end, FIRST, &FIRST_ID, &key);
            }
        }
    }
    let ends = [0, 1].map(|end| {
        Arc::new(ConfiguredEnd {
            pair: Arc::clone(&pair),
            end,
            is_configured,
        }) as Arc<dyn ApplyDeviceFault>
    });
    let shown = Arc::clone(&pair);
    let controls = sockets::controls(options, ends, move |end| shown.state(end));
    let mut memory = InMemory::new(controls);
    for end in 0..2 {
        let name = format!("{}-{}", profile.name, end + 1);
        memory.uri("linux-macsec", &name, "");
        memory.endpoint(&name, endpoint(Arc::clone(&pair), end));
    }
    Ok(memory)
}

/// An end whose receive channel is configured again after a restart, as a network manager does. A
/// key is not: its packet numbers were used.
struct ConfiguredEnd {
    pair: Arc<MacsecPair>,
    end: usize,
    is_configured: bool,
}

impl ApplyDeviceFault for ConfiguredEnd {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        let Self { pair, end, .. } = self;
        MacsecEnd::new(Arc::clone(pair), *end).apply(fault)?;
        if *fault == DeviceFault::Reboot && self.is_configured {
            add_channel(pair, *end);
        }
        Ok(())
    }
}
