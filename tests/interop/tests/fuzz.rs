//! Each codec, on mutations of its golden vectors: it answers or refuses, never panics, and
//! allocates no more than its input warrants.
//!
//! In a release build a million inputs for each codec; in a debug build fewer, so that `cargo test`
//! stays quick. The seed is fixed: a failure repeats.

#![allow(clippy::unwrap_used)]

use qkd_driver_kit::link::{
    snmp::{Oid, Value, VarBind},
    usb::UsbService,
};
use qkd_emulators::{
    model::random::RandomModel,
    vendor::{self, idq_quantis::Quantis},
    wire::{
        snmp::{SnmpAgent, fuzz as snmp},
        usb::Chapter9,
    },
};
use qkd_interop::scaled;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{path::Path, sync::Arc};

const INPUTS: usize = if cfg!(debug_assertions) {
    20_000
} else {
    1_000_000
};

/// Returns the maximum number of bytes that decoding may allocate for an input: more than measured
/// on the vectors, and far less than the 4 GiB of a false length field.
fn allowance(input: usize) -> u64 {
    64 * 1024 + 64 * input as u64
}

/// The raw messages of a vectors file, whatever its entries are called.
fn seeds(file: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(file);
    let value: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut found = Vec::new();
    collect(&value, &mut found);
    assert!(found.len() >= 5, "{file} has only {} messages", found.len());
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                match (name.as_str(), value) {
                    ("hex", serde_json::Value::String(text)) => {
                        found.extend(hex::decode(text).ok())
                    }
                    ("ascii" | "text", serde_json::Value::String(text)) => {
                        found.push(text.clone().into_bytes())
                    }
                    ("json", value) => found.push(value.to_string().into_bytes()),
                    // Recorded exchanges: packets in hexadecimal digits, or lines.
                    ("send" | "receive", value) => {
                        let one = std::slice::from_ref(value);
                        for message in value.as_array().map_or(one, Vec::as_slice) {
                            let text = message.as_str().unwrap();
                            let bytes = hex::decode(text);
                            found.push(bytes.unwrap_or_else(|_| text.as_bytes().to_vec()));
                        }
                    }
                    (_, serde_json::Value::String(text)) => found.push(text.clone().into_bytes()),
                    (_, value) => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

fn mutate(dice: &mut ChaCha8Rng, seeds: &[Vec<u8>], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&seeds[dice.random_range(0..seeds.len())]);
    for _ in 0..dice.random_range(0..6) {
        let at = |dice: &mut ChaCha8Rng, n: usize| if n == 0 { 0 } else { dice.random_range(0..n) };
        match dice.random_range(0..8) {
            0 if !out.is_empty() => {
                let i = at(dice, out.len());
                out[i] ^= 1 << dice.random_range(0..8);
            }
            1 => {
                let n = at(dice, out.len() + 1);
                out.truncate(n);
            }
            2 => {
                let i = at(dice, out.len() + 1);
                out.insert(i, dice.random());
            }
            3 if !out.is_empty() => {
                let i = at(dice, out.len());
                out.remove(i);
            }
            4 => {
                let other = &seeds[dice.random_range(0..seeds.len())];
                out.extend_from_slice(&other[at(dice, other.len())..]);
            }
            5 if !out.is_empty() => {
                let i = at(dice, out.len());
                out[i] = [
                    0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"', b'(', b',', b'@', b'\r', b'\n',
                ][dice.random_range(0..13)];
            }
            6 => {
                // Replaces a number by one that is far too large.
                let i = at(dice, out.len() + 1);
                for (k, b) in b"99999999999999999999".iter().enumerate() {
                    out.insert(i + k, *b);
                }
            }
            _ => {
                let n = dice.random_range(0..64);
                out.extend((0..n).map(|_| dice.random::<u8>()));
            }
        }
        out.truncate(64 * 1024);
    }
}

fn run(name: &str, vectors: &str, codec: impl Fn(&[u8])) {
    exercise(name, &seeds(vectors), 0, codec);
}

/// `asked`: what one message may ask for beyond its own size.
fn exercise(name: &str, seeds: &[Vec<u8>], asked: u64, codec: impl Fn(&[u8])) {
    let mut dice = ChaCha8Rng::seed_from_u64(0x5eed);
    let mut input = Vec::new();
    for seed in seeds {
        codec(seed);
    }
    for turn in 0..scaled(INPUTS) {
        mutate(&mut dice, seeds, &mut input);
        let used = allocation_counter::measure(|| codec(&input));
        assert!(
            used.bytes_max <= allowance(input.len()) + asked,
            "{name}, input {turn}: {} bytes for {} of input: {}",
            used.bytes_max,
            input.len(),
            hex::encode(&input)
        );
    }
}

macro_rules! codecs {
    ($($test:ident = $vectors:literal, $codec:path;)*) => {
        $(#[test] fn $test() { run(stringify!($test), $vectors, $codec); })*
    };
}

codecs! {
    adva_fsp150 = "adva-fsp150.json", qkd_driver_adva_fsp150::proto::fuzz;
    adva_fsp3000r7 = "adva-fsp3000r7.json", qkd_driver_adva_fsp3000r7::proto::fuzz;
    agiltron = "agiltron.json", qkd_driver_agiltron::proto::fuzz;
    atmedia = "atmedia.json", qkd_driver_atmedia::proto::fuzz;
    ciena_waveserver = "ciena-waveserver.json", qkd_driver_ciena_waveserver::proto::fuzz;
    dicon = "dicon.json", qkd_driver_dicon::proto::fuzz;
    etsi014 = "etsi014.json", qkd_driver_etsi014::proto::fuzz;
    fs_olp = "fs-olp.json", qkd_driver_fs_olp::proto::fuzz;
    idq_quantis = "idq-quantis.json", qkd_driver_idq_quantis::proto::fuzz;
    ieee_macsec = "ieee-macsec.json", qkd_driver_ieee_macsec::proto::fuzz;
    infinera_xtm = "infinera-xtm.json", qkd_driver_infinera_xtm::proto::fuzz;
    jdsu_sb = "jdsu-sb.json", qkd_driver_jdsu_sb::proto::fuzz;
    leoni_eol = "leoni-eol.json", qkd_driver_leoni_eol::proto::fuzz;
    linux_macsec = "linux-macsec-kernel.json", qkd_driver_linux_macsec::proto::fuzz;
    linux_macsec_mka = "wpa-supplicant.json", qkd_driver_linux_macsec::control::fuzz;
    nokia_sros_macsec = "nokia-sros-macsec.json", qkd_driver_nokia_sros_macsec::proto::fuzz;
    packetlight = "packetlight.json", qkd_driver_packetlight::proto::fuzz;
    polatis = "polatis.json", qkd_driver_polatis::fuzz;
    scte_hms = "scte-hms.json", qkd_driver_scte_hms::proto::fuzz;
    strongswan = "charon.json", qkd_driver_strongswan::proto::fuzz;
    thorlabs_osw = "thorlabs-osw.json", qkd_driver_thorlabs_osw::proto::fuzz;
    veriqloud_qline = "veriqloud-qline.json", qkd_driver_veriqloud_qline::proto::fuzz;
    wireguard = "wireguard-go.json", qkd_driver_wireguard::proto::fuzz;
    wireguard_kernel = "wireguard-kernel.json", qkd_driver_wireguard::proto::kernel::fuzz;
    // The other side of the same wires: what the emulators and the northbound server read.
    emulated_agiltron = "agiltron.json", vendor::agiltron::fuzz;
    emulated_dicon_gp600 = "dicon.json", vendor::dicon::gp600::fuzz;
    emulated_dicon_mems = "dicon.json", vendor::dicon::mems::fuzz;
    emulated_jdsu_sb = "jdsu-sb.json", vendor::jdsu_sb::fuzz;
    emulated_leoni_eol = "leoni-eol.json", vendor::leoni_eol::fuzz;
    emulated_polatis = "polatis.json", vendor::polatis::scpi::fuzz;
    emulated_qline = "veriqloud-qline.json", vendor::veriqloud_qline::fuzz;
    emulated_strongswan = "charon.json", vendor::strongswan::fuzz;
    emulated_thorlabs_osw = "thorlabs-osw.json", vendor::thorlabs_osw::fuzz;
    emulated_wireguard = "wireguard-go.json", vendor::wireguard::fuzz;
}

/// Messages of public programs, and further commands that the emulator implements.
#[test]
fn emulated_polatis_tl1() {
    let seeds = [
        "RTRV-HDR:::1:;",
        "act-user::root:1::root;",
        "CANC-USER::root:2:;",
        "RTRV-NETYPE:::1:;",
        "RTRV-INV::OCS:1:;",
        "RTRV-EQPT::SYSTEM:1:::PARAMETER=SIZE;",
        "RTRV-EQPT::PMON:1:::PARAMETER=CONFIG;",
        "ED-EQPT::TIMEOUT:1:::ADMIN=60;",
        "opr-arc-eqpt::repmgr:9::ind;",
        "ENT-PATCH::1&2&&4,5&6&&8:1:;RTRV-PATCH:::2:;DLT-PATCH::5:3:;",
        "ENT-PATCH::1,5:1:;DLT-PATCH::ALL:1:;",
        "OPR-PORT-SHUTTER::3:1:;RTRV-PORT-SHUTTER::3&4:1:;RLS-PORT-SHUTTER::ALL:1:;",
        "RTRV-PORT-POWER::5&7:1:;",
        "SET-PORT-PMON::5:1:::WAVE=1310.0,OFFSET=0.5,ATIME=5;RTRV-PORT-PMON::5:1:;",
        "SET-TH-PMON::5:1:::TYPE=LOS,MODE=CONT,EDGE=LOW,LOW=(-30.0),HIGH=10.0;\
            RTRV-TH-PMON::5:1:::TYPE=LOS;",
        "SET-STATE-PMON::5:1:::TYPE=DEGRADED;RTRV-STATE-PMON::5:1:::TYPE=LOS;",
        "SET-PORT-ATTEN::5:1:::MODE=ABS,LEVEL=(-10.0);RTRV-PORT-ATTEN::5&6:1:;",
        "SET-PORT-ATTEN::5:1:::MODE=REL,LEVEL=3.0,REF=1;",
        "ED-PORT-LABEL::2:1:::LABEL=\"to B, no: C\";RTRV-PORT-LABEL::2:1:;",
        "ENT-PORT-FLAP::1:1:::A=1;OPR-PORT-FLAP::1:1:;RTRV-PORT-FLAP::1:1:;RLS-PORT-FLAP::1:1:;",
    ];
    exercise(
        "emulated_polatis_tl1",
        &seeds.map(|s| s.as_bytes().to_vec()),
        0,
        vendor::polatis::tl1::fuzz,
    );
}

/// GET, GETNEXT and SET of arbitrary names and values, derived from those of the agent: each row as
/// it is, and with small numbers in it, which most enumerations accept.
fn agent(name: &str, new: fn() -> Arc<dyn SnmpAgent>) {
    let (asked, mut at, mut seeds) = (new(), Oid::from([1, 3]), Vec::new());
    while let Some(row) = asked.next(&at) {
        at = row.oid.clone();
        seeds.push(snmp::encoded(&row));
        let others = [Value::Integer(1), Value::Integer(2), Value::Gauge32(5)]
            .map(|value| snmp::encoded(&VarBind::new(row.oid.clone(), value)));
        seeds.push(others.concat());
    }
    assert!(
        seeds.len() >= 40,
        "{name} has only {} messages",
        seeds.len()
    );
    // Each input gets an agent of its own, which is more than the input warrants.
    let asked = allocation_counter::measure(|| drop(new())).bytes_max;
    exercise(name, &seeds, asked, |input| snmp::run(&*new(), input));
}

macro_rules! agents {
    ($($test:ident = $agent:path;)*) => {
        $(#[test] fn $test() { agent(stringify!($test), $agent); })*
    };
}

agents! {
    agent_of_ieee_macsec = vendor::ieee_macsec::fuzz::agent;
    agent_of_infinera_xtm = vendor::infinera_xtm::fuzz::agent;
    agent_of_ciena_waveserver = vendor::ciena_waveserver::fuzz::agent;
    agent_of_atmedia = vendor::atmedia::fuzz::agent;
    agent_of_adva_fsp150 = vendor::adva_fsp150::fuzz::agent;
    agent_of_adva_fsp3000r7 = vendor::adva_fsp3000r7::fuzz::agent;
    agent_of_scte_ab = vendor::scte_hms::fuzz::ab;
    agent_of_scte_2x2 = vendor::scte_hms::fuzz::two_by_two;
    agent_of_fs_olp = vendor::fs_olp::fuzz::agent;
    agent_of_packetlight = vendor::packetlight::fuzz::agent;
    agent_of_polatis = vendor::polatis::fuzz::agent;
}

#[test]
fn emulated_usbip() {
    let device: Arc<dyn UsbService> = Arc::new(Chapter9::new(Quantis::new(Arc::new(
        RandomModel::new(3, "1"),
    ))));
    // The vectors are control transfers: each as carried by USB/IP, after an import.
    let mut seeds = seeds("idq-quantis.json");
    for (sequence, seed) in (1_u32..).zip(seeds.clone()) {
        let mut setup = seed;
        setup.resize(8, 0);
        for (endpoint, length) in [(0, 64), (6, 512)] {
            let mut message: Vec<u8> = [1, sequence, 0x1_0002, 1, endpoint, 0, length, 0, 0, 0]
                .iter()
                .flat_map(|n: &u32| n.to_be_bytes())
                .collect();
            message.extend_from_slice(&setup);
            seeds.push(message);
        }
    }
    let mut import = vec![1, 0x11, 0x80, 3, 0, 0, 0, 0];
    import.extend_from_slice(b"1-1");
    import.resize(40, 0);
    seeds.push(import);
    seeds.push(vec![1, 0x11, 0x80, 5, 0, 0, 0, 0]);
    // A transfer may be 1 MiB long, and is held once more in its reply.
    exercise("emulated_usbip", &seeds, 2 << 20, |input| {
        qkd_emulators::wire::usb::usbip::fuzz(input, Arc::clone(&device))
    });
}

#[test]
fn northbound_etsi014() {
    let bodies = seeds("etsi014.json");
    let mut seeds = Vec::new();
    for path in [
        "/api/v1/keys/sae-b/status",
        "/api/v1/keys/sae-b/enc_keys",
        "/api/v1/keys/sae-a/dec_keys?key_ID=bc490419-7d60-487f-adc1-4ddcc177c139",
    ] {
        for body in &bodies {
            seeds.push([b"GET\n", path.as_bytes(), b"\n"].concat());
            seeds.push([b"POST\n", path.as_bytes(), b"\n", body].concat());
        }
    }
    exercise(
        "northbound_etsi014",
        &seeds,
        0,
        qkd_northbound_etsi014::fuzz,
    );
}
