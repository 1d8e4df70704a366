//! The example is as short as it claims to be, and it opens a device: here, the smallest thing that answers like one.

use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
};

#[test]
fn twenty_lines_or_fewer() {
    let lines = include_str!("../src/main.rs").lines().filter(|l| !l.trim().is_empty()).count();
    assert!(lines <= 20, "{lines} lines");
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
    let output = Command::new(env!("CARGO_BIN_EXE_outside")).arg(&uri).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "Polatis N-OST-4x4-LA1-DMHNS, serial 1, firmware 6.5");
}
