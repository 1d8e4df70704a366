//! A bench: the program as a child process, and emulators on their real wires.

use crate::schemas;
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::net::TcpSocket;

/// A folder of its own for each test, and the runtime in which its emulators run.
pub(crate) struct Bench {
    pub(crate) runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

/// Result of one run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
    #[track_caller]
    pub(crate) fn expect_text(self, what: &str) -> Self {
        assert!(
            self.out.contains(what),
            "no `{what}` on standard output: {self:#?}"
        );
        self
    }
    #[track_caller]
    pub(crate) fn complains(self, what: &str) -> Self {
        assert!(
            self.err.contains(what),
            "no `{what}` on standard error: {self:#?}"
        );
        assert_eq!(self.out, "", "an error leaves nothing on standard output");
        self
    }
    #[track_caller]
    pub(crate) fn never_repeats(self, what: &str) -> Self {
        assert!(
            !self.out.contains(what) && !self.err.contains(what),
            "`{what}` is repeated: {self:#?}"
        );
        self
    }
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let document =
            serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:#?}"));
        schemas::check(&document);
        document
    }
    /// The document of an error, on standard error.
    #[track_caller]
    pub(crate) fn error_json(&self) -> Value {
        let document =
            serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("not JSON ({e}): {self:#?}"));
        schemas::check(&document);
        document
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            folder: tempfile::tempdir().unwrap(),
        }
    }
    pub(crate) fn start(&self, profile: &str) -> RunningEmulator {
        self.start_with(profile, Options::default())
    }
    /// A QKD pair with keys in store, which generates no more: the store changes only by what is
    /// taken.
    pub(crate) fn start_stored(&self, profile: &str) -> RunningEmulator {
        self.start_with(profile, Options::default().with("running", false))
    }
    pub(crate) fn start_with(&self, profile: &str, options: Options) -> RunningEmulator {
        self.runtime
            .block_on(profiles::start(profile, &options.seeded(7)))
            .unwrap()
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    /// The program, with nothing of this user's.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qkdctl"));
        for name in [
            "QKDCTL_CREDENTIALS",
            "QKDCTL_INVENTORY",
            "QKDCTL_LOG",
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
        ] {
            command.env_remove(name);
        }
        for (name, value) in [
            ("QKDCTL_JOURNAL", "journal.jsonl"),
            ("QKD_LOCK_FOLDER", "locks"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("HOME", "home"),
        ] {
            command.env(name, self.path(value));
        }
        command.args(arguments);
        command
    }
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
    /// A credentials file with the entries of these emulators.
    pub(crate) fn credentials(&self, name: &str, of: &[&RunningEmulator]) -> String {
        let all: String = of
            .iter()
            .map(|r| std::fs::read_to_string(r.ready().credentials_file.as_ref().unwrap()).unwrap())
            .collect();
        self.private(name, &all)
    }
    pub(crate) fn private(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }
    pub(crate) fn journal_text(&self) -> String {
        std::fs::read_to_string(self.path("journal.jsonl")).unwrap_or_default()
    }
    pub(crate) fn journal(&self) -> Vec<Value> {
        self.journal_text()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }
    /// Waits until something holds, which a fault of an emulator makes last long.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < end, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// Waits for a line of the journal.
    #[track_caller]
    pub(crate) fn until_journal(&self, line: impl Fn(&Value) -> bool) {
        self.until("a line of the journal", || {
            let text = self.journal_text();
            let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
            lines.into_iter().any(|l: Value| line(&l))
        });
    }
    /// The paths of a switch, such as `["1-17"]`.
    pub(crate) fn paths(&self, uri: &str) -> Vec<String> {
        let shown = self
            .run(["switch", "show", uri, "--output", "json"])
            .exits(0)
            .json();
        paths_of(&shown["connections"])
    }
}

pub(crate) fn paths_of(connections: &Value) -> Vec<String> {
    match connections {
        Value::String(text) if text == "dark" || text.is_empty() => Vec::new(),
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        other => other
            .as_array()
            .unwrap()
            .iter()
            .map(|c| format!("{}-{}", c["ingress"], c["egress"]))
            .collect(),
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Returns an address at which no process listens, nor can start to while the socket exists.
pub(crate) fn closed_port() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (socket.local_addr().unwrap().to_string(), socket)
}
