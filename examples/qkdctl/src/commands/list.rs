//! `qkdctl list`: what this machine has, without sending anything.

use crate::{
    output::{self, Output},
    session::Session,
};
use qkd_driver_kit::{driver_info::Probe, link::usb_host};
use qkd_hal::Result;
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

#[derive(Serialize)]
struct Serial {
    port: String,
    stable_names: Vec<String>,
}

#[derive(Serialize)]
struct Usb {
    place: String,
    ids: String,
    maker: Option<String>,
    product: Option<String>,
    serial: Option<String>,
    drivers: Vec<String>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    uri: String,
}

#[derive(Serialize)]
struct NamedPair {
    name: String,
    near: String,
    far: String,
}

#[derive(Serialize)]
struct Found {
    serial: Vec<Serial>,
    usb: Vec<Usb>,
    inventory: Vec<Named>,
    pairs: Vec<NamedPair>,
    problems: Vec<String>,
}

pub(crate) async fn run(session: &Session, output: Output) -> Result<u8> {
    let mut problems = Vec::new();
    let usb = tokio::task::spawn_blocking(usb_host::list)
        .await
        .unwrap_or_else(|_| Ok(Vec::new()))
        .unwrap_or_else(|e| {
            problems.push(e.to_string());
            Vec::new()
        });
    let usb = usb
        .into_iter()
        .map(|found| Usb {
            place: format!("{}-{}", found.place.0, found.place.1),
            ids: format!(
                "{:04x}:{:04x}",
                found.identity.vendor, found.identity.product
            ),
            drivers: fitting(session, found.identity.vendor, found.identity.product),
            maker: found.identity.manufacturer,
            product: found.identity.product_name,
            serial: found.identity.serial,
        })
        .collect();
    let serial = serial_ports(&mut problems);
    let inventory = session
        .inventory
        .devices
        .iter()
        .map(|(name, device)| Named {
            name: name.clone(),
            uri: device.uri.clone(),
        })
        .collect();
    let pairs = session.inventory.pair.iter();
    let pairs = pairs
        .map(|(name, pair)| NamedPair {
            name: name.clone(),
            near: pair.near.clone(),
            far: pair.far.clone(),
        })
        .collect();
    let found = Found {
        serial,
        usb,
        inventory,
        pairs,
        problems,
    };
    output::print(output, "list", &found, || table(&found))?;
    Ok(0)
}

/// Drivers whose devices have these USB ids.
pub(super) fn fitting(session: &Session, vendor: u16, product: u16) -> Vec<String> {
    let fits = |p: &Probe| {
        matches!(p, Probe::Usb { vendor: v, product: p } if (*v, *p) == (vendor,
        product))
    };
    session
        .registry
        .drivers()
        .map(|d| d.info())
        .filter(|i| i.probes.iter().any(fits))
        .map(|i| i.name.to_owned())
        .collect()
}

fn serial_ports(problems: &mut Vec<String>) -> Vec<Serial> {
    let mut stable: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["/dev/serial/by-id", "/dev/serial/by-path"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(port) = std::fs::canonicalize(entry.path()) {
                stable
                    .entry(port.display().to_string())
                    .or_default()
                    .push(entry.path().display().to_string());
            }
        }
    }
    let ports = serialport::available_ports().unwrap_or_else(|e| {
        problems.push(format!("serial ports cannot be listed: {e}"));
        Vec::new()
    });
    let mut names: Vec<String> = ports
        .into_iter()
        .map(|p| p.port_name)
        .chain(stable.keys().cloned())
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|n| Path::new(n).exists())
        .map(|port| Serial {
            stable_names: stable.remove(&port).unwrap_or_default(),
            port,
        })
        .collect()
}

fn table(found: &Found) -> String {
    let mut text = String::from("Serial ports\n");
    if found.serial.is_empty() {
        text.push_str("  none\n");
    }
    for port in &found.serial {
        text.push_str(&format!(
            "  {}  {}\n",
            port.port,
            port.stable_names.join(" ")
        ));
    }
    text.push_str("\nUSB devices\n");
    if found.usb.is_empty() {
        text.push_str("  none\n");
    }
    for device in &found.usb {
        let words: Vec<_> = [&device.maker, &device.product, &device.serial]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let drivers = if device.drivers.is_empty() {
            String::new()
        } else {
            format!("  -> {}", device.drivers.join(", "))
        };
        text.push_str(&format!(
            "  {}  {}  {}{drivers}\n",
            device.place,
            device.ids,
            words.join(", ")
        ));
    }
    text.push_str("\nInventory\n");
    if found.inventory.is_empty() {
        text.push_str("  none\n");
    }
    for named in &found.inventory {
        text.push_str(&format!("  {}  {}\n", named.name, named.uri));
    }
    if !found.pairs.is_empty() {
        text.push_str("\nPairs\n");
    }
    for pair in &found.pairs {
        text.push_str(&format!(
            "  {}  {} and {}\n",
            pair.name, pair.near, pair.far
        ));
    }
    for problem in &found.problems {
        text.push_str(&format!("\nnote: {problem}\n"));
    }
    text
}
