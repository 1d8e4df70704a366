//! Another make of device at the address: each driver, opened on the emulator of every other family
//! that shares its wire, and each SNMP driver on a server's agent.

use qkd_driver_kit::{
    OpenContext,
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::Value,
    },
};
use qkd_emulators::{
    profile::{InMemory, Options},
    profiles,
};
use qkd_hal::{DeviceUri, Effect, Error, ErrorKind, TransportFault};
use std::time::Duration;

fn emulators() -> Vec<InMemory> {
    profiles::all()
        .iter()
        .map(|p| profiles::in_memory(p.name, &Options::default().seeded(3)).unwrap())
        .collect()
}

/// A URI that opens the device of one emulator with the driver of another.
fn crossed(driver: &str, device: &str) -> String {
    let host = |uri: &str| uri.parse::<DeviceUri>().unwrap().host().to_owned();
    driver.replacen(
        &format!("mem://{}", host(driver)),
        &format!("mem://{}", host(device)),
        1,
    )
}

fn driver_of(uri: &str) -> &str {
    uri.split('+').next().unwrap()
}

async fn open(uri: &str, context: OpenContext) -> Result<(), Error> {
    let context = context.with_deadline(Duration::from_secs(2));
    let opened = qkd_hardware::registry().open(uri, &context).await?;
    opened.device().identity().await.map(drop)
}

/// Drivers whose wire is SNMP.
const SNMP: [&str; 11] = [
    "adva-fsp150",
    "adva-fsp3000r7",
    "atmedia",
    "ciena-waveserver",
    "fs-olp",
    "ieee-macsec",
    "infinera-xtm",
    "nokia-sros-macsec",
    "packetlight",
    "polatis",
    "scte-hms",
];

#[tokio::test(start_paused = true)]
async fn a_driver_never_takes_another_familys_device_for_its_own() {
    let all = emulators();
    let (mut refused, mut silent, mut over_snmp) = (0, 0, 0);
    for own in &all {
        for other in &all {
            for (uri, at) in own
                .uris()
                .iter()
                .flat_map(|uri| other.uris().iter().map(move |at| (uri, at)))
                .filter(|(uri, at)| driver_of(uri) != driver_of(at))
            {
                let before = other.state();
                // A driver may have a second wire, to its own device.
                let context = other.attach(own.attach(OpenContext::new()));
                let uri = crossed(uri, at);
                match open(&uri, context).await {
                    Err(e) if e.message().contains("has another link type") => continue,
                    Err(e) if e.kind() == ErrorKind::IdentityChanged => {
                        assert!(
                            e.message().contains("a device of another vendor"),
                            "{uri}: {e}"
                        );
                        assert_eq!(e.effect(), Effect::None, "{uri}");
                        refused += 1;
                        over_snmp +=
                            u32::from(at.contains("snmp") || SNMP.contains(&driver_of(at)));
                    }
                    // Most lines do not respond to the words of another make.
                    Err(e) if e.kind() == ErrorKind::Timeout && !is_snmp(at) => silent += 1,
                    // A daemon ends a connection on which something else is spoken; so does a
                    // server of lines that receives packets of strongSwan.
                    Err(e) if is_hang_up(&e) && (is_daemon(at) || is_daemon(&uri)) => {
                        assert_eq!(e.effect(), Effect::None, "{uri}");
                        silent += 1;
                    }
                    // Every four bytes are a command to a SelfAlign: it cannot be asked anything.
                    Ok(()) if uri.contains("model=selfalign") => silent += 1,
                    other => panic!("{uri}: {other:?}"),
                }
                assert_eq!(other.state(), before, "{uri} changed the device");
            }
        }
    }
    // Each of eleven SNMP families on the others, and some lines.
    assert!(
        refused >= 110 && over_snmp >= 110 && silent > 0,
        "{refused} {over_snmp} {silent}"
    );
}

fn is_hang_up(error: &Error) -> bool {
    error.kind() == ErrorKind::Transport(TransportFault::HungUp)
}

fn is_daemon(uri: &str) -> bool {
    ["strongswan", "wireguard"].contains(&driver_of(uri))
}

/// Whether the device at this URI is an SNMP agent.
fn is_snmp(uri: &str) -> bool {
    SNMP.contains(&driver_of(uri)) && (driver_of(uri) != "polatis" || uri.contains("snmp"))
}

#[tokio::test(start_paused = true)]
async fn an_snmp_driver_refuses_a_servers_agent() {
    let oid = |text: &str| text.parse().unwrap();
    let objects: Objects = [
        (oid("1.3.6.1.2.1.1.1.0"), Value::text("Linux sr1 6.1.0")),
        (
            oid("1.3.6.1.2.1.1.2.0"),
            Value::ObjectId(oid("1.3.6.1.4.1.8072.3.2.10")),
        ),
        (oid("1.3.6.1.2.1.1.5.0"), Value::text("sr1")),
    ]
    .into();
    let mut met = Vec::new();
    for own in emulators() {
        let uri = own
            .uris()
            .iter()
            .find(|uri| is_snmp(uri))
            .map(|uri| crossed(uri, "x+mem://server"));
        let Some(uri) = uri else { continue };
        for all in [objects.clone(), Objects::new()] {
            let agent = ScriptedAgent::new(all, |_, _| {});
            let context = OpenContext::new().with_memory("server", agent.endpoint());
            let error = open(&uri, context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IdentityChanged, "{uri}: {error}");
            assert!(
                error.message().contains("a device of another vendor"),
                "{error}"
            );
            assert!(agent.accepted_sets().is_empty());
        }
        met.push(driver_of(&uri).to_owned());
    }
    met.sort();
    met.dedup();
    assert_eq!(met, SNMP);
}

/// Devices of the right make that were recorded without encryption tables: sysDescr, sysObjectID
/// and further names of agents whose recordings LibreNMS has (`tests/snmpsim`); of the last two makes
/// there is no recording.
#[tokio::test(start_paused = true)]
async fn a_device_without_encryption_tables_is_not_ready() {
    let (model, software) = (
        "1.3.6.1.4.1.1271.3.4.6.3.1.3.0",
        "1.3.6.1.4.1.1271.3.4.14.3.1.5.0",
    );
    let serial = "1.3.6.1.2.1.47.1.1.1.1.11.1";
    let unit = "Waveserver 40x10GE/10x40GE/4x100GE QSFP+/QSFP28";
    for (driver, descr, product, more) in [
        (
            "adva-fsp3000r7",
            "Fiber Service Platform F7",
            "1.3.6.1.4.1.2544.1.11.1.1",
            &[][..],
        ),
        (
            "adva-fsp150",
            "FSP150CC-XG116PRO",
            "1.3.6.1.4.1.2544.1.12.1.1.39",
            &[(serial, "")],
        ),
        (
            "adva-fsp150",
            "FSP150CC-GE114",
            "1.3.6.1.4.1.2544.1.12.1.1.9",
            &[],
        ),
        (
            "ciena-waveserver",
            "Waveserver Platform",
            "1.3.6.1.4.1.1271.3",
            &[
                (serial, "AAAAAAAA"),
                (model, unit),
                (software, "1.5.0-ej76_svrbuild_wvsrvr"),
            ],
        ),
        ("infinera-xtm", "Infinera XTM", "1.3.6.1.4.1.8708.2.1", &[]),
        ("atmedia", "atmedia", "1.3.6.1.4.1.13458.1", &[]),
    ] {
        let texts = more.iter().copied().chain([
            ("1.3.6.1.2.1.1.1.0", descr),
            ("1.3.6.1.2.1.1.5.0", "<private>"),
        ]);
        let mut objects: Objects = texts
            .map(|(name, text): (&str, &str)| (name.parse().unwrap(), Value::text(text)))
            .collect();
        let uptime = "1.3.6.1.2.1.1.3.0".parse().unwrap();
        objects.insert(uptime, Value::TimeTicks(25_788_500));
        let id = Value::ObjectId(product.parse().unwrap());
        objects.insert("1.3.6.1.2.1.1.2.0".parse().unwrap(), id);
        let agent = ScriptedAgent::new(objects, |_, _| {});
        let context = OpenContext::new().with_memory("recorded", agent.endpoint());
        let error = open(&format!("{driver}+mem://recorded"), context).await;
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::NotReady, Effect::None),
            "{driver}: {error}"
        );
        assert!(agent.accepted_sets().is_empty());
    }
}
