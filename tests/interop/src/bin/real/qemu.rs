//! Checks that need a kernel with the modules of a distribution: they run in a virtual machine.

use qkd_interop::{guest::Guest, scaled};

/// Seconds that a check may take in the gate.
const LIMIT: usize = 300;
/// Programs that the checks call.
const TOOLS: [&str; 5] = ["ip", "nice", "tc", "tcpdump", "wg"];
/// Lines of the console in an error.
const TAIL: usize = 25;

/// Runs a check inside, and returns its result.
pub(crate) fn run(name: &str, modules: &[&str]) -> Result<String, String> {
    let program = crate::own_program()?;
    let guest = Guest {
        modules,
        program: &program,
        arguments: &["inside", name],
        tools: &TOOLS,
        limit: LIMIT * scaled(1),
    };
    result(&guest.run()?, "QEMU")
}

/// The result of a check that has run in another kernel, from the console of that.
pub(crate) fn result(console: &str, machine: &str) -> Result<String, String> {
    let lines: Vec<&str> = console.lines().map(str::trim).collect();
    let after = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
    // Name and time of the check, which the caller prints, too.
    let result = |start: &str| after(start).and_then(|text| Some(text.split_once("): ")?.1));
    match (result("PASS "), result("FAIL "), after("exit code ")) {
        (Some(what), None, Some("0")) => Ok(format!("{machine}, {what}")),
        (_, Some(why), _) => Err(format!("{machine}, {why}")),
        (_, _, code) => {
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            Err(format!(
                "{machine} has ended without a result, exit code of the program: {}; end of its \
                 console:\n{}",
                code.unwrap_or("none"),
                tail.join("\n")
            ))
        }
    }
}
