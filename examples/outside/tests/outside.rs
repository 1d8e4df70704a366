//! The example is as short as it claims to be, and it opens a device: here, the smallest thing that
//! answers like one.

use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
};

#[test]
fn forty_lines_or_fewer() {
    let lines = |text: &str| {
        text.lines()
            .filter(|l| !l.trim().is_empty() && !l.starts_with("//!"))
            .count()
    };
    let driver = lines(include_str!("../src/lib.rs"));
    for program in [
        include_str!("../src/main.rs"),
        include_str!("../src/bin/acme-conform.rs"),
    ] {
        assert!(
            driver + lines(program) <= 40,
            "{driver} and {} lines",
            lines(program)
        );
    }
}

#[tokio::test]
async fn a_driver_from_outside_opens_its_device_by_uri() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("acme+tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let reply = match line.to_ascii_lowercase().as_str() {
                    "*idn?" => "Polatis,N-OST-4x4-LA1-DMHNS,1,6.5\r\n",
                    line if line.contains("size?") => "4,4\r\n",
                    line if line.contains("stat?") => "(@),(@)\r\n",
                    _ => "0, \"No error\"\r\n",
                };
                let _ = writer.write_all(reply.as_bytes()).await;
            }
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_outside"))
        .arg(&uri)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "Polatis N-OST-4x4-LA1-DMHNS, serial 1, firmware 6.5"
    );
}

/// The vendor's own conformance program runs the whole suite with the vendor's driver, here on an
/// emulated device at an address, and distinguishes a defect from none.
#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_own_binary_runs_the_suite() {
    use qkd_emulators::{profile::Options, profiles};
    let folder = tempfile::tempdir().unwrap();
    let running = profiles::start("polatis-16x16", &Options::default())
        .await
        .unwrap();
    let address = running.ready().endpoints[0].address.clone();
    let dut = folder.path().join("acme.toml");
    std::fs::write(
        &dut,
        format!("profile = \"matrix-switch\"\nuri = \"acme+tcp://{address}\"\ndeadline = \"1s\"\n"),
    )
    .unwrap();
    let run = async |out: &str| {
        let out = folder.path().join(out);
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-conform"));
        command
            .arg("run")
            .arg(&dut)
            .args(["--only", "SWI", "--only", "DEV-01", "--out"])
            .arg(&out);
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let results: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(out.join("results.json")).unwrap())
                .unwrap();
        (output.status.code(), results)
    };
    let (code, results) = run("honest").await;
    assert_eq!(code, Some(0), "{results:?}");
    assert_eq!(results["runs"][0]["driver"]["name"], "acme");
    // Each reply has a wrong bit.
    running.fault("corrupt=1").unwrap();
    let (code, _) = run("defective").await;
    assert_eq!(code, Some(3), "it cannot even be opened");
}
