//! The emulators against the golden vectors, which come from sources and never from our code: each request is understood, and each reply is what the device says
//! when it stands as the vector has it.

#![allow(clippy::unwrap_used, missing_docs)]

use qkd_driver_kit::link::usb::{Completion, Setup, UsbService};
use qkd_emulators::{
    Clock,
    fault::{DeviceFault, Faulty},
    model::{random::Random, switch::Switch},
    wire::{
        Session,
        agiltron::{Agiltron, Model},
        scpi::Polatis,
        usb::{Chapter9, quantis::Quantis},
    },
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use serde_json::Value;
use std::sync::Arc;

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_default()
}

fn ask(session: &mut dyn Session, request: &[u8]) -> Vec<u8> {
    session.feed(request).into_iter().flat_map(|r| r.bytes).collect()
}

fn switch(code: &str, size: u32) -> Arc<Switch> {
    let identity = Identity::of("Polatis").with_model(code).with_serial("002414").with_firmware("6.5.2.18");
    Arc::new(Switch::new(identity, Geometry::matrix(size, size), Clock::manual()))
}

#[test]
fn every_scpi_request_of_the_sources_is_understood() {
    let mut seen = 0;
    for vector in vectors("polatis").iter().filter(|v| text(v, "direction") == "request") {
        let mut session = Polatis::new(switch("N-OST-24x24-LA1-DMHNS", 24)).session();
        let (reply, name) = (ask(&mut session, text(vector, "ascii").as_bytes()), text(vector, "name"));
        // Ports of the samples are those of switches of several sizes; one that is not there is an execution error, never a syntax error.
        let error = String::from_utf8(ask(&mut session, b":syst:err?\n")).unwrap();
        assert!(["0,", "-2"].iter().any(|code| error.starts_with(code)), "{name}: {error}");
        assert!(text(vector, "ascii").contains('?') || reply.is_empty(), "{name}: a set command is silent");
        seen += 1;
    }
    assert!(seen > 20);
}

#[test]
fn scpi_replies_are_those_of_the_sources() {
    let all = vectors("polatis");
    let reply = |name: &str| text(all.iter().find(|v| text(v, "name") == name && text(v, "direction") == "reply").unwrap(), "ascii").to_owned();
    let check = |session: &mut dyn Session, request: &str, name: &str| {
        let said = String::from_utf8(ask(session, request.as_bytes())).unwrap();
        assert_eq!(said.trim_end(), reply(name).trim_end(), "{name}");
    };
    check(&mut Polatis::new(switch("I-OST-24x24-LU1-DMHNS", 24)).session(), "*idn?\n", "identity of an OST 24x24");
    let small = switch("N-OST-16x16-LA1-DMHNS", 16);
    let mut session = Polatis::new(Arc::clone(&small)).session();
    check(&mut session, ":oxc:swit:size?\n", "size 16x16");
    check(&mut session, ":oxc:swit:conn:stat?\n", "no connection");
    check(&mut session, ":oxc:swit:conn:port? 2\n", "peer of a dark port");
    check(&mut session, ":syst:err?\n", "no error");
    check(&mut session, "*opc?\n", "operation complete");
    check(&mut session, ":syst:comm:netw:addr?\n", "network address");
    ask(&mut session, b":oxc:swit:conn:add (@1,2,3),(@19,18,22)\n");
    check(&mut session, ":oxc:swit:conn:stat?\n", "three connections");
    check(&mut session, ":oxc:swit:conn:port? 2\n", "peer of a port");
    small.apply(&DeviceFault::PortFails(6)).unwrap();
    ask(&mut session, b":oxc:swit:port:dis (@2)\n");
    check(&mut session, ":oxc:swit:port:stat? (@2,4,6)\n", "states of three ports");
    ask(&mut session, b":oxc:swit:conn:only (@1),(@17)\n");
    // The model's path has a loss of 1 dB.
    small.set_input(1, -11.3);
    check(&mut session, ":pmon:pow? (@17,18)\n", "power at two ports");
    for (mode, name) in [("DARK", "boot mode DARK"), ("RESTore", "boot mode REST"), ("AUT", "boot mode AUT")] {
        ask(&mut session, format!(":oxc:boot:mode {mode}\n").as_bytes());
        check(&mut session, ":oxc:boot:mode?\n", name);
    }
}

#[test]
fn agiltron_frames_are_those_of_the_sources() {
    let mut seen = 0;
    for (model, name) in [(Model::Ff, "ff"), (Model::SelfAlign, "selfalign")] {
        let behind = Arc::new(Switch::new(Identity::of("Agiltron"), Geometry::one_by(16), Clock::manual()));
        let mut session = Agiltron::new(model, Arc::clone(&behind));
        for vector in vectors("agiltron").iter().filter(|v| text(v, "model") == name && text(v, "direction") == "request") {
            let request = hex::decode(text(vector, "hex")).unwrap();
            let reply = ask(&mut session, &request);
            match (name, text(&vector["meaning"], "command")) {
                ("ff", "get") => assert_eq!(reply.len(), 4),
                ("ff", "set") => assert_eq!(reply, request, "the echo of the same four bytes"),
                ("selfalign", "set") => assert_eq!(reply, [0x01, 0x35, 0xff, 0xff]),
                (_, "home") => assert!(reply.is_empty()),
                other => panic!("{other:?}"),
            }
            if let Some(channel) = vector["meaning"]["channel"].as_u64() {
                assert_eq!(behind.peer(0).map(u64::from), Some(channel));
            }
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn quantis_answers_every_setup_packet_of_the_sources() {
    let usb = Chapter9::new(Quantis::new(Arc::new(Random::new(1, "FFFFFFFFFF"))));
    let mut seen = 0;
    for vector in vectors("idq-quantis") {
        let bytes = hex::decode(text(&vector, "hex")).unwrap();
        let name = text(&vector, "name");
        match text(&vector, "direction") {
            "setup" => {
                let setup = Setup::from_bytes(bytes.try_into().unwrap());
                match usb.control(setup, &[]) {
                    Completion::Data(data) => assert_eq!(data.len(), usize::from(setup.length), "{name}"),
                    Completion::Accepted(0) => assert_eq!(setup.length, 0, "{name}"),
                    other => panic!("{name}: {other:?}"),
                }
            }
            "descriptor" => {
                let (device, configuration) = usb.descriptors();
                assert!(bytes == device || bytes == configuration, "{name}");
            }
            "reply" if text(&vector["meaning"], "request") == "get_modules_rate" => {
                let rate = usb.control(Setup { request_type: 0xc1, request: 0x16, value: 0, index: 0, length: 4 }, &[]);
                assert_eq!(rate, Completion::Data(bytes), "{name}");
            }
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen >= 11);
}
