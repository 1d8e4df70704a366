//! Two network namespaces with a wire between them.
//!
//! Inner addresses are those of the protected traffic. A route in clear leads to the other end's,
//! so that traffic passes where nothing protects it; a rule on each wire drops and counts such
//! packets, by [`Rules`]. Without the route, a test for clear packets could not fail.

use crate::tool;

/// Inner addresses of the ends.
pub(crate) const INNER: [&str; 2] = ["10.99.1.1", "10.99.2.1"];
/// Addresses of the wire.
pub(crate) const OUTER: [&str; 2] = ["10.99.0.1", "10.99.0.2"];
/// Name of the table of the rules.
const TABLE: &str = "qkdclear";
/// Preference of the rules of traffic control.
const PREFERENCE: &str = "7007";

/// The part of the kernel that drops packets in clear.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rules {
    /// nftables, where packets leave the host's own stack. ESP of the kernel would come later.
    Nftables,
    /// Traffic control, where frames leave the interface, after all encryption. The kernel of
    /// User-Mode Linux has no tables of nftables for IP; others have no classifiers.
    TrafficControl,
}

/// Two namespaces, which are deleted with this value.
pub(crate) struct Network {
    /// Names of the namespaces.
    pub(crate) names: [String; 2],
    /// Names of the interfaces of the wire.
    pub(crate) wires: [String; 2],
    /// Filter of the capture program for packets in clear.
    pub(crate) clear: String,
    rules: Rules,
}

impl Network {
    /// Creates them. Names have the id of this process, so that runs do not meet.
    pub(crate) fn new(rules: Rules) -> Result<Self, String> {
        let id = std::process::id();
        let network = Self {
            names: ["a", "b"].map(|end| format!("qkd{end}{id}")),
            wires: ["a", "b"].map(|end| format!("qv{end}{id}")),
            clear: format!("host {} or host {}", INNER[0], INNER[1]),
            rules,
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

    /// Gives an end its inner address on an interface of a tunnel, and a route through it that
    /// is preferred over the one in clear.
    pub(crate) fn add_tunnel(&self, end: usize, interface: &str) -> Result<(), String> {
        let name = self.names[end].as_str();
        let (inner, far) = (
            format!("{}/32", INNER[end]),
            format!("{}/32", INNER[1 - end]),
        );
        for command in [
            &["addr", "add", &inner, "dev", interface][..],
            &["link", "set", interface, "up"],
            &["route", "add", &far, "dev", interface, "metric", "50"],
        ] {
            tool("ip", &[&["-n", name], command].concat())?;
        }
        Ok(())
    }

    /// Makes the control run, and blocks packets in clear, before a tunnel has the inner addresses.
    pub(crate) fn control_run(&self) -> Result<(), String> {
        self.add_inner(["lo", "lo"])?;
        crate::control_run(self)?;
        for (end, name) in self.names.iter().enumerate() {
            let inner = format!("{}/32", INNER[end]);
            tool("ip", &["-n", name, "addr", "del", &inner, "dev", "lo"])?;
            // The kernel would ask in clear whether they are still there.
            let wire = self.wires[end].as_str();
            tool("ip", &["-n", name, "neigh", "flush", "dev", wire])?;
        }
        Ok(())
    }

    /// Drops packets with inner addresses on both wires, and counts them.
    pub(crate) fn block_clear(&self) -> Result<(), String> {
        for end in 0..2 {
            let (wire, far) = (self.wires[end].as_str(), INNER[1 - end]);
            match self.rules {
                Rules::Nftables => {
                    let rules = format!(
                        "table inet {TABLE} {{\n chain out {{\n  type filter hook output priority \
                         0; policy accept;\n  oifname \"{wire}\" ip daddr {far} counter drop\n \
                         }}\n}}\n"
                    );
                    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
                    std::fs::write(file.path(), rules).map_err(|e| e.to_string())?;
                    self.run(end, "nft", &["-f", &file.path().to_string_lossy()])?;
                }
                Rules::TrafficControl => {
                    self.traffic_control(end, &["qdisc", "add", "dev", wire, "clsact"])?;
                    let rule = [
                        "filter", "add", "dev", wire, "egress", "pref", PREFERENCE, "protocol",
                        "ip", "flower", "dst_ip", far, "action", "drop",
                    ];
                    self.traffic_control(end, &rule)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the rules back, and returns the packets that each has dropped.
    pub(crate) fn blocked(&self) -> Result<[u64; 2], String> {
        let mut dropped = [0; 2];
        for (end, packets) in dropped.iter_mut().enumerate() {
            *packets = self.blocked_at(end)?;
        }
        Ok(dropped)
    }

    fn blocked_at(&self, end: usize) -> Result<u64, String> {
        let far = INNER[1 - end];
        let rules = match self.rules {
            Rules::Nftables => self.run(end, "nft", &["list", "table", "inet", TABLE])?,
            Rules::TrafficControl => {
                let wire = self.wires[end].as_str();
                let show = [
                    "-s", "filter", "show", "dev", wire, "egress", "pref", PREFERENCE,
                ];
                self.traffic_control(end, &show)?
            }
        };
        // One line, or several: the address, what is done, and the number of packets.
        let words: Vec<&str> = rules.split_whitespace().collect();
        let has = |wanted: &str| words.contains(&wanted);
        let counted = match self.rules {
            Rules::Nftables => words.windows(2).find(|w| w[0] == "packets").map(|w| w[1]),
            Rules::TrafficControl => words
                .windows(2)
                .find(|w| w[0] == "(dropped")
                .map(|w| w[1].trim_end_matches(',')),
        };
        let is_there = has(far) && has("drop");
        counted
            .filter(|_| is_there)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("the rule against clear packets is missing: {rules}"))
    }

    fn traffic_control(&self, end: usize, arguments: &[&str]) -> Result<String, String> {
        // One process less than with `run`.
        tool("tc", &[&["-n", &self.names[end]], arguments].concat())
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
