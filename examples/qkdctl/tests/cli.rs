//! The program from end to end: as a child process, against emulators on their real wires.

#![allow(clippy::unwrap_used)]

use qkd_emulators::profile::{self, Options, Running};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::net::TcpSocket;

/// A folder of its own for each test, and the runtime in which its emulators run.
struct Bench {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
    #[track_caller]
    fn says(self, what: &str) -> Self {
        assert!(self.out.contains(what), "no `{what}` on standard output: {self:#?}");
        self
    }
    #[track_caller]
    fn complains(self, what: &str) -> Self {
        assert!(self.err.contains(what), "no `{what}` on standard error: {self:#?}");
        assert_eq!(self.out, "", "an error leaves nothing on standard output");
        self
    }
    #[track_caller]
    fn never_repeats(self, what: &str) -> Self {
        assert!(!self.out.contains(what) && !self.err.contains(what), "`{what}` is repeated: {self:#?}");
        self
    }
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:#?}"))
    }
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { runtime, folder: tempfile::tempdir().unwrap() }
    }
    fn start(&self, profile: &str) -> Running {
        self.start_with(profile, Options::default())
    }
    /// A QKD pair with keys in store, which generates no more: the store changes only by what is taken.
    fn start_stored(&self, profile: &str) -> Running {
        self.start_with(profile, Options::default().with("running", false))
    }
    fn start_with(&self, profile: &str, options: Options) -> Running {
        self.runtime.block_on(profile::start(profile, &options.seeded(7))).unwrap()
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qkdctl"));
        for name in ["QKDCTL_CREDENTIALS", "QKDCTL_INVENTORY", "QKDCTL_LOG"] {
            command.env_remove(name);
        }
        for (name, value) in
            [("QKDCTL_JOURNAL", "journal.jsonl"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("HOME", "home")]
        {
            command.env(name, self.path(value));
        }
        let output = command.env("NO_COLOR", "1").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
    /// A credentials file with the entries of these emulators.
    fn credentials(&self, name: &str, of: &[&Running]) -> String {
        let all: String = of.iter().map(|r| std::fs::read_to_string(r.ready().credentials_file.as_ref().unwrap()).unwrap()).collect();
        self.private(name, &all)
    }
    fn private(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }
    fn journal_text(&self) -> String {
        std::fs::read_to_string(self.path("journal.jsonl")).unwrap_or_default()
    }
    fn journal(&self) -> Vec<Value> {
        self.journal_text().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
    /// The paths of a switch, such as `["1-17"]`.
    fn paths(&self, uri: &str) -> Vec<String> {
        let shown = self.run(["switch", "show", uri, "--output", "json"]).exits(0).json();
        paths_of(&shown["connections"])
    }
}

fn paths_of(connections: &Value) -> Vec<String> {
    match connections {
        Value::String(text) if text == "dark" || text.is_empty() => Vec::new(),
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        other => other.as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect(),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// An address at which nobody listens, nor can begin to as long as the socket is held.
fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (socket.local_addr().unwrap().to_string(), socket)
}

#[test]
fn a_switch_changes_only_with_yes() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    switch.fault("operator=connect:3-20").unwrap();
    let change = ["switch", "apply", uri, "--connect", "1-17", "--disconnect", "3"];
    bench.run(change).exits(0).says("dry run: nothing was changed; add --yes to do it").says("digest: ");
    assert_eq!(bench.paths(uri), ["3-20"], "a dry run changes nothing");
    assert_eq!(bench.journal(), Vec::<Value>::new(), "nor is it in the journal");

    let planned = bench.run(["switch", "plan", uri, "--connect", "1-17", "--disconnect", "3"]).exits(0).says("touches ports: 1, 3, 17, 20");
    let applied = bench.run(change.iter().chain(&["--yes"])).exits(0).says("read back and found as wanted");
    assert!(applied.out.starts_with(&planned.out), "what was planned is what was done: {planned:#?} {applied:#?}");
    assert_eq!(bench.paths(uri), ["1-17"]);
    bench.run(["switch", "apply", uri, "--connect", "1-17", "--yes"]).exits(0).says("nothing to do");
    bench.run(change.iter().chain(&["--yes"])).exits(2).complains("port 3 is not connected");

    let journal = bench.journal();
    assert_eq!(journal.len(), 2, "one change, two lines: {journal:#?}");
    for (line, outcome) in journal.iter().zip(["begun", "done"]) {
        assert_eq!((line["operation"].as_str(), line["outcome"].as_str(), line["device"].as_str()), (Some("apply"), Some(outcome), Some(uri)));
    }
}

#[test]
fn json_is_the_same_wherever_it_is_asked_for() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let before = bench.run(["--output", "json", "switch", "plan", uri, "--connect", "1-17"]).exits(0);
    let after = bench.run(["switch", "plan", uri, "--connect", "1-17", "--output", "json"]).exits(0);
    let between = bench.run(["switch", "--output", "json", "plan", uri, "--connect", "1-17"]).exits(0);
    assert!(before.json().is_object());
    assert_eq!(before.json(), after.json());
    assert_eq!(before.json(), between.json());
    let wrong = bench.run(["switch", "plan", uri, "--connect", "1-99", "--output", "json"]).exits(2);
    let told: Value = serde_json::from_str(&wrong.err).unwrap();
    assert_eq!((told["error"]["kind"].as_str(), wrong.out.as_str()), (Some("invalid-input"), ""));
}

#[test]
fn a_wrong_change_is_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["switch", "apply", uri, "--connect", "1-99", "--yes"]).exits(2).complains("99");
    bench.run(["switch", "apply", uri, "--disconnect", "40", "--yes"]).exits(2).complains("40");
    bench.run(["switch", "apply", uri, "--yes"]).exits(2).complains("--connect 1-17");
    bench.run(["switch", "apply", uri, "--connect", "seventeen", "--yes"]).exits(2).complains("seventeen");
    bench.run(["switch", "apply", uri, "--connect", "1-17", "--ports", "1", "--yes"]).exits(2).complains("17");
    assert_eq!(bench.paths(uri), Vec::<String>::new());
    assert_eq!(bench.journal(), Vec::<Value>::new());
}

#[test]
fn paths_are_saved_and_restored_on_the_same_switch() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["switch", "apply", uri, "--connect", "1-17,2-18", "--yes"]).exits(0);
    let file = bench.path("paths.json").display().to_string();
    bench.run(["switch", "save", uri, &file]).exits(0).says("2 paths saved");
    bench.run(["switch", "save", uri, &file]).exits(2).complains("paths.json");
    bench.run(["switch", "apply", uri, "--disconnect", "1", "--connect", "2-19", "--yes"]).exits(0);
    bench.run(["switch", "restore", uri, &file]).exits(0).says("dry run");
    assert_eq!(bench.paths(uri), ["2-19"]);
    bench.run(["switch", "restore", uri, &file, "--yes"]).exits(0).says("found as wanted");
    assert_eq!(bench.paths(uri), ["1-17", "2-18"]);

    switch.fault("identity=999999").unwrap();
    bench.run(["switch", "restore", uri, &file, "--yes"]).exits(7).complains("another switch");
    let nonsense = bench.private("nonsense.json", "{}");
    bench.run(["switch", "restore", uri, &nonsense, "--yes"]).exits(2).complains("nonsense.json");
}

#[test]
fn a_plan_whose_state_has_moved_on_is_not_carried_out() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let digest = |run: &Run| run.out.lines().find_map(|l| l.strip_prefix("digest: ")).unwrap().to_owned();
    let seen = digest(&bench.run(["switch", "plan", uri, "--connect", "1-17"]).exits(0));
    switch.fault("operator=connect:2-17").unwrap();
    bench.run(["switch", "apply", uri, "--connect", "1-17", "--digest", &seen, "--yes"]).exits(7).complains("moved on");
    assert_eq!(bench.paths(uri), ["2-17"], "nothing was changed");
    let again = digest(&bench.run(["switch", "plan", uri, "--connect", "1-17"]).exits(0));
    assert_ne!(seen, again);
    bench.run(["switch", "apply", uri, "--connect", "1-17", "--digest", &again, "--yes"]).exits(0);
    assert_eq!(bench.paths(uri), ["1-17"]);
}

#[test]
fn a_wrong_uri_is_told_with_what_would_be_right() {
    let bench = Bench::new();
    for (uri, right) in [
        ("polatis://192.0.2.7", "driver+transport://address"),
        ("polatis+tcp://192.0.2.7:0", "1 to 65535"),
        ("polatis+tcp://192.0.2.7#here", "driver+transport://address"),
        ("sw1", "driver+transport://address"),
        ("polatis+avian://192.0.2.7", "polatis+tcp://192.0.2.7:5025"),
        ("nobody+tcp://192.0.2.7", "polatis"),
        ("polatis+tcp://192.0.2.7?speed=1", "deadline"),
        ("polatis+tcp://192.0.2.7?assume=x", "polatis.error-codes-scpi99"),
        ("agiltron+serial:///dev/null?model=ff", "number of channels"),
    ] {
        bench.run(["info", uri]).exits(2).complains(right);
    }
    bench.run(["--assume", "polatis.error-codes", "info", "polatis+tcp://192.0.2.7"]).exits(2).complains("polatis.error-codes-scpi99");
}

#[test]
fn a_secret_in_a_uri_is_refused_and_never_repeated() {
    let bench = Bench::new();
    for uri in [
        "polatis+tcp://192.0.2.7?password=hunter22",
        "nokia-sros-macsec+snmp://192.0.2.7?auth_password=hunter22",
        "packetlight+snmp://192.0.2.7?priv-password=hunter22",
        "polatis+tcp://admin:hunter22@192.0.2.7",
    ] {
        for output in ["table", "json"] {
            bench.run(["info", uri, "-vv", "--output", output]).exits(2).never_repeats("hunter22").complains("credentials=");
            bench.run(["probe", uri, "--output", output]).exits(2).never_repeats("hunter22").complains("credentials=");
        }
    }
    // Not even where it is no URI at all.
    for text in ["polatis+tcp:192.0.2.7?password=hunter22", "admin:hunter22@192.0.2.7", "polatis+tcp://192.0.2.7 ?password=hunter22"] {
        bench.run(["info", text]).exits(2).never_repeats("hunter22");
        bench.run(["probe", text]).exits(2).never_repeats("hunter22");
    }
    let inventory = bench.private("inventory.toml", "[devices.sw1]\nuri = 'polatis+tcp://192.0.2.7?password=hunter22'\n");
    bench.run(["--inventory", &inventory, "info", "sw1"]).exits(2).never_repeats("hunter22").complains("sw1");
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let bench = Bench::new();
    let (address, _held) = nobody();
    let gone = format!("polatis+tcp://{address}");
    bench.run(["switch", "apply", &gone, "--connect", "1-17", "--yes"]).exits(3).complains("the device did not change");

    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["key", "status", uri]).exits(5);
    bench.run(["encryptor", "show", uri]).exits(5);
    bench.run(["set", uri, "network-address=192.0.2.9", "--yes"]).exits(5).complains("can only be read");
    bench.run(["set", uri, "no-such=1", "--yes"]).exits(2).complains("boot-mode");
    switch.fault("refuse=1").unwrap();
    bench.run(["switch", "apply", uri, "--connect", "1-17", "--yes"]).exits(1).complains("the device did not change");
    assert_eq!(bench.paths(uri), Vec::<String>::new());

    let pair = bench.start("nokia-sros-macsec-pair");
    let uri = pair.ready().uri.as_str();
    let good = bench.credentials("good.toml", &[&pair]);
    bench.run(["info", uri, "--credentials", &good]).exits(0).says("Nokia");
    let secret = pair.ready().credentials.as_ref().unwrap().auth_password.clone();
    let text = std::fs::read_to_string(&good).unwrap().replace(&secret, "another-password");
    let wrong = bench.private("wrong.toml", &text);
    bench.run(["info", uri, "--credentials", &wrong]).exits(6).never_repeats("another-password");
    bench.run(["info", uri]).exits(6).complains("noc");
    std::fs::set_permissions(&good, Permissions::from_mode(0o644)).unwrap();
    bench.run(["info", uri, "--credentials", &good]).exits(6).never_repeats(&secret).complains("good.toml");
}

#[test]
fn an_assumption_that_nobody_accepted_is_named() {
    let bench = Bench::new();
    let pair = bench.start("packetlight-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = pair.ready().uri.as_str();
    let key = bench.private("key.json", &format!(r#"[{{"id":"6fa459ea-ee8a-4ca4-894e-db77e160355e","hex":"{}"}}]"#, "5a".repeat(32)));
    let shown = bench.run(["encryptor", "show", uri, "--credentials", &credentials, "--output", "json"]).exits(0).json();
    let channel = shown[0]["status"]["channel"].as_str().unwrap();
    let stage = ["encryptor", "stage", uri, "--channel", channel, "--key", &key, "--credentials", &credentials, "--yes"];
    let id = "packetlight.preshared-at-next-exchange";
    bench.run(stage).exits(5).never_repeats("5a5a5a").complains(id);
    bench.run(stage.iter().chain(&["--assume", id])).exits(0).never_repeats("5a5a5a").says("is staged");
    assert!(!bench.journal_text().contains("5a5a5a"));
}

#[test]
fn keys_are_taken_into_files_and_shown_nowhere() {
    let bench = Bench::new();
    let pair = bench.start_stored("etsi014-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let [near, far] = [0, 1].map(|n| pair.ready().uris[n].clone());
    let [key, twin] = ["key.json", "twin.json"].map(|n| bench.path(n));
    let [key_file, twin_file] = [&key, &twin].map(|p| p.display().to_string());
    let run = |arguments: &[&str]| bench.run(arguments.iter().chain(&["--credentials", credentials.as_str(), "-vv"]));
    let stored = || run(&["key", "status", &near, "--output", "json"]).exits(0).json()["key_store"]["stored"].as_u64().unwrap();

    let at_first = stored();
    run(&["key", "take", &near, "--size", "256", "--to", &key_file]).exits(0).says("dry run");
    assert!(!key.exists() && bench.journal().is_empty());
    assert_eq!(stored(), at_first, "a dry run takes nothing");

    let taken = run(&["key", "take", &near, "--size", "256", "--to", &key_file, "--yes"]).exits(0);
    assert_eq!((mode(&key), stored()), (0o600, at_first - 1));
    let entries: Value = serde_json::from_slice(&std::fs::read(&key).unwrap()).unwrap();
    let (id, hex) = (entries[0]["id"].as_str().unwrap(), entries[0]["hex"].as_str().unwrap());
    assert_eq!(hex.len(), 64);
    let taken = taken.says(id);

    let before = std::fs::read(&key).unwrap();
    run(&["key", "take", &near, "--to", &key_file, "--yes"]).exits(2);
    assert_eq!((std::fs::read(&key).unwrap(), stored()), (before, at_first - 1), "a file that exists is kept, and no key is taken for it");

    let same = run(&["key", "take", &far, "--id", id, "--to", &twin_file, "--yes"]).exits(0).says(id);
    let twins: Value = serde_json::from_slice(&std::fs::read(&twin).unwrap()).unwrap();
    assert_eq!((twins, mode(&twin)), (entries.clone(), 0o600), "the twin is the same key, by id and by value");
    let spent = bench.path("spent.json");
    let again = run(&["key", "take", &far, "--id", id, "--to", &spent.display().to_string(), "--yes"]);
    assert_ne!(again.code, 0, "a twin comes once: {again:#?}");
    assert!(!spent.exists(), "no key, no file");

    let journal = bench.journal_text();
    for text in [&taken.out, &taken.err, &same.out, &same.err, &journal] {
        assert!(!text.to_ascii_lowercase().contains(&hex[..16]), "{text}");
    }
    let outcomes: Vec<_> = bench.journal().iter().map(|l| l["outcome"].as_str().unwrap().split(':').next().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["begun", "done", "begun", "done", "begun", "not-found"]);
}

#[test]
fn a_pair_of_encryptors_rolls_over_to_a_key_of_a_qkd_pair() {
    for source in ["etsi014-pair", "veriqloud-qline-pair"] {
        let bench = Bench::new();
        let (boxes, keys) = (bench.start("nokia-sros-macsec-pair"), bench.start_stored(source));
        let with_files: Vec<&Running> = [&boxes, &keys].into_iter().filter(|r| r.ready().credentials_file.is_some()).collect();
        let credentials = bench.credentials("credentials.toml", &with_files);
        let (b, k) = (&boxes.ready().uris, &keys.ready().uris);
        let roll = ["encryptor", "roll", &b[0], "--peer", &b[1], "--source", &k[0], "--peer-source", &k[1], "--credentials", &credentials, "--output", "json"];
        let stored = || bench.run(["key", "status", &k[0], "--credentials", &credentials, "--output", "json"]).exits(0).json()["key_store"]["stored"].clone();
        let before = stored();
        // No key is spent on a roll that would stop in the middle, whichever assumption it is.
        for missing in NOKIA {
            let others: Vec<_> = NOKIA.into_iter().filter(|id| *id != missing).collect();
            let accepted = accepting(&others);
            bench.run(roll.iter().copied().chain(["--yes"]).chain(accepted.iter().map(String::as_str))).exits(5).complains(missing);
        }
        let accepted = accepting(&NOKIA);
        let dry = bench.run(roll.iter().copied().chain(accepted.iter().map(String::as_str))).exits(0).json();
        assert_eq!(dry["applied"], Value::Bool(false));
        assert_eq!(stored(), before, "no key was taken by a roll that was refused, or a dry run");
        assert_eq!(bench.journal(), Vec::<Value>::new());
        let rolled = bench.run(roll.iter().copied().chain(["--yes"]).chain(accepted.iter().map(String::as_str))).exits(0).json();
        assert_eq!((&rolled["near"]["confirmed"], &rolled["far"]["confirmed"]), (&Value::Bool(true), &Value::Bool(true)), "{rolled:#}");
        let last = bench.journal().pop().unwrap();
        assert_eq!((last["operation"].as_str(), last["outcome"].as_str()), (Some("roll"), Some("done")));
    }
}

const NOKIA: [&str; 4] =
    ["nokia-sros-macsec.cak-is-hex", "nokia-sros-macsec.slot-in-one-pdu", "nokia-sros-macsec.idle-slot-receives", "nokia-sros-macsec.destroy-zeroizes"];

fn accepting(ids: &[&str]) -> Vec<String> {
    ids.iter().flat_map(|id| ["--assume".to_owned(), (*id).to_owned()]).collect()
}

#[test]
fn keys_that_differ_are_not_confirmed() {
    let bench = Bench::new();
    let boxes = bench.start("nokia-sros-macsec-pair");
    let credentials = bench.credentials("credentials.toml", &[&boxes]);
    let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    let accepted = accepting(&NOKIA);
    let run = |arguments: &[&str]| bench.run(arguments.iter().copied().chain(["--credentials", &credentials]).chain(accepted.iter().map(String::as_str)));
    let mut slots = Vec::new();
    for (uri, byte) in boxes.ready().uris.iter().zip(["5a", "6b"]) {
        let file = bench.private(&format!("{byte}.json"), &format!(r#"[{{"id":"{id}","hex":"{}"}}]"#, byte.repeat(16)));
        let staged = run(&["encryptor", "stage", uri, "--channel", "ca1", "--key", &file, "--yes", "--output", "json"]).exits(0).json();
        slots.push(staged["slot"].to_string());
    }
    // The first end is sent to a key that the second does not have; so is the second.
    for (uri, slot) in boxes.ready().uris.iter().zip(&slots) {
        let activate = ["encryptor", "activate", uri, "--channel", "ca1", "--id", id, "--slot", slot];
        run(&activate).exits(0).says("dry run");
        run(&[&activate[..], &["--yes"]].concat()).exits(8).says("NOT CONFIRMED");
    }
    assert!(!bench.journal_text().contains("5a5a5a") && !bench.journal_text().contains("6b6b6b"));
}

#[test]
fn a_probe_shows_its_bytes_before_it_sends_them() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let target = format!("tcp:{}", switch.ready().endpoints[0].address);
    bench.run(["probe", &target, "--driver", "polatis"]).exits(0).says("--active would send").says("*idn?").says("no driver was recognised");
    let active = bench.run(["probe", &target, "--driver", "polatis", "--active"]).exits(0).says("fits: polatis");
    let (sending, answered) = (active.out.find("sending for polatis: ").unwrap(), active.out.find("polatis answered").unwrap());
    assert!(sending < answered && active.out[sending..answered].contains("*idn?"), "{active:#?}");
    let json = bench.run(["probe", &target, "--driver", "polatis", "--active", "--output", "json"]).exits(0);
    assert_eq!(json.json()["drivers"][0], "polatis");
    assert!(json.err.contains("sending for polatis: *idn?"), "{json:#?}");
    // Told before, also where nothing can be sent.
    let (address, _held) = nobody();
    let nobody = bench.run(["probe", &format!("tcp:{address}"), "--driver", "polatis", "--active"]).exits(3);
    assert!(nobody.out.starts_with("sending for polatis: *idn?"), "{nobody:#?}");
}

#[test]
fn devices_are_named_listed_and_described() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let inventory = bench.private("inventory.toml", &format!("[devices.sw1]\nuri = {:?}\nassume = ['polatis.error-codes-scpi99']\n", switch.ready().uri));
    let run = |arguments: &[&str]| bench.run(["--inventory", &inventory].iter().chain(arguments));
    let listed = run(&["list", "--output", "json"]).exits(0).json();
    assert_eq!((listed["inventory"][0]["name"].as_str(), listed["inventory"][0]["uri"].as_str()), (Some("sw1"), Some(switch.ready().uri.as_str())));
    run(&["list"]).exits(0).says("sw1");
    run(&["info", "sw1"]).exits(0).says("002414").says("polatis.error-codes-scpi99 (accepted)").says("polatis.serial-38400 (not accepted)");
    assert_eq!(run(&["info", "sw1", "--output", "json"]).exits(0).json()["identity"]["serial"], "002414");
    run(&["info", "sw2"]).exits(2).complains("it names: sw1");

    let drivers = bench.run(["drivers", "--output", "json"]).exits(0).json();
    let names: Vec<_> = drivers.as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    for name in ["agiltron", "etsi014", "idq-quantis", "nokia-sros-macsec", "packetlight", "polatis", "veriqloud-qline"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    bench.run(["drivers", "polatis"]).exits(0).says("polatis.error-codes-scpi99");
    bench.run(["drivers", "nobody"]).exits(2).complains("polatis");
}

#[test]
fn a_parameter_is_read_and_written() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let value = || bench.run(["get", uri, "boot-mode"]).exits(0).out.trim().to_owned();
    let before = value();
    let spec = bench.run(["get", uri, "boot-mode", "--output", "json"]).exits(0).json();
    let other = ["dark", "autosave"].into_iter().find(|v| *v != before).unwrap();
    assert!(spec["values"].as_str().unwrap().contains(other), "{spec:#}");
    let assignment = format!("boot-mode={other}");
    bench.run(["set", uri, &assignment]).exits(0).says("dry run");
    assert_eq!((value(), bench.journal()), (before, Vec::new()));
    bench.run(["set", uri, &assignment, "--yes"]).exits(0).says(&format!("-> {other}"));
    assert_eq!(value(), other);
    bench.run(["set", uri, "boot-mode=sideways", "--yes"]).exits(2).complains("autosave");
    bench.run(["set", uri, "boot-mode", "--yes"]).exits(2).complains("name=value");
    let journal = bench.journal();
    assert_eq!(journal.iter().map(|l| l["outcome"].as_str().unwrap()).collect::<Vec<_>>(), ["begun", "done"]);
    bench.run(["get", uri]).exits(0).says("boot-mode").says("Telemetry");
}

#[test]
fn random_bytes_go_into_a_new_private_file() {
    let bench = Bench::new();
    let source = bench.start("idq-quantis");
    let uri = source.ready().uri.as_str();
    let path = bench.path("random.bin");
    let file = path.display().to_string();
    bench.run(["random", uri, "--bytes", "5000", "--to", &file]).exits(0).says("5000 random bytes");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len(), mode(&path)), (5000, 0o600));
    assert!(bytes.iter().any(|b| *b != bytes[0]));
    bench.run(["random", uri, "--bytes", "16", "--to", &file]).exits(2).complains("never overwritten");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    bench.run(["random", uri, "--bytes", "16"]).exits(0).says("forgotten");
    source.fault("unplug").unwrap();
    let none = bench.path("none.bin");
    bench.run(["random", uri, "--bytes", "16", "--to", &none.display().to_string()]).exits(3);
    assert!(!none.exists(), "no bytes, no file");
}

#[test]
fn readers_share_a_device_and_a_change_has_it_alone() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["switch", "show", uri]).exits(0);
    let locks: Vec<_> = std::fs::read_dir(bench.path("run/qkdctl")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(locks.len(), 1, "one device, one lock: {locks:?}");
    let apply = ["switch", "apply", uri, "--connect", "1-17", "--yes"];
    let held = File::options().read(true).write(true).open(&locks[0]).unwrap();
    held.try_lock().unwrap();
    bench.run(["switch", "show", uri]).exits(4).complains("another qkdctl");
    bench.run(apply).exits(4).complains("the device did not change");
    held.unlock().unwrap();
    held.try_lock_shared().unwrap();
    bench.run(apply).exits(4).complains("another qkdctl");
    assert_eq!(bench.paths(uri), Vec::<String>::new(), "readers share the device, and nothing has changed");
    drop(held);
    bench.run(apply).exits(0);
    assert_eq!(bench.paths(uri), ["1-17"]);
}

/// Whatever exchange the line breaks at, what is said of the effect is true of the switch.
#[test]
fn a_line_that_breaks_in_mid_change_is_told_truthfully() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = format!("{}?deadline=2s", switch.ready().uri);
    let mut codes = Vec::new();
    for after in 0.. {
        assert!(after < 40, "the change never succeeds: {codes:?}");
        switch.fault("operator=clear").unwrap();
        switch.fault(&format!("hangup@after={after}")).unwrap();
        let run = bench.run(["switch", "apply", &uri, "--connect", "1-17", "--yes"]);
        switch.fault("clear").unwrap();
        let changed = bench.paths(&uri) == ["1-17"];
        match run.code {
            0 => assert!(changed, "{run:#?}"),
            3 => assert!(!changed && run.err.contains("the device did not change"), "{run:#?}"),
            8 => assert!(run.err.contains("the device may have changed") || run.err.contains("the device changed in part"), "{run:#?}"),
            _ => panic!("{after}: {run:#?}"),
        }
        if run.code == 8 {
            let last = bench.journal().pop().unwrap();
            assert!(last["outcome"].as_str().unwrap().contains("changed"), "{last:#}");
        }
        codes.push((run.code, changed));
        if run.code == 0 {
            break;
        }
    }
    assert_eq!(codes[0], (3, false));
    assert!(codes.contains(&(8, true)), "some break comes when the switch has moved: {codes:?}");
    assert!(bench.journal().len().is_multiple_of(2), "each change has its two lines");
}

#[test]
fn an_emulator_that_ends_is_nobody_there() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.clone();
    bench.run(["switch", "apply", &uri, "--connect", "1-17", "--yes"]).exits(0);
    let address = switch.ready().endpoints[0].address.parse().unwrap();
    drop(switch);
    // The port is free once the emulator has let go of it, and nobody else gets it then.
    let held = std::iter::repeat_with(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).map(|()| socket)
    });
    let _held = held.take(100_000).find_map(Result::ok).expect("the emulator ends");
    bench.run(["switch", "apply", &uri, "--connect", "2-18", "--yes"]).exits(3).complains("the device did not change");
    assert_eq!(bench.journal().len(), 2, "what was never begun is not in the journal");
}
