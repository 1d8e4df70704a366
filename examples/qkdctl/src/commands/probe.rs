//! `qkdctl probe`: which driver fits. Passive first; bytes go down a line only with `--active`, and
//! are printed before.

use super::list::fitting;
use crate::{
    exit,
    inventory::quoted,
    output::{self, Format, Output},
    progress,
    session::Session,
};
use qkd_driver_kit::{
    driver_info::{DriverInfo, Probe},
    link::{
        Disclosure,
        bytes::{ByteLink, Connector, Exchange, Frame},
        make::SystemGroup,
        serial::SerialConnector,
        snmp_client::SnmpClient,
        snmp_udp::{SnmpOptions, SnmpSecurity, UdpSnmpLink},
        stream::{Resync, StreamLink, StreamOptions},
        tcp::TcpConnector,
        usb::UsbLink,
        usb_host,
        usbip::UsbIpLink,
    },
    program::lock::{LockMode, lock_address},
};
use qkd_hal::{DeviceUri, Error, ErrorKind, Result, event::EventHub};
use serde::Serialize;
use std::time::Duration;

const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Sent {
    driver: &'static str,
    bytes: String,
    answer: Option<String>,
}

#[derive(Serialize)]
struct Probed {
    target: String,
    passive: Vec<String>,
    sent: Vec<Sent>,
    would_send: Vec<Sent>,
    drivers: Vec<String>,
}

/// Places to search for devices.
enum Target {
    Here,
    Serial(String),
    Tcp { host: String, port: Option<u16> },
    Snmp(String),
    UsbIp { address: String, busid: String },
    Nothing(String),
}

pub(crate) async fn run(
    session: &Session,
    output: Output,
    target: Option<&str>,
    active: bool,
    drivers: &[String],
    login: Option<&str>,
) -> Result<u8> {
    let mut only: Vec<String> = drivers.to_vec();
    let mut login = login.map(str::to_owned);
    for name in drivers {
        session.registry.driver(name)?;
    }
    let (target, shown) = match target {
        None => (Target::Here, "this machine's USB devices".to_owned()),
        Some(text) => {
            let uri = if text.contains("://") || session.inventory.devices.contains_key(text) {
                Some(session.inventory.resolve(text)?)
            } else {
                None
            };
            let target = match &uri {
                Some(uri) => {
                    session.registry.driver(uri.driver())?;
                    only.push(uri.driver().to_owned());
                    login = login.or_else(|| uri.parameter("credentials").map(str::to_owned));
                    of_uri(uri)
                }
                None => of_text(text)?,
            };
            (target, text.to_owned())
        }
    };
    let infos: Vec<&'static DriverInfo> = session
        .registry
        .drivers()
        .map(|d| d.info())
        .filter(|i| only.is_empty() || only.iter().any(|n| n == i.name))
        .collect();
    let mut probed = Probed {
        target: shown,
        passive: Vec::new(),
        sent: Vec::new(),
        would_send: Vec::new(),
        drivers: Vec::new(),
    };
    match target {
        Target::Here => usb(session, &mut probed).await?,
        Target::UsbIp { address, busid } => {
            progress::during(
                output,
                "asking over USB/IP",
                usbip(&infos, &address, &busid, &mut probed),
            )
            .await?
        }
        Target::Snmp(address) => {
            progress::during(
                output,
                "asking over SNMP",
                snmp(session, &infos, &address, login.as_deref(), &mut probed),
            )
            .await?
        }
        Target::Serial(port) => {
            probed
                .passive
                .push("a serial line cannot be identified without sending data".to_owned());
            line(&infos, "serial", &port, None, active, output, &mut probed).await?;
        }
        Target::Tcp { host, port } => {
            probed
                .passive
                .push("a TCP port cannot be identified without sending data".to_owned());
            line(&infos, "tcp", &host, port, active, output, &mut probed).await?;
        }
        Target::Nothing(why) => probed.passive.push(why),
    }
    probed.drivers.sort();
    probed.drivers.dedup();
    output::print(output, "probe", &probed, || table(&probed, active))?;
    Ok(if probed.drivers.is_empty() {
        exit::NOT_RECOGNISED
    } else {
        0
    })
}

fn of_uri(uri: &DeviceUri) -> Target {
    match uri.transport() {
        "serial" => Target::Serial(uri.path().to_owned()),
        "tcp" => Target::Tcp {
            host: uri.host().to_owned(),
            port: uri.port(),
        },
        "snmp" => Target::Snmp(uri.authority(161)),
        "usbip" => Target::UsbIp {
            address: uri.authority(3240),
            busid: uri.path().trim_start_matches('/').to_owned(),
        },
        "usb" => Target::Here,
        other => Target::Nothing(format!(
            "nothing passive is known of the transport `{other}`; `info` opens the device"
        )),
    }
}

fn of_text(text: &str) -> Result<Target> {
    let wrong = || {
        Error::invalid(format!(
            "invalid target {}: expected serial:/dev/ttyUSB0, tcp:192.0.2.7:5025, snmp:192.0.2.9, \
             usbip:192.0.2.4/1-1, or a device URI",
            quoted(text)
        ))
    };
    let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
    let uri = |scheme: &str| -> Result<DeviceUri> { format!("probe+{scheme}://{rest}").parse() };
    Ok(match kind {
        "serial" if rest.starts_with('/') => Target::Serial(rest.to_owned()),
        "tcp" | "snmp" | "usbip" => of_uri(&uri(kind)?),
        _ => return Err(wrong()),
    })
}

async fn usb(session: &Session, probed: &mut Probed) -> Result<()> {
    let listed = tokio::task::spawn_blocking(usb_host::list)
        .await
        .map_err(|_| Error::new(ErrorKind::Internal, "the USB listing ended early"))?;
    for found in listed.map_err(|e| e.into_read_error("probe"))? {
        let (vendor, product) = (found.identity.vendor, found.identity.product);
        probed.passive.push(format!(
            "USB {vendor:04x}:{product:04x} at {}-{}",
            found.place.0, found.place.1
        ));
        probed.drivers.extend(fitting(session, vendor, product));
    }
    Ok(())
}

async fn usbip(
    infos: &[&'static DriverInfo],
    address: &str,
    busid: &str,
    probed: &mut Probed,
) -> Result<()> {
    for info in infos {
        for probe in info.probes {
            let Probe::Usb { vendor, product } = probe else {
                continue;
            };
            match UsbIpLink::open(address, busid, *vendor, *product, PROBE_TIMEOUT).await {
                Ok(link) => {
                    let identity = link.identity();
                    probed.passive.push(format!(
                        "USB {vendor:04x}:{product:04x}, {}",
                        identity
                            .product_name
                            .as_deref()
                            .unwrap_or("no product name")
                    ));
                    probed.drivers.push(info.name.to_owned());
                    link.close().await;
                }
                // Another device than this driver's: what is there is in the text.
                Err(e) if matches!(e.kind, ErrorKind::NotFound | ErrorKind::IdentityChanged) => {
                    probed.passive.push(e.to_string());
                }
                Err(e) => return Err(e.into_read_error("probe")),
            }
        }
    }
    Ok(())
}

async fn snmp(
    session: &Session,
    infos: &[&'static DriverInfo],
    address: &str,
    login: Option<&str>,
    probed: &mut Probed,
) -> Result<()> {
    let login = login.ok_or_else(|| {
        Error::new(
            ErrorKind::Authentication,
            "reading the SNMP system group needs credentials: \
            --login <name of an entry of the credentials file>",
        )
    })?;
    let security = SnmpSecurity::from_entry(&session.credentials.entry(login)?)?;
    let link = UdpSnmpLink::open(
        address,
        security,
        &SnmpOptions::default(),
        PROBE_TIMEOUT,
        EventHub::default(),
        None,
    )
    .await
    .map_err(|e| e.into_read_error("probe"))?;
    let agent = SnmpClient::new(link, PROBE_TIMEOUT);
    let call = agent.call();
    let found = async {
        let system = SystemGroup::read(&call).await?;
        for info in infos {
            if system.fits(info, &call).await? {
                probed.drivers.push(info.name.to_owned());
            }
        }
        Ok::<_, Error>(system)
    }
    .await;
    agent.link().close().await;
    let system = found?;
    probed
        .passive
        .extend(system.descr.map(|text| format!("sysDescr {text}")));
    probed
        .passive
        .extend(system.object_id.map(|id| format!("sysObjectID {id}")));
    Ok(())
}

async fn line(
    infos: &[&'static DriverInfo],
    over: &str,
    place: &str,
    port: Option<u16>,
    active: bool,
    output: Output,
    probed: &mut Probed,
) -> Result<()> {
    for info in infos {
        for probe in info.probes {
            let Probe::Bytes {
                transport,
                at,
                send,
                expect,
            } = probe
            else {
                continue;
            };
            // A TCP probe goes to the port that was named, or to the driver's own.
            if *transport != over {
                continue;
            }
            let shown = escape(send);
            if !active {
                probed.would_send.push(Sent {
                    driver: info.name,
                    bytes: shown,
                    answer: None,
                });
                continue;
            }
            // Before they go, also where standard output is one document at the end.
            let announced = format!("sending for {}: {shown}", info.name);
            match output.format {
                Format::Table => output::line(&announced),
                Format::Json => output::error_line(&announced),
            }
            let port = port.or(u16::try_from(*at).ok());
            let connector: Box<dyn Connector> = if over == "serial" {
                Box::new(SerialConnector::new(place, *at, false))
            } else {
                let port = port.unwrap_or(0);
                Box::new(TcpConnector::new(if place.contains(':') {
                    format!("[{place}]:{port}")
                } else {
                    format!("{place}:{port}")
                }))
            };
            let answer = progress::during(
                output,
                "waiting for an answer",
                ask(connector, over, place, port, send),
            )
            .await?;
            let fits = answer.as_ref().is_some_and(|a| {
                a.to_ascii_lowercase()
                    .starts_with(&expect.to_ascii_lowercase())
            });
            if fits {
                probed.drivers.push(info.name.to_owned());
            }
            probed.sent.push(Sent {
                driver: info.name,
                bytes: shown,
                answer,
            });
        }
    }
    Ok(())
}

async fn ask(
    connector: Box<dyn Connector>,
    over: &str,
    place: &str,
    port: Option<u16>,
    send: &[u8],
) -> Result<Option<String>> {
    let path = if over == "serial" {
        place.to_owned()
    } else {
        String::new()
    };
    let uri: DeviceUri = if over == "serial" {
        format!("probe+serial://{path}")
    } else {
        format!("probe+tcp://{place}")
    }
    .parse()?;
    let _lock = lock_address(&uri, port, LockMode::Exclusive).await?;
    let link = StreamLink::open(
        connector,
        StreamOptions::new(Resync::Reconnect, EventHub::default()),
        PROBE_TIMEOUT,
    )
    .await
    .map_err(|e| e.into_read_error("probe"))?;
    // Whatever comes until a line ends, or for as long as we wait.
    let until_line = |seen: &[u8]| {
        if seen.len() > 2 && seen.ends_with(b"\n")
            || seen.ends_with(b"\r") && seen.len() > 2
            || seen.len() >= 256
        {
            Frame::Complete(seen.len())
        } else {
            Frame::Incomplete
        }
    };
    let reply = link
        .exchange(
            Exchange::new("probe", send, PROBE_TIMEOUT).reply(until_line, Disclosure::Undeclared),
        )
        .await;
    link.close().await;
    match reply {
        Ok(reply) => Ok(Some(
            escape(&reply)
                .trim_start_matches("\\r")
                .trim_start_matches("\\n")
                .to_owned(),
        )),
        Err(e) if e.kind == ErrorKind::Timeout => Ok(None),
        Err(e) => Err(e.into_read_error("probe")),
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn table(probed: &Probed, active: bool) -> String {
    let mut text = format!("{}\n", probed.target);
    probed
        .passive
        .iter()
        .for_each(|fact| text.push_str(&format!("  {}\n", output::clean(fact))));
    for sent in &probed.sent {
        text.push_str(&format!(
            "  {} answered {}\n",
            sent.driver,
            sent.answer.as_deref().unwrap_or("nothing")
        ));
    }
    if !active && !probed.would_send.is_empty() {
        text.push_str("\n--active would send:\n");
        probed
            .would_send
            .iter()
            .for_each(|s| text.push_str(&format!("  for {}: {}\n", s.driver, s.bytes)));
        text.push_str(
            "On some devices every byte is a command. Name the driver you expect with \
            --driver, look at the bytes, then add --active.\n",
        );
    }
    text.push_str(&match probed.drivers.as_slice() {
        [] => "\nno driver was recognised\n".to_owned(),
        some => format!("\nfits: {}\n", some.join(", ")),
    });
    text
}
