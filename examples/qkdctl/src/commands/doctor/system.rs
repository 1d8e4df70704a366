//! The clock, and how many files may be open.

use super::{Finding, host::Host};
use nix::sys::resource::{Resource, getrlimit};
use std::time::{Duration, SystemTime};

const CLOCK: &str = "clock";
const FILES: &str = "open files";

/// 2026-01-01T00:00:00Z: it is later than that.
const NOT_BEFORE: Duration = Duration::from_secs(1_767_225_600);

/// Files by which services show that the clock is synchronised: systemd-timesyncd, chrony, ntpsec.
const IN_STEP: [&str; 3] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/run/ntpd.pid",
];

/// Certificates, SNMPv3 and the times of events rest on it.
pub(super) fn clock(machine: &Host, now: SystemTime) -> Finding {
    let shown = humantime::format_rfc3339_seconds(now);
    if now < SystemTime::UNIX_EPOCH + NOT_BEFORE {
        return Finding::fail(
            CLOCK,
            format!("it says {shown}, which is past"),
            "set it and keep it synchronised: sudo timedatectl set-ntp true",
        );
    }
    if IN_STEP.iter().any(|sign| machine.path(sign).exists()) {
        return Finding::ok(CLOCK, format!("{shown}, synchronised"));
    }
    Finding::warn(
        CLOCK,
        format!("{shown}; not known to be synchronised"),
        "sudo timedatectl set-ntp true, unless the host of this machine does it",
    )
}

/// Checks how many files this user may have open.
pub(super) fn open_files() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => files(soft),
        Err(e) => Finding::warn(FILES, format!("the limit cannot be read: {e}"), "ulimit -n"),
    }
}

/// Each device takes one or a few; a watch of many, or the demo, some hundreds.
fn files(limit: u64) -> Finding {
    match limit {
        0..64 => Finding::fail(
            FILES,
            format!("{limit} may be open, which is too few for the demo"),
            "ulimit -n 1024",
        ),
        64..512 => Finding::warn(
            FILES,
            format!("{limit} may be open, which is too few to watch many devices"),
            "ulimit -n 1024",
        ),
        _ => Finding::ok(FILES, format!("{limit} may be open")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };

    #[test]
    fn a_clock_is_behind_unsynchronised_or_synchronised() {
        let fake = Fake::new();
        let then = SystemTime::UNIX_EPOCH + NOT_BEFORE;
        assert_eq!(
            clock(&fake.machine(), then - Duration::from_secs(1)).grade,
            Grade::Fail
        );
        assert_eq!(clock(&fake.machine(), then).grade, Grade::Warn);
        fake.file("/run/systemd/timesync/synchronized", "", 0o644);
        assert_eq!(clock(&fake.machine(), then).grade, Grade::Ok);
    }

    #[test]
    fn limits_are_graded() {
        assert_eq!(
            [32, 256, 1024].map(|n| files(n).grade),
            [Grade::Fail, Grade::Warn, Grade::Ok]
        );
    }
}
