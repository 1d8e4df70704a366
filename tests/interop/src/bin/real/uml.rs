//! Checks that need modules of the kernel which a test machine rarely has: they run in User-Mode
//! Linux, a whole kernel in one process. Its root is the root of the host, read-only.

use qkd_interop::scaled;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Seconds that a check may take in the gate.
const LIMIT: usize = 600;
/// Lines of the console in an error.
const TAIL: usize = 25;
/// Modules of the network between both ends, and of the rules in it.
const MODULES: &str = "veth af_packet sch_ingress cls_flower act_gact";

/// Runs a check inside, and returns its result.
pub(crate) fn run(name: &str, modules: &[&str]) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("uml/init");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let scale = scaled(1);
    let limit = (LIMIT * scale).to_string();
    let modules = [&[MODULES], modules].concat().join(" ");
    // A parent that is killed ends the kernel, too: `timeout` hands the signal on.
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "timeout", "--kill-after=10", &limit])
        .args(["linux.uml", "mem=512M", "quiet", "panic=1"])
        .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"])
        .arg(format!("init={}", init.display()))
        .arg(format!("QKD_PROGRAM={}", own.display()))
        .arg(format!("QKD_ARGUMENTS=\"inside {name}\""))
        .arg(format!("QKD_MODULES=\"{modules}\""))
        .arg(format!("QKD_TEST_SCALE={scale}"))
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("uml_dir={}/", folder.path().display()))
        // The file that is the memory of the kernel.
        .env("TMPDIR", "/dev/shm")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("setpriv cannot be run: {e}"))?;
    let console = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = console
        .lines()
        .chain(errors.lines())
        .map(str::trim)
        .collect();
    let after = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
    // Name and time of the check, which the caller prints, too.
    let result = |start: &str| after(start).and_then(|text| Some(text.split_once("): ")?.1));
    match (result("PASS "), result("FAIL "), after("exit code ")) {
        (Some(what), None, Some("0")) => Ok(what.to_owned()),
        (_, Some(why), _) => Err(format!("in User-Mode Linux: {why}")),
        (_, _, code) => {
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            Err(format!(
                "User-Mode Linux (Debian: user-mode-linux) ended with {} and no result, exit code \
                 of the program: {}; end of its console:\n{}",
                output.status,
                code.unwrap_or("none"),
                tail.join("\n")
            ))
        }
    }
}
