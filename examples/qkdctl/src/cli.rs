//! Command-line arguments.

use crate::{
    exit,
    journal::Outcome,
    optics_argument::{AttenuationArgument, MonitorArgument},
    output::{Format, Output},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use qkd_layers::Rate;
use qkd_switch_hal::{CrossConnect, Port, protection::ProtectionSetting};
use std::{ffi::OsString, path::PathBuf, time::SystemTime};

/// Whether a command line that cannot be parsed asks for JSON.
pub(crate) fn asks_for_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let next_is_json = |n: usize| arguments.get(n + 1).is_some_and(|a| a == "json");
    arguments.iter().enumerate().skip(1).any(|(n, argument)| {
        let Some(argument) = argument.to_str() else {
            return false;
        };
        match argument.strip_prefix("--") {
            Some(long) => long == "output" && next_is_json(n) || long == "output=json",
            // Flags without values may precede it in one argument.
            None => argument
                .strip_prefix('-')
                .and_then(|short| short.trim_start_matches(['v', 'q']).strip_prefix('o'))
                .is_some_and(|value| match value.trim_start_matches('=') {
                    "" => next_is_json(n),
                    value => value == "json",
                }),
        }
    })
}

/// Finds, probes, inspects and changes the hardware of a quantum-secured network.
///
/// Reads only, unless asked: whatever may disturb traffic or spends keys is a dry run until --yes
/// is given.
#[derive(Debug, Parser)]
#[command(name = "qkdctl", version, after_help = exit::HELP, propagate_version = true,
    arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Output format.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Prints results and errors only: no progress, no notes, no warnings.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Credentials file (TOML, with mode 600) [default: ~/.config/qkdctl/credentials.toml,
    /// if there is one].
    #[arg(long, global = true, value_name = "FILE", env = "QKDCTL_CREDENTIALS")]
    pub(crate) credentials: Option<PathBuf>,
    /// Inventory file, which names devices [default: ~/.config/qkdctl/inventory.toml, if there is
    /// one].
    #[arg(long, global = true, value_name = "FILE", env = "QKDCTL_INVENTORY")]
    pub(crate) inventory: Option<PathBuf>,
    /// Record the exchanges of the links, without secrets, in this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,
    /// Limits the requests to each device, such as 5/s or 30/min. A request is one call, which may
    /// need several exchanges.
    #[arg(long, global = true, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,
    /// Accepts an assumption by id for this call; may be repeated.
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) assume: Vec<String>,
    /// Says more on standard error; twice says most. QKDCTL_LOG sets a filter.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn output(&self) -> Output {
        Output {
            format: self.output,
            quiet: self.quiet,
        }
    }
}

const DEVICE_HELP: &str = "Device URI, such as polatis+tcp://192.0.2.7, or a name of the inventory";

const WATCH_HELP: &str = "\
A device that goes away is shown as such, and again when it is back. Of a switch, the power at \
    both ends of each path is shown, and ports that are not usable.
The exit code is 0 if every device could be read at the end, or that of the first one which could \
    not.

Examples:
  qkdctl watch sw1 kme-a kme-b
  qkdctl watch sw1 --interval 500ms --for 10m --output json >> sw1.jsonl
  qkdctl watch enc-a enc-b --notifications 0.0.0.0:162";

#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[arg(
        help = "Device URIs, or names of the inventory",
        value_name = "DEVICE",
        required = true
    )]
    pub(crate) devices: Vec<String>,
    /// Polling interval of the devices, at least 100ms.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) interval: humantime::Duration,
    /// End after each device was read this number of times.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Ends after this time.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) duration: Option<humantime::Duration>,
    /// Takes a device that was replaced for the right one at once. Without it, the device is
    /// marked as replaced until `a` is pressed on a terminal, and the exit code is 7.
    #[arg(long)]
    pub(crate) acknowledge: bool,
    /// Listens at this address for what devices send by SNMP. Below port 1024 that needs a
    /// privilege: see `qkdctl doctor`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) notifications: Option<String>,
}

fn interval(text: &str) -> Result<humantime::Duration, String> {
    let time: humantime::Duration = text
        .parse()
        .map_err(|e| format!("{e}; write a time such as 2s"))?;
    if time.as_millis() < 100 {
        Err("100ms is the least".to_owned())
    } else {
        Ok(time)
    }
}

const JOURNAL_HELP: &str = "\
The journal is ~/.local/state/qkdctl/journal.jsonl, or the file that QKDCTL_JOURNAL names.

Examples:
  qkdctl journal --device sw1 --since 24h
  qkdctl journal --operation roll --outcome unfinished
  qkdctl journal --since 2026-01-31T12:00:00Z --output json";

#[derive(Debug, Args)]
pub(crate) struct Journal {
    /// Only this device: a name of the inventory, or a URI, compared without its parameters.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Only this operation, such as apply, take-keys or roll.
    #[arg(long, value_name = "NAME")]
    pub(crate) operation: Option<String>,
    /// Only what began at this time (RFC 3339) or later; or this long ago, such as 24h.
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    pub(crate) since: Option<SystemTime>,
    /// Only what began before this time (RFC 3339); or this long ago.
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    pub(crate) until: Option<SystemTime>,
    /// Only what ended so.
    #[arg(long, value_enum)]
    pub(crate) outcome: Option<Outcome>,
    /// At most this many of the newest entries.
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) last: u32,
}

fn point_in_time(text: &str) -> Result<SystemTime, String> {
    let wrong = "write a time such as 2026-01-31T12:00:00Z, or a duration such as 24h";
    match humantime::parse_rfc3339_weak(text) {
        Ok(time) => Ok(time),
        Err(_) => humantime::parse_duration(text)
            .ok()
            .and_then(|ago| SystemTime::now().checked_sub(ago))
            .ok_or_else(|| wrong.to_owned()),
    }
}

const CONFORM_HELP: &str = "\
Exit codes, in place of those of the other commands:
  0    all devices conform, as far as they were tested
  1    a device does not conform
  2    wrong argument or file; nothing was sent to a device
  3    inconclusive: a device did not respond, a case was undetermined, or nothing ran
  4    busy: another program uses the device; nothing was sent to it
  7    another device responds at the address, or a device of another vendor; nothing was changed
  70   a defect of this program or this machine
  74   the run is complete, but results, reports or output could not be written
  129, 130, 143  interrupted by SIGHUP, SIGINT, SIGTERM; continue with --resume

Examples:
  qkdctl conform polatis-rack3.toml --out observe
  qkdctl conform --uri sw1 --profile matrix-switch
  qkdctl conform polatis-rack3.toml --impact disruptive --out disruptive";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the drivers: families, kinds, buses, maturity.
    Drivers {
        /// Shows one driver in full: parameters, assumptions, unknowns, evidence.
        name: Option<String>,
    },
    /// Lists serial ports, USB devices and the inventory. Sends nothing.
    List,
    /// Finds out which driver fits.
    ///
    /// Passive by default: USB ids and the SNMP system group (a read that every agent allows). On a
    /// serial line or a TCP port nothing can be learned without sending; --active does so, and
    /// prints the bytes first. On some devices every byte is a command: look at the bytes before
    /// you agree.
    #[command(
        after_help = "Examples:\n  qkdctl probe\n  qkdctl probe snmp:192.0.2.9 --login noc\n  \
            qkdctl probe serial:/dev/ttyUSB0\n  qkdctl probe serial:/dev/ttyUSB0 --active --driver \
            polatis"
    )]
    Probe {
        /// serial:/dev/ttyUSB0, tcp:192.0.2.7:5025, snmp:192.0.2.9, usbip:192.0.2.4/1-1, or a
        /// device URI; none: this machine's USB devices.
        target: Option<String>,
        /// Sends the drivers' probe bytes, which are printed first.
        #[arg(long)]
        active: bool,
        /// Only this driver's probes; may be repeated.
        #[arg(long, value_name = "NAME")]
        driver: Vec<String>,
        /// Name of the credentials for SNMP.
        #[arg(long, value_name = "NAME")]
        login: Option<String>,
    },
    /// Shows who a device is, how it is, and what it can do.
    Info {
        #[arg(help = DEVICE_HELP)]
        device: String,
    },
    /// Reads parameters and telemetry.
    #[command(
        after_help = "Examples:\n  qkdctl get polatis+tcp://192.0.2.7\n  qkdctl get \
            polatis+tcp://192.0.2.7 boot-mode"
    )]
    Get {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// A parameter; none: all parameters and the telemetry.
        name: Option<String>,
    },
    /// Writes a parameter. A dry run unless --yes.
    #[command(
        after_help = "Example:\n  qkdctl set polatis+tcp://192.0.2.7 boot-mode=autosave --yes"
    )]
    Set {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Assignment of the form name=value.
        assignment: String,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
    /// Inspect and change optical switches.
    #[command(subcommand)]
    Switch(SwitchSubcommand),
    /// Keys of QKD modules.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Inspect and change encryptors.
    #[command(subcommand)]
    Encryptor(EncryptorCommand),
    /// Reads random bytes of a quantum random number generator into a file.
    #[command(
        after_help = "Example:\n  qkdctl random idq-quantis+usb:// --bytes 4096 --to random.bin"
    )]
    Random {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Number of bytes.
        #[arg(long, default_value_t = 1024)]
        bytes: usize,
        /// New file, made readable by you alone; none: the bytes are only counted and forgotten.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Shows how devices are, as it changes: health, states, keys, counters, paths, powers, events.
    ///
    /// On a terminal, a table that is drawn again in place; `q` leaves. Over a pipe, a line for
    /// each change and event, or a JSON document a line with --output json. Reads only, and keeps
    /// no other qkdctl from changing a device; a serial port or USB device is held while it is
    /// watched.
    #[command(after_help = WATCH_HELP)]
    Watch(Watch),
    /// Holds devices against the requirements of the conformance suite, and writes results and
    /// reports: the same as `qkd-conform run`.
    ///
    /// Reads only, unless --impact asks for more by name and the device's file allows it. Reports
    /// of several runs, keys, bundles and their verification are in qkd-conform.
    #[command(after_help = CONFORM_HELP)]
    Conform(qkd_conformance::cli::run::Arguments),
    /// Says what this machine lacks: permissions, udev rules, files, ports, clock. Reads only.
    #[command(
        after_help = "Exit codes: 0 if nothing failed, 1 if something did.\n\nExample:\n  qkdctl \
            doctor --output json"
    )]
    Doctor,
    /// Shows the journal of changes: what was tried, when, by whom, and how it ended. Reads only.
    #[command(after_help = JOURNAL_HELP)]
    Journal(Journal),
    /// Prints completions for a shell.
    #[command(after_help = "Example:\n  qkdctl completions bash > \
            ~/.local/share/bash-completion/completions/qkdctl")]
    Completions {
        /// Shell to generate completions for.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page; with --to, writes a page for each command.
    #[command(
        after_help = "Examples:\n  qkdctl man | man -l -\n  qkdctl man --to ~/.local/share/man/man1"
    )]
    Man {
        /// Folder for the files.
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
    },
    /// Start a testbed of most families on their real transports, use it, inject faults, print each
    /// step, and run the conformance suite.
    ///
    /// Needs no hardware and reads nothing of this host. Writes a page with the results, as a
    /// laboratory gets it for its own devices.
    #[command(
        after_help = "Exit codes: 0 if all was as it should be, 1 if not.\n\nExample:\n  qkdctl \
            demo --report /tmp/demo && xdg-open /tmp/demo/report.html"
    )]
    Demo {
        /// The seed of the emulators.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// A folder for the suite's results and reports.
        #[arg(long, value_name = "FOLDER", default_value = "qkd-demo-report")]
        report: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Makes a path, such as 1-17 (ingress-egress) or common-3; may be repeated or listed with
    /// commas. It takes its ports from whoever holds them.
    #[arg(long, value_name = "IN-OUT", value_delimiter = ',')]
    pub(crate) connect: Vec<CrossConnect>,
    /// Takes away the path at this port; may be repeated or listed with commas.
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub(crate) disconnect: Vec<Port>,
    /// Ports that the change may touch; if given, one that needs another port is refused.
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub(crate) ports: Vec<Port>,
}

const APPLY_HELP: &str = "\
Examples:
  qkdctl switch apply polatis+tcp://192.0.2.7 --connect 1-17 --disconnect 3 --yes
  qkdctl switch plan sw1 --connect 1-17 --out p.json
  qkdctl switch apply --plan p.json --yes";

const ATTENUATE_HELP: &str = "\
Examples:
  qkdctl switch attenuate sw1 17
  qkdctl switch attenuate sw1 17 loss=3.5 --yes";

const MONITOR_HELP: &str = "\
Examples:
  qkdctl switch monitor sw1 17
  qkdctl switch monitor sw1 17 averaging=50ms --yes
  qkdctl switch monitor sw1 17 alarms=-30..10 --yes";

#[derive(Debug, Subcommand)]
pub(crate) enum SwitchSubcommand {
    /// Shows paths, port states and powers.
    Show {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Only these ports; default: all.
        #[arg(long, value_name = "PORT", value_delimiter = ',')]
        ports: Vec<Port>,
    },
    /// Shows the steps of a change, and its digest. Sends nothing that changes.
    Plan {
        #[arg(help = DEVICE_HELP)]
        device: String,
        #[command(flatten)]
        change: Change,
        /// Writes the plan into this new file, for review and for `switch apply --plan`.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Carries out a change. A dry run unless --yes.
    #[command(after_help = APPLY_HELP)]
    Apply {
        #[arg(help = DEVICE_HELP, required_unless_present = "plan")]
        device: Option<String>,
        #[command(flatten)]
        change: Change,
        /// Applies the plan of this file, which `switch plan --out` wrote. It is refused if the
        /// switch has changed since. Without DEVICE, the device is that of the file.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "disconnect", "ports"])]
        plan: Option<PathBuf>,
        /// Only if the plan has this digest, as `plan` showed it.
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        /// Does it. Moves light: traffic on the plan's ports is disturbed.
        #[arg(long)]
        yes: bool,
    },
    /// Saves the present paths into a new file.
    Save {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// File to create; it must not exist.
        file: PathBuf,
    },
    /// Brings the paths back to those of a file. A dry run unless --yes.
    Restore {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// File made by `save`.
        file: PathBuf,
        /// Does it. Moves light: traffic on the plan's ports is disturbed.
        #[arg(long)]
        yes: bool,
    },
    /// Enables or disables a port. A dry run unless --yes.
    Port {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Port number.
        port: Port,
        /// State to set.
        state: PortSwitch,
        /// Does it. Disabling a port cuts its path.
        #[arg(long)]
        yes: bool,
    },
    /// Sets the attenuator of a port; without a setting, shows it. A dry run unless --yes.
    #[command(
        after_help = ATTENUATE_HELP
    )]
    Attenuate {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Port number.
        port: Port,
        /// transparent, maximum, loss=DB, output-power=DBM, or relative=DB:PORT.
        setting: Option<AttenuationArgument>,
        /// Does it. Changes the light at the port.
        #[arg(long)]
        yes: bool,
    },
    /// Sets the power monitor of a port; without a setting, shows it. A dry run unless --yes.
    #[command(
        after_help = MONITOR_HELP
    )]
    Monitor {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Port number.
        port: Port,
        /// wavelength=NM, averaging=TIME, alarms=LOW..HIGH (dBm), or alarms=off.
        #[arg(allow_hyphen_values = true)]
        setting: Option<MonitorArgument>,
        /// Does it. A change of alarm levels can trigger a protection group.
        #[arg(long)]
        yes: bool,
    },
    /// Protection: active path and its reason, settings, and external commands.
    #[command(subcommand)]
    Protect(ProtectCommand),
}

/// Wanted state of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PortSwitch {
    Enable,
    Disable,
}

#[derive(Debug, Args)]
pub(crate) struct ProtectTarget {
    #[arg(help = DEVICE_HELP)]
    pub(crate) device: String,
    /// The protection group, where there are several.
    #[arg(long)]
    pub(crate) group: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProtectCommand {
    /// Show the active path, its reason and time, and the status of all paths.
    Show {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Only this group; default: all.
        #[arg(long)]
        group: Option<String>,
    },
    /// Change settings of a group, in the given order. A dry run unless --yes.
    #[command(
        after_help = "Settings: mode=automatic|manual, preferred=PATH, revert=on|off, \
            wait-to-restore=SECONDS, threshold.PATH=DBM\n\nExample:\n  qkdctl switch protect set \
            scte-hms+snmp://192.0.2.8?credentials=noc revert=on wait-to-restore=300 --yes"
    )]
    Set {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Settings, such as mode=automatic.
        #[arg(required = true, value_name = "SETTING=VALUE")]
        settings: Vec<ProtectionSetting>,
        /// The protection group, where there are several.
        #[arg(long)]
        group: Option<String>,
        /// Apply the change. The device may switch over to another path.
        #[arg(long)]
        yes: bool,
    },
    /// Takes the standing command back. A dry run unless --yes.
    Clear {
        #[command(flatten)]
        target: ProtectTarget,
        /// Apply the change. The device may switch over to another path.
        #[arg(long)]
        yes: bool,
    },
    /// Keeps the signal on its preferred path, whatever happens. A dry run unless --yes.
    Lockout {
        #[command(flatten)]
        target: ProtectTarget,
        /// Does it. The group is not protected until it is cleared.
        #[arg(long)]
        yes: bool,
    },
    /// Goes to a path, whatever its light, and stays there. A dry run unless --yes.
    Force {
        #[command(flatten)]
        target: ProtectTarget,
        /// Path to select.
        path: String,
        /// Does it. Moves light: traffic is disturbed.
        #[arg(long)]
        yes: bool,
    },
    /// Goes to a path that is known to be well. A dry run unless --yes.
    Manual {
        #[command(flatten)]
        target: ProtectTarget,
        /// Path to select.
        path: String,
        /// Does it. Moves light: traffic is disturbed.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Shows state, performance and key store. Takes nothing.
    Status {
        #[arg(help = DEVICE_HELP)]
        device: String,
    },
    /// Starts key generation. A dry run unless --yes.
    #[command(after_help = "Example:\n  qkdctl key start alice --wait 5m --yes")]
    Start {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Follows the state until keys are generated, at most this long; none: until the device
        /// has accepted the command. Exit code 9 if it takes longer.
        #[arg(long, value_name = "TIME")]
        wait: Option<humantime::Duration>,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
    /// Stops key generation; stored keys stay. A dry run unless --yes.
    Stop {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Follows the state until no keys are generated, at most this long; none: until the
        /// device has accepted the command. Exit code 9 if it takes longer.
        #[arg(long, value_name = "TIME")]
        wait: Option<humantime::Duration>,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
    /// Calibrates the link, and waits for the end. A dry run unless --yes.
    Calibrate {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Does it. Interrupts key generation.
        #[arg(long)]
        yes: bool,
    },
    /// Takes keys into a file. They leave the store. A dry run unless --yes.
    #[command(
        after_help = "Examples:\n  qkdctl key take alice --count 2 --size 256 --to keys.json \
            --yes\n  qkdctl key take bob --id 6fa459ea-ee8a-4ca4-894e-db77e160355e --to twin.json \
            --yes"
    )]
    Take {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Number of new keys.
        #[arg(long, default_value_t = 1, conflicts_with = "id")]
        count: u32,
        /// Bits of each; none: the store's default.
        #[arg(long, conflicts_with = "id")]
        size: Option<u64>,
        /// Take the peer's key with this ID instead of a new key; may be repeated.
        #[arg(long, value_name = "ID")]
        id: Vec<qkd_hal::KeyId>,
        /// New file, made readable by you alone. Keys are never printed.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[arg(long, help = PLAIN_HTTP_HELP)]
        plain_http: bool,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
}

const PLAIN_HTTP_HELP: &str =
    "Accept that keys cross the network in clear, where a KME is reached by http";

const ROLL_HELP: &str = "\
Examples:
  qkdctl encryptor roll backbone --source qkd-link --yes
  qkdctl encryptor roll enc-a --peer enc-b --source qkd-a --peer-source qkd-b \\
    --yes";

/// A key that was staged.
#[derive(Debug, Args)]
pub(crate) struct StagedKey {
    /// ID of the staged key.
    #[arg(long, required_unless_present = "staged", conflicts_with = "staged")]
    pub(crate) id: Option<qkd_hal::KeyId>,
    /// The slot that `stage` named, where there are slots.
    #[arg(long, conflicts_with = "staged")]
    pub(crate) slot: Option<u8>,
    /// Output of `stage -o json`: the key with what the device reported then. Needed where a device
    /// does not report the ID of its key.
    #[arg(long, value_name = "FILE")]
    pub(crate) staged: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EncryptorCommand {
    /// Shows channels, slots and counters.
    Show {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Only this channel; default: all.
        #[arg(long)]
        channel: Option<String>,
    },
    /// Gives a channel a key that is not in use yet. A dry run unless --yes.
    Stage {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// The channel, as `show` names it.
        #[arg(long)]
        channel: String,
        /// File that `key take` wrote, with mode 600. Its first key is staged, or the one that
        /// --id names.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// ID of the key in the file; default: the first key.
        #[arg(long)]
        id: Option<qkd_hal::KeyId>,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
    /// Activate a staged key. May interrupt traffic on devices with forced re-initialisation. A dry
    /// run unless --yes.
    Activate {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Channel of the encryptor.
        #[arg(long)]
        channel: String,
        #[command(flatten)]
        key: StagedKey,
        /// Apply the change; without this option, only a dry run.
        #[arg(long)]
        yes: bool,
    },
    /// Waits until a staged key protects traffic. Changes nothing.
    ///
    /// For devices that use a staged key at their next key exchange, which no command starts, and
    /// for the end of a pair that does not activate.
    Confirm {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Channel of the encryptor.
        #[arg(long)]
        channel: String,
        #[command(flatten)]
        key: StagedKey,
        /// Longest time to wait; default: as the device declares.
        #[arg(long, value_name = "TIME")]
        longest: Option<humantime::Duration>,
    },
    /// Deletes the key before the one that is named. A dry run unless --yes.
    ///
    /// The named key must be confirmed to protect traffic; otherwise nothing is deleted.
    Retire {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Channel of the encryptor.
        #[arg(long)]
        channel: String,
        /// The key that stays.
        #[command(flatten)]
        key: StagedKey,
        /// Apply the change. The deleted key can no longer serve as fallback.
        #[arg(long)]
        yes: bool,
    },
    /// Destroys all keys of a channel. A dry run unless --yes.
    Zeroize {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// Channel of the encryptor.
        #[arg(long)]
        channel: String,
        /// Does it. Traffic stops, or passes unencrypted, as the failure mode of the channel says.
        #[arg(long)]
        yes: bool,
    },
    /// Switches encryption of a channel on or off. A dry run unless --yes.
    Encryption {
        #[arg(help = DEVICE_HELP)]
        device: String,
        /// State to set.
        state: Switched,
        /// Channel of the encryptor.
        #[arg(long)]
        channel: String,
        /// Does it. Off may let traffic pass unencrypted.
        #[arg(long)]
        yes: bool,
    },
    /// Rolls a pair over to a fresh key of a QKD pair. A dry run unless --yes.
    ///
    /// Stage on both ends, activate, confirm on both, retire. Pairs of encryptors and of QKD
    /// modules may be named in the inventory.
    ///
    /// If an earlier roll of the pair did not end, it comes first: it is finished with its key
    /// where both ends have it, without taking another one; otherwise a fresh key replaces its key
    /// at both ends. A dry run says which, and which traffic that disturbs.
    #[command(
        after_help = ROLL_HELP
    )]
    Roll(Roll),
}

/// State of encryption: on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switched {
    On,
    Off,
}

#[derive(Debug, Args)]
pub(crate) struct Roll {
    /// A pair of the inventory; or the first encryptor, by name or URI.
    pub(crate) device: String,
    /// The other encryptor, unless a pair was named.
    #[arg(long)]
    pub(crate) peer: Option<String>,
    /// The channel; none: that of the pair, or the only one.
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// The peer's channel; none: that of the pair, or the only one.
    #[arg(long)]
    pub(crate) peer_channel: Option<String>,
    /// A pair of QKD modules (or key deliveries) of the inventory; or the one that gives the new
    /// key.
    #[arg(long)]
    pub(crate) source: String,
    /// QKD module at the peer end, unless a pair was named.
    #[arg(long)]
    pub(crate) peer_source: Option<String>,
    /// Bits of the key; none: the greatest that both encryptors accept.
    #[arg(long)]
    pub(crate) size: Option<u64>,
    #[arg(long, help = PLAIN_HTTP_HELP)]
    pub(crate) plain_http: bool,
    /// Apply the change; without this option, only a dry run.
    #[arg(long)]
    pub(crate) yes: bool,
}
