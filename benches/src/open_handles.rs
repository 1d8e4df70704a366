//! Memory of open handles of the drivers for encryptors on this host. The emulated daemon or kernel
//! is in the same process: what it keeps for a connection is included.

use crate::tool::{raise_limit, resident_kib, row};
use qkd_driver_kit::OpenContext;
use qkd_emulators::{profile::Options, profiles};
use tokio::runtime::Runtime;

/// Number of handles.
const HANDLE_COUNT: u32 = 1_000;

async fn memory(uri: &str, context: &OpenContext) -> f64 {
    let registry = qkd_hardware::registry();
    // What is made once is not that of a handle.
    let _first = registry.open(uri, context).await.expect("an encryptor");
    let before = resident_kib();
    let mut handles = Vec::new();
    for _ in 0..HANDLE_COUNT {
        handles.push(registry.open(uri, context).await.expect("an encryptor"));
    }
    resident_kib().saturating_sub(before) as f64 / f64::from(HANDLE_COUNT)
}

pub(crate) fn run() {
    raise_limit();
    for (profile, link) in [
        ("linux-macsec-pair", "netlink in memory"),
        ("strongswan-pair", "a Unix socket"),
        ("wireguard-pair", "a Unix socket"),
    ] {
        // Each in a runtime of its own, so that memory that one has freed is not used by the next.
        let kib = Runtime::new().expect("a runtime").block_on(async {
            let options = Options::default();
            if link == "netlink in memory" {
                let emulated = profiles::in_memory(profile, &options).expect("a profile");
                let context = emulated.attach(OpenContext::new());
                memory(&emulated.uris()[0], &context).await
            } else {
                let running = profiles::start(profile, &options).await;
                let running = running.expect("a profile");
                memory(&running.ready().uri, &OpenContext::new()).await
            }
        });
        row(
            &format!("memory of one of {HANDLE_COUNT} open handles, `{profile}` over {link}"),
            &format!("{kib:.1} KiB"),
            "-",
            None,
            "-",
        );
    }
}
