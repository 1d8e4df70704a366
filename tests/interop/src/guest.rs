//! A virtual machine with Debian's kernel as shipped. QEMU emulates the processor (`-accel tcg`),
//! so that KVM is not needed.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// A virtual machine that runs one program.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Modules of the kernel, in the order in which they are loaded.
    pub modules: &'a [&'a str],
    /// The program, a file of this machine.
    pub program: &'a Path,
    /// Its arguments, without spaces.
    pub arguments: &'a [&'a str],
    /// Programs of this machine that it calls, in addition to those of busybox.
    pub tools: &'a [&'a str],
    /// Seconds after which the machine is ended.
    pub limit: usize,
}

impl Guest<'_> {
    /// Runs it, and returns the lines on its console.
    ///
    /// # Errors
    /// If the machine cannot be made or does not end in time. The exit code of the program is the
    /// caller's to check: the last line is `exit code 0`.
    pub fn run(&self) -> Result<String, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/image");
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name);
        let mut image = Command::new(&script);
        image
            .arg(folder.path())
            .arg(self.modules.join(" "))
            .arg(self.program)
            .args(self.tools);
        finish(image, "guest/image")?;
        let name = self.program.file_name().unwrap_or_default().display();
        let program = format!("/bin/{name}");
        let command = [&[program.as_str()], self.arguments].concat();
        // A parent that is killed ends the machine, too: `timeout` hands the signal on.
        let mut machine = Command::new("setpriv");
        // `panic=-1` and `-no-reboot`: a kernel that panics ends the run at once.
        machine
            .args(["--pdeathsig", "TERM", "timeout", &self.limit.to_string()])
            .args([
                "qemu-system-x86_64",
                "-accel",
                "tcg",
                "-M",
                "q35",
                "-m",
                "512",
            ])
            .args([
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-serial",
                "stdio",
            ])
            .arg("-kernel")
            .arg(at("vmlinuz"))
            .arg("-initrd")
            .arg(at("initrd.gz"))
            .arg("-append")
            .arg(format!(
                "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on \
                 QKD_TEST_SCALE={} QKD_COMMAND=\"{}\"",
                crate::scaled(1),
                command.join(" ")
            ));
        finish(machine, "the virtual machine")
    }
}

fn finish(mut command: Command, name: &str) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{name} cannot be run: {e}"))?;
    let said = String::from_utf8_lossy(&stdout);
    if status.success() {
        return Ok(said.into_owned());
    }
    let errors = String::from_utf8_lossy(&stderr);
    Err(format!("{name} ended with {status}: {errors}\n{said}"))
}
