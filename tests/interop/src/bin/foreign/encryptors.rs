//! Tools of strongSwan and WireGuard on our emulators: `swanctl` rolls a PPK, and `wg` changes a
//! preshared key.

use crate::{block_on, expect, print_check, tool};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use std::path::Path;

/// Made for this check.
const IKE_SECRET: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
const NEW_PPK: &str = "0x2222222222222222222222222222222222222222222222222222222222222222";

async fn start(name: &str, options: &Options) -> Result<(RunningEmulator, [String; 2]), String> {
    let running = profiles::start(name, options)
        .await
        .map_err(|e| format!("{name}: {e}"))?;
    let addresses = running.ready().endpoints.iter().map(|e| e.address.clone());
    let addresses: Vec<_> = addresses.collect();
    let addresses = addresses.try_into().map_err(|_| "there are two ends")?;
    Ok((running, addresses))
}

/// The file of an end, with a new PPK, as `swanctl.conf` has it.
fn configuration(end: usize) -> String {
    let (own, other) = (end + 1, 2 - end);
    let identities = ["a.test", "b.test"];
    let (local, remote) = (identities[end], identities[1 - end]);
    format!(
        "connections {{\n net {{\n version = 2\n local_addrs = 192.0.2.{own}\n remote_addrs = \
         192.0.2.{other}\n proposals = aes256gcm16-prfsha256-x25519\n unique = never\n ppk_id = \
         check\n ppk_required = yes\n local {{\n auth = psk\n id = {local}\n }}\n remote {{\n \
         auth = psk\n id = {remote}\n }}\n children {{\n net {{\n local_ts = \
         10.99.{own}.1/32\n remote_ts = 10.99.{other}.1/32\n esp_proposals = \
         aes256gcm16-x25519\n }}\n }}\n }}\n}}\nsecrets {{\n ike-1 {{\n id-1 = a.test\n id-2 = \
         b.test\n secret = {IKE_SECRET}\n }}\n ppk-1 {{\n id-1 = check\n secret = {NEW_PPK}\n \
         }}\n}}\n"
    )
}

pub(crate) fn swanctl() -> Result<String, String> {
    block_on(async {
        let (_running, sockets) = start("strongswan-pair", &Options::default()).await?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let run = |end: usize, arguments: &[&str]| {
            let uri = format!("unix://{}", sockets[end]);
            let arguments = [arguments, &["--uri", &uri]].concat();
            tokio::task::block_in_place(|| tool("swanctl", &arguments))
        };
        let listed = run(0, &["--list-sas"])?;
        expect(
            listed.contains("net: #1, ESTABLISHED") && listed.contains("/PPK"),
            || format!("the SA is not listed with a PPK: {listed}"),
        )?;
        for end in [1, 0] {
            let file = folder.path().join(format!("{end}.conf"));
            std::fs::write(&file, configuration(end)).map_err(|e| e.to_string())?;
            let file = file.to_string_lossy();
            run(end, &["--load-creds", "--noprompt", "--file", &file])?;
            run(end, &["--load-conns", "--file", &file])?;
        }
        let log = run(0, &["--initiate", "--child", "net"])?;
        expect(log.contains("using PPK for PPK_ID 'check'"), || {
            format!("the new PPK is not used: {log}")
        })?;
        run(0, &["--terminate", "--ike-id", "1"])?;
        for end in [0, 1] {
            let listed = run(end, &["--list-sas"])?;
            expect(
                listed.matches("ESTABLISHED").count() == 1 && listed.contains("/PPK"),
                || format!("the new SA is not the only one: {listed}"),
            )?;
        }
        print_check("a PPK is rolled, and the older SA ends");
        Ok("swanctl rolls a PPK on both daemons, and lists the SA with it".to_owned())
    })
}

/// Folder in which `wg` finds the sockets of devices.
const WG_SOCKETS: &str = "/var/run/wireguard";

pub(crate) fn wg() -> Result<String, String> {
    block_on(async {
        std::fs::create_dir_all(WG_SOCKETS).map_err(|e| format!("{WG_SOCKETS}: {e}"))?;
        let name = format!("qe{}", std::process::id());
        let socket = Path::new(WG_SOCKETS).join(format!("{name}.sock"));
        let options = Options::default().with("socket-1", socket.display());
        let (running, _) = start("wireguard-pair", &options).await?;
        let run = |arguments: &[&str]| tokio::task::block_in_place(|| tool("wg", arguments));
        let shown = run(&["show", &name])?;
        expect(
            [
                "latest handshake",
                "transfer",
                "persistent keepalive: every 25 seconds",
            ]
            .iter()
            .all(|part| shown.contains(part)),
            || format!("the peer is not shown: {shown}"),
        )?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let file = folder.path().join("psk");
        std::fs::write(&file, run(&["genpsk"])?).map_err(|e| e.to_string())?;
        let peer = run(&["show", &name, "peers"])?;
        let before = running.state();
        let file = file.to_string_lossy();
        run(&["set", &name, "peer", peer.trim(), "preshared-key", &file])?;
        expect(running.state() != before, || {
            "the preshared key is as it was".to_owned()
        })?;
        print_check("the peer is shown, and its preshared key changes");
        Ok("wg shows the peer of an emulated device, and changes its preshared key".to_owned())
    })
}
