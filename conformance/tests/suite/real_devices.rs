//! The files of real devices in `duts/real/`.

use qkd_conformance::Dut;
use qkd_hal::{DeviceKind, DeviceUri, ErrorKind};
use qkd_hardware::OpenContext;
use std::path::Path;

/// The connection that `drivers/strongswan/src/docs.md` has as its example.
const CONNECTION: &str = r#"
[connections.net]
version = 2
local_addrs = ["192.0.2.1"]
remote_addrs = ["192.0.2.2"]
proposals = ["aes256gcm16-prfsha256-x25519"]
[connections.net.local]
auth = "psk"
id = "a.example"
[connections.net.remote]
auth = "psk"
id = "b.example"
[connections.net.children.lan]
local_ts = ["10.0.1.0/24"]
remote_ts = ["10.0.2.0/24"]
esp_proposals = ["aes256gcm16-x25519"]
"#;

#[tokio::test]
async fn each_file_of_a_real_device_names_a_pair_that_its_driver_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("duts/real");
    let registry = qkd_hardware::registry();
    let mut drivers = Vec::new();
    let connection = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(connection.path(), CONNECTION).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let file = path.display();
        let dut = Dut::read(&path).unwrap();
        assert!(dut.channel.is_some(), "{file} allows no changes");
        for uri in [dut.uri.unwrap(), dut.peer.unwrap()] {
            // The examples name files that do not exist here.
            let own = format!("connections={}", connection.path().display());
            let uri = ["a", "b"].iter().fold(uri, |uri, end| {
                uri.replace(&format!("connections=/etc/qkd/{end}.toml"), &own)
            });
            let uri: DeviceUri = uri.parse().unwrap();
            let driver = registry.driver(uri.driver()).unwrap();
            assert!(
                driver.info().kinds.contains(&DeviceKind::Encryptor),
                "{file}"
            );
            drivers.push(format!("{}+{}", uri.driver(), uri.transport()));
            // There is no device, and nothing else is wrong.
            let error = registry
                .open_uri(&uri, &OpenContext::new())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{file}: {error}");
        }
    }
    drivers.sort();
    drivers.dedup();
    let expected = [
        "linux-macsec+netlink",
        "linux-macsec+unixgram",
        "strongswan+unix",
        "wireguard+netlink",
        "wireguard+unix",
    ];
    assert_eq!(drivers, expected);
}
