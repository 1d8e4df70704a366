//! UDP port 162, to which devices send what they have to say over SNMP.

use super::{Finding, host::Host};

const CHECK: &str = "notifications";
const PORT: u16 = 162;
/// The bit of CAP_NET_BIND_SERVICE (capabilities(7)).
const BIND_SERVICE: u32 = 10;

pub(super) fn check(machine: &Host) -> Finding {
    if let Some(inode) = bound(machine) {
        let by = machine.holder(&format!("socket:[{inode}]")).map_or_else(
            || "another user's process".to_owned(),
            |p| format!("{} (process {})", p.name, p.id),
        );
        return Finding::warn(
            CHECK,
            format!("UDP {PORT} is taken by {by}"),
            "end that program, or have devices send to another port, and listen there: \
             --notifications 0.0.0.0:10162",
        );
    }
    let first: u16 = machine
        .read("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(1024);
    let capabilities = machine.read("/proc/self/status").and_then(|s| {
        let line = s
            .lines()
            .find_map(|l| l.strip_prefix("CapEff:").map(str::trim).map(str::to_owned))?;
        u64::from_str_radix(&line, 16).ok()
    });
    if first <= PORT || capabilities.is_some_and(|c| c >> BIND_SERVICE & 1 == 1) {
        Finding::ok(
            CHECK,
            format!("UDP {PORT} is free, and you may listen on it"),
        )
    } else {
        Finding::warn(
            CHECK,
            format!("UDP {PORT} is free, and you may not listen on it"),
            "sudo setcap cap_net_bind_service=+ep $(command -v qkdctl); or listen on a port from \
             1024 up, and have devices send there",
        )
    }
}

/// The inode of the socket that is bound to the port (proc_net(5): `sl local_address rem_address st
/// tx:rx tr:when retrnsmt uid timeout inode`).
fn bound(machine: &Host) -> Option<u64> {
    let port = format!(":{PORT:04X}");
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .filter_map(|table| machine.read(table))
        .find_map(|table| {
            table.lines().skip(1).find_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields
                    .get(1)
                    .filter(|local| local.ends_with(&port))
                    .and_then(|_| fields.get(9)?.parse().ok())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when \
        retrnsmt   uid  timeout inode ref pointer drops\n";

    #[test]
    fn a_busy_port_is_reported_with_the_process_that_holds_it() {
        let fake = Fake::new();
        let line = "  421: 00000000:00A2 00000000:0000 07 00000000:00000000 00:00000000 \
            00000000     0        0 20117 2 0 0\n";
        fake.file("/proc/net/udp", &format!("{TABLE}{line}"), 0o444);
        assert!(
            check(&fake.machine())
                .found
                .ends_with("taken by another user's process")
        );
        fake.process(77, "snmptrapd", "socket:[20117]");
        assert!(
            check(&fake.machine())
                .found
                .ends_with("taken by snmptrapd (process 77)")
        );
    }

    #[test]
    fn a_port_that_is_free_needs_the_right_to_it() {
        let fake = Fake::new();
        fake.file("/proc/net/udp", TABLE, 0o444).file(
            "/proc/self/status",
            "Name:\tqkdctl\nCapEff:\t0000000000000000\n",
            0o444,
        );
        assert_eq!(check(&fake.machine()).grade, Grade::Warn);
        fake.file("/proc/self/status", "CapEff:\t0000000000000400\n", 0o644);
        assert_eq!(check(&fake.machine()).grade, Grade::Ok);
        fake.file("/proc/self/status", "CapEff:\t0000000000000000\n", 0o644)
            .file(
                "/proc/sys/net/ipv4/ip_unprivileged_port_start",
                "0\n",
                0o644,
            );
        assert_eq!(check(&fake.machine()).grade, Grade::Ok);
    }
}
