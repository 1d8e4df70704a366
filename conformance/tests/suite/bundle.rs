//! From a run to a verified bundle, as a lab does it.

use std::{
    path::Path,
    process::{Command, Output},
};

fn conform(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn from_a_run_to_a_verified_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let dut = |name: &str| {
        std::fs::write(
            folder.path().join(format!("{name}.toml")),
            format!(
                "name = '{name}'\nprofile = 'one-by-n-switch'\nemulator = \
                 'agiltron-selfalign'\naccept = ['agiltron.acknowledged-is-moved']\n"
            ),
        )
        .unwrap();
        conform(
            folder.path(),
            &["run", &format!("{name}.toml"), "--out", name, "--quiet"],
        )
    };
    for name in ["one", "two"] {
        let (code, said) = dut(name);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("report.html")
                && said.contains("junit.xml")
                && said.contains("matrix.md"),
            "{said}"
        );
    }
    let says = |arguments: &[&str], code: i32, what: &str| {
        let (ended, said) = conform(folder.path(), arguments);
        assert!(
            ended == code && said.contains(what),
            "{arguments:?} ended with {ended}, and said: {said}"
        );
    };
    says(
        &[
            "report",
            "one/results.json",
            "two/results.json",
            "--out",
            "both",
        ],
        0,
        "report.html",
    );
    let page = std::fs::read_to_string(folder.path().join("both/report.html")).unwrap();
    assert!(page.contains(">one<") && page.contains(">two<"));
    says(
        &[
            "report",
            "one/results.json",
            "one/results.json",
            "--out",
            "twice",
        ],
        2,
        "`one` is in two",
    );
    says(
        &["report", "one.toml", "--out", "x"],
        2,
        "one.toml: not a result file",
    );

    says(&["keygen", "--out", "keys"], 0, "fingerprint ");
    says(&["keygen", "--out", "keys"], 2, "not overwritten");
    says(&["keygen", "--out", "others"], 0, "fingerprint ");
    let bundle = [
        "bundle",
        "both/results.json",
        "--key",
        "keys/lab.key",
        "--out",
        "lab.qkdreport",
    ];
    says(&bundle, 0, "signed");
    says(&bundle, 2, "never overwritten");
    says(
        &[
            "bundle",
            "both/results.json",
            "--key",
            "keys/lab.pub",
            "--out",
            "x",
        ],
        2,
        "lab.pub: others may read it",
    );
    says(
        &["verify", "lab.qkdreport", "--key", "keys/lab.pub"],
        0,
        "lab.qkdreport: valid",
    );
    says(&["verify", "lab.qkdreport"], 3, "NOT VERIFIED");
    says(
        &["verify", "lab.qkdreport", "--key", "others/lab.pub"],
        1,
        "did not sign it",
    );
    says(
        &["verify", "lab.qkdreport", "--key", "one.toml"],
        2,
        "does not contain an Ed25519 public key",
    );
    says(
        &["verify", "missing.qkdreport", "--key", "keys/lab.pub"],
        2,
        "missing.qkdreport",
    );
    says(
        &["verify", "one.toml", "--key", "keys/lab.pub"],
        1,
        "INVALID",
    );

    // Nothing that was said or written but the key file itself holds the private key.
    let secret = std::fs::read_to_string(folder.path().join("keys/lab.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let packed = std::fs::read(folder.path().join("lab.qkdreport")).unwrap();
    assert!(!packed.windows(secret.len()).any(|w| w == secret.as_bytes()));
}
