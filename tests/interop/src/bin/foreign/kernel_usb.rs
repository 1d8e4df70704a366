//! Our USB link and driver in a virtual machine with Debian's kernel as shipped: `rusb`, libusb,
//! usbfs and `vhci_hcd` connect them to our emulator as they would to a device.

use crate::{expect, print_check};
use qkd_interop::guest::Guest;

/// Modules that USB/IP needs.
const MODULES: [&str; 4] = ["usb-common", "usbip-core", "usbcore", "vhci-hcd"];
/// Seconds; it takes about seven.
const LIMIT: usize = 120;

pub(crate) fn run() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = own.with_file_name("usb-guest");
    expect(program.exists(), || {
        format!(
            "{} is not built: cargo build -p qkd-interop --bins",
            program.display()
        )
    })?;
    let guest = Guest {
        modules: &MODULES,
        program: &program,
        arguments: &[],
        tools: &[],
        limit: LIMIT,
    };
    let said = guest.run()?;
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
