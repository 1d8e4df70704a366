//! Serial ports: whether they can be opened, and who holds them.

use super::{
    Finding,
    host::Host,
    udev::{FTDI, installed},
};
use qkd_hal::DeviceUri;

const CHECK: &str = "serial port";

/// Ports of USB adapters, and those that the inventory names.
pub(super) fn check(machine: &Host, inventory: &[DeviceUri]) -> Vec<Finding> {
    let plugged = machine
        .names("/dev")
        .into_iter()
        .filter(|n| n.starts_with("ttyUSB") || n.starts_with("ttyACM"))
        .map(|n| format!("/dev/{n}"));
    let mut ports: Vec<String> = plugged
        .chain(
            inventory
                .iter()
                .filter(|u| u.transport() == "serial")
                .map(|u| u.path().to_owned()),
        )
        .collect();
    ports.sort();
    ports.dedup();
    let mut findings: Vec<_> = ports.iter().map(|port| one(machine, port)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            "no USB adapter is plugged in, and the inventory names no port",
        ));
    }
    if let Some(process) = machine.running("ModemManager")
        && !installed(machine, FTDI.0)
    {
        findings.push(Finding::warn(
            CHECK,
            format!(
                "ModemManager runs (process {}) and sends commands of its own to ports that \
                are plugged in",
                process.id
            ),
            format!(
                "install docs/udev/{}, which keeps it off, or stop it: sudo systemctl disable \
                --now ModemManager",
                FTDI.0
            ),
        ));
    }
    findings
}

fn one(machine: &Host, port: &str) -> Finding {
    // A name under /dev/qkd or /dev/serial is a link; processes show what it leads to.
    let real = std::fs::canonicalize(machine.path(port)).ok();
    if real.is_none() {
        return Finding::fail(
            CHECK,
            format!("{port} is not there"),
            "plug it in, or correct the inventory; qkdctl list shows what there is",
        );
    }
    if !machine.may_use(port) {
        let todo = format!(
            "sudo usermod -aG dialout $USER, then log in again; or install docs/udev/{}",
            FTDI.0
        );
        return Finding::fail(
            CHECK,
            format!("{port} is there, and you may not open it"),
            todo,
        );
    }
    let target = real
        .and_then(|p| {
            p.strip_prefix(machine.path("/"))
                .ok()
                .map(|p| format!("/{}", p.display()))
        })
        .unwrap_or_else(|| port.to_owned());
    match machine.holder(&target) {
        Some(p) => Finding::warn(
            CHECK,
            format!("{port} is held by {} (process {})", p.name, p.id),
            "end that program before qkdctl uses the port",
        ),
        None => Finding::ok(CHECK, format!("{port} can be opened")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };

    fn uri(text: &str) -> DeviceUri {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_exists_opens_and_is_free() {
        let fake = Fake::new();
        fake.file("/dev/ttyUSB0", "", 0o666)
            .file("/dev/ttyUSB1", "", 0o660)
            .file("/dev/ttyACM0", "", 0o666)
            .file("/dev/null", "", 0o666);
        fake.process(4711, "minicom", "/dev/ttyACM0");
        let found = check(
            &fake.machine(),
            &[
                uri("agiltron+serial:///dev/ttyS7?model=ff"),
                uri("polatis+tcp://h"),
            ],
        );
        let grades: Vec<_> = found.iter().map(|f| (f.grade, f.found.as_str())).collect();
        assert_eq!(
            grades,
            [
                (
                    Grade::Warn,
                    "/dev/ttyACM0 is held by minicom (process 4711)"
                ),
                (Grade::Fail, "/dev/ttyS7 is not there"),
                (Grade::Ok, "/dev/ttyUSB0 can be opened"),
                (
                    Grade::Fail,
                    "/dev/ttyUSB1 is there, and you may not open it"
                ),
            ]
        );
    }

    #[test]
    fn a_stable_name_leads_to_the_port_that_is_held() {
        let fake = Fake::new();
        fake.file("/dev/ttyUSB0", "", 0o666)
            .process(12, "screen", "/dev/ttyUSB0");
        std::fs::create_dir(fake.0.path().join("dev/qkd")).unwrap();
        std::os::unix::fs::symlink("../ttyUSB0", fake.0.path().join("dev/qkd/serial-A-00"))
            .unwrap();
        let found = check(
            &fake.machine(),
            &[uri("polatis+serial:///dev/qkd/serial-A-00")],
        );
        assert_eq!(
            found[0].found,
            "/dev/qkd/serial-A-00 is held by screen (process 12)"
        );
    }

    #[test]
    fn modem_manager_is_reported_unless_a_rule_excludes_the_port() {
        let fake = Fake::new();
        fake.process(9, "ModemManager", "/dev/null");
        assert_eq!(
            check(&fake.machine(), &[])
                .iter()
                .map(|f| f.grade)
                .collect::<Vec<_>>(),
            [Grade::Ok, Grade::Warn]
        );
        fake.file(&format!("/etc/udev/rules.d/{}", FTDI.0), FTDI.1, 0o644);
        assert_eq!(check(&fake.machine(), &[]).len(), 1);
    }
}
