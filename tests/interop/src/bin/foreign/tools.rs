//! Command-line tools of other projects on our emulators: `lxi` of lxi-tools, which sends SCPI over
//! a raw socket, and `usbip` of the Linux kernel's tools, which lists what a host exports.

use crate::{block_on, expect, print_check, tool};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};

async fn start(name: &str, bus: &str) -> Result<(RunningEmulator, String, String), String> {
    let running = profiles::start(name, &Options::default())
        .await
        .map_err(|e| format!("{name}: {e}"))?;
    let endpoint = running.ready().endpoints.iter().find(|e| e.bus == bus);
    let address = &endpoint.ok_or(format!("{name}: no {bus}"))?.address;
    let host_port = address.split('/').next().unwrap_or(address);
    let (host, port) = host_port.rsplit_once(':').ok_or("no port")?;
    let (host, port) = (host.to_owned(), port.to_owned());
    Ok((running, host, port))
}

pub(crate) fn lxi() -> Result<String, String> {
    block_on(async {
        // The GP600 ends lines with CR, which lxi does not send.
        for (name, says) in [
            ("polatis-16x16", "Polatis"),
            ("polatis-ost-24x24", "Polatis"),
        ] {
            let (_running, host, port) = start(name, "tcp").await?;
            let arguments = ["scpi", "-a", &host, "-p", &port, "-r", "*IDN?"];
            let answer = tokio::task::block_in_place(|| tool("lxi", &arguments))?;
            expect(answer.to_lowercase().contains(&says.to_lowercase()), || {
                format!("{name} answers lxi: {answer}")
            })?;
            print_check(&format!("{name}: {}", answer.trim()));
        }
        Ok("lxi-tools reads the identity of Polatis switches over raw SCPI sockets".to_owned())
    })
}

pub(crate) fn usbip() -> Result<String, String> {
    block_on(async {
        let (_running, host, port) = start("idq-quantis", "usbip").await?;
        let arguments = ["--tcp-port", &port, "list", "-r", &host];
        let listed = tokio::task::block_in_place(|| tool("usbip", &arguments))?;
        // Vendor and product of the Quantis USB.
        expect(listed.contains("0aba:0102"), || {
            format!("usbip does not list the device: {listed}")
        })?;
        Ok(
            "the kernel's usbip tool lists the emulated Quantis with its vendor and product"
                .to_owned(),
        )
    })
}
