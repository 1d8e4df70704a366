//! Our USB link and driver in a virtual machine with Debian's kernel as shipped: `rusb`, libusb,
//! usbfs and `vhci_hcd` connect them to our emulator as they would to a device. QEMU emulates the
//! processor (`-accel tcg`), so that KVM is not needed.

use crate::{expect, print_check, tool};
use std::path::Path;

/// Seconds; it takes about seven.
const LIMIT: &str = "120";

pub(crate) fn run() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let guest = own.with_file_name("usb-guest");
    expect(guest.exists(), || {
        format!(
            "{} is not built: cargo build -p qkd-interop --bins",
            guest.display()
        )
    })?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("usb-guest/image");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    tool(
        &script.display().to_string(),
        &[
            &folder.path().display().to_string(),
            &guest.display().to_string(),
        ],
    )?;
    let (kernel, initrd) = (at("vmlinuz"), at("initrd.gz"));
    // `panic=-1` and `-no-reboot`: a kernel that panics ends the run at once.
    let machine = [
        "-accel",
        "tcg",
        "-M",
        "q35",
        "-m",
        "512",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-serial",
        "stdio",
    ];
    let boot = [
        "-kernel",
        &kernel,
        "-initrd",
        &initrd,
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on",
    ];
    let said = tool(
        "timeout",
        &[&[LIMIT, "qemu-system-x86_64"][..], &machine, &boot].concat(),
    )?;
    said.lines()
        .filter_map(|l| l.trim().strip_prefix("✓ "))
        .for_each(print_check);
    expect(said.lines().any(|l| l.trim() == "PASS"), || said.clone())?;
    Ok(
        "idq-quantis through libusb, usbfs and vhci_hcd of Debian's kernel in QEMU: reads, an \
        unplug in the middle of one, a new plug, another device"
            .to_owned(),
    )
}
