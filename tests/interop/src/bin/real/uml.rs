//! Checks that need modules of the kernel which a test machine rarely has: they run in User-Mode
//! Linux, a whole kernel in one process. Its root is the root of the host, read-only.

use crate::real::qemu;
use qkd_interop::scaled;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Seconds that a check may take in the gate.
const LIMIT: usize = 600;
/// Modules of the network between both ends, and of the rules in it.
const MODULES: &str = "veth af_packet sch_ingress cls_flower act_gact";

/// Runs a check inside, and returns its result.
pub(crate) fn run(name: &str, modules: &[&str]) -> Result<String, String> {
    let own = crate::own_program()?;
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("uml/init");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let scale = scaled(1);
    let limit = (LIMIT * scale).to_string();
    let modules = [&[MODULES], modules].concat().join(" ");
    // A parent that is killed ends the kernel, too: `timeout` hands the signal on.
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "timeout", "--kill-after=10", &limit])
        .args(["linux.uml", "mem=1G", "quiet", "panic=1"])
        .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"])
        .arg(format!("init={}", init.display()))
        .arg(format!("QKD_PROGRAM={}", own.display()))
        .arg(format!("QKD_ARGUMENTS=\"inside {name}\""))
        .arg(format!("QKD_MODULES=\"{modules}\""))
        .arg(format!("QKD_TEST_SCALE={scale}"))
        // Its own frames would be in clear on the wire.
        .arg("ipv6.disable_ipv6=1")
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("uml_dir={}/", folder.path().display()))
        // The file that is the memory of the kernel.
        .env("TMPDIR", "/dev/shm")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("setpriv cannot be run: {e}"))?;
    let console = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = format!("{console}\n{errors}\nended with {}", output.status);
    qemu::result(&said, "User-Mode Linux")
}
