//! Two network namespaces with a wire between them.
//!
//! Inner addresses are those of the protected traffic. A route in clear leads to the other end's,
//! so that traffic passes where nothing protects it; a rule on each wire drops and counts such
//! packets. Without the route, a test for clear packets could not fail.

use crate::tool;

/// Inner addresses of the ends.
pub(crate) const INNER: [&str; 2] = ["10.99.1.1", "10.99.2.1"];
/// Addresses of the wire.
pub(crate) const OUTER: [&str; 2] = ["10.99.0.1", "10.99.0.2"];
/// Name of the table of the rules.
const TABLE: &str = "qkdclear";

/// Two namespaces, which are deleted with this value.
pub(crate) struct Network {
    /// Names of the namespaces.
    pub(crate) names: [String; 2],
    /// Names of the interfaces of the wire.
    pub(crate) wires: [String; 2],
}

impl Network {
    /// Creates them. Names have the id of this process, so that runs do not meet.
    pub(crate) fn new() -> Result<Self, String> {
        let id = std::process::id();
        let network = Self {
            names: ["a", "b"].map(|end| format!("qkd{end}{id}")),
            wires: ["a", "b"].map(|end| format!("qv{end}{id}")),
        };
        for name in &network.names {
            tool("ip", &["netns", "add", name])?;
            tool("ip", &["-n", name, "link", "set", "lo", "up"])?;
        }
        let [a, b] = &network.names;
        let [wire_a, wire_b] = &network.wires;
        tool(
            "ip",
            &[
                "link", "add", wire_a, "netns", a, "type", "veth", "peer", "name", wire_b, "netns",
                b,
            ],
        )?;
        for (end, (name, wire)) in network.names.iter().zip(&network.wires).enumerate() {
            let (outer, far) = (format!("{}/24", OUTER[end]), OUTER[1 - end]);
            tool("ip", &["-n", name, "addr", "add", &outer, "dev", wire])?;
            tool("ip", &["-n", name, "link", "set", wire, "up"])?;
            let clear = format!("{}/32", INNER[1 - end]);
            // Less preferred than a route through a tunnel.
            tool(
                "ip",
                &[
                    "-n", name, "route", "add", &clear, "via", far, "metric", "900",
                ],
            )?;
        }
        Ok(network)
    }

    /// Gives both ends their inner address on an interface.
    pub(crate) fn add_inner(&self, interfaces: [&str; 2]) -> Result<(), String> {
        for (end, interface) in interfaces.into_iter().enumerate() {
            let inner = format!("{}/32", INNER[end]);
            let name = &self.names[end];
            tool("ip", &["-n", name, "addr", "add", &inner, "dev", interface])?;
        }
        Ok(())
    }

    /// Drops packets with inner addresses on both wires, and counts them.
    pub(crate) fn block_clear(&self) -> Result<(), String> {
        for (end, name) in self.names.iter().enumerate() {
            let rules = format!(
                "table inet {TABLE} {{\n chain out {{\n  type filter hook output priority 0; policy \
                 accept;\n  oifname \"{}\" ip daddr {} counter drop\n }}\n}}\n",
                self.wires[end],
                INNER[1 - end]
            );
            let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
            std::fs::write(file.path(), rules).map_err(|e| e.to_string())?;
            self.run(end, "nft", &["-f", &file.path().to_string_lossy()])
                .map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(())
    }

    /// Reads the rules back, and returns the packets that each has dropped.
    pub(crate) fn blocked(&self) -> Result<[u64; 2], String> {
        let mut dropped = [0; 2];
        for (end, packets) in dropped.iter_mut().enumerate() {
            let rules = self.run(end, "nft", &["list", "table", "inet", TABLE])?;
            let rule = rules
                .lines()
                .find(|line| line.contains(INNER[1 - end]) && line.trim_end().ends_with("drop"))
                .ok_or_else(|| format!("the rule against clear packets is missing: {rules}"))?;
            let mut words = rule.split_whitespace();
            *packets = words
                .by_ref()
                .find(|word| *word == "packets")
                .and_then(|_| words.next()?.parse().ok())
                .ok_or_else(|| format!("the rule has no counter: {rule}"))?;
        }
        Ok(dropped)
    }

    /// Runs a program in the namespace of an end.
    pub(crate) fn run(
        &self,
        end: usize,
        program: &str,
        arguments: &[&str],
    ) -> Result<String, String> {
        let name = self.names[end].as_str();
        tool(
            "ip",
            &[&["netns", "exec", name, program], arguments].concat(),
        )
    }

    /// The command that runs a program in the namespace of an end, before other work of the
    /// machine: a full buffer would lose packets, too.
    pub(crate) fn command(&self, end: usize, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.names[end],
            "nice",
            "-n",
            "-10",
            program,
        ]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = tool("ip", &["netns", "del", name]);
        }
    }
}
