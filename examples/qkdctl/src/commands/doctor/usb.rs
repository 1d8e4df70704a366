//! USB: whether libusb works, and whether the devices that drivers know can be opened.

use super::{Finding, host::Host};
use qkd_driver_kit::{
    Registry,
    driver_info::Probe,
    link::{LinkError, usb_host::UsbDeviceEntry},
};

const CHECK: &str = "USB";

pub(super) fn check(
    machine: &Host,
    registry: &Registry,
    listed: Result<Vec<UsbDeviceEntry>, LinkError>,
) -> Vec<Finding> {
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            return vec![Finding::fail(
                CHECK,
                format!("libusb does not work: {error}"),
                "see whether /dev/bus/usb can be read",
            )];
        }
    };
    if machine.names("/dev/bus/usb").is_empty() {
        return vec![Finding::warn(
            CHECK,
            "libusb works; the kernel shows no USB bus",
            "in a container, pass /dev/bus/usb through; otherwise USB devices can be reached over \
             USB/IP",
        )];
    }
    let mut findings = vec![Finding::ok(
        CHECK,
        format!("libusb works, and lists {} devices", listed.len()),
    )];
    for device in listed {
        let ids = (device.identity.vendor, device.identity.product);
        let fits =
            |p: &Probe| matches!(p, Probe::Usb { vendor, product } if (*vendor, *product) == ids);
        let Some(driver) = registry
            .drivers()
            .map(|d| d.info())
            .find(|i| i.probes.iter().any(fits))
        else {
            continue;
        };
        let node = format!("/dev/bus/usb/{:03}/{:03}", device.place.0, device.place.1);
        let name = format!("{} ({:04x}:{:04x}) at {node}", driver.name, ids.0, ids.1);
        findings.push(if machine.may_use(&node) {
            Finding::ok(CHECK, format!("{name} can be opened"))
        } else {
            Finding::fail(
                CHECK,
                format!("{name} is there, and you may not open it"),
                format!(
                    "install docs/udev/70-qkd-{}.rules, and plug it in again",
                    driver.name
                ),
            )
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };
    use qkd_driver_kit::link::usb::UsbIdentity;

    fn listed(place: (u8, u8), vendor: u16, product: u16) -> UsbDeviceEntry {
        UsbDeviceEntry {
            place,
            identity: UsbIdentity {
                vendor,
                product,
                ..UsbIdentity::default()
            },
        }
    }

    #[test]
    fn devices_of_drivers_must_be_open_to_the_user() {
        let registry = qkd_hardware::registry();
        let fake = Fake::new();
        assert_eq!(
            check(&fake.machine(), &registry, Ok(Vec::new()))[0].grade,
            Grade::Warn,
            "no bus"
        );
        fake.file("/dev/bus/usb/001/004", "", 0o664)
            .file("/dev/bus/usb/001/005", "", 0o666);
        let found = check(
            &fake.machine(),
            &registry,
            Ok(vec![
                listed((1, 4), 0x0aba, 0x0102),
                listed((1, 5), 0x0aba, 0x0102),
                listed((1, 6), 0x1d6b, 2),
            ]),
        );
        assert_eq!(
            found.iter().map(|f| f.grade).collect::<Vec<_>>(),
            [Grade::Ok, Grade::Fail, Grade::Ok],
            "{found:#?}"
        );
        assert!(
            found[1]
                .todo
                .as_ref()
                .is_some_and(|t| t.contains(super::super::udev::QUANTIS.0)),
            "{found:#?}"
        );
    }
}
