//! The emulators against the golden vectors, which come from sources and never from our code: each
//! request is understood, and each reply equals that of the vector for the same device state.

#![allow(clippy::unwrap_used, missing_docs)]

use qkd_driver_kit::link::usb::{Completion, SetupPacket, UsbService};
use qkd_emulators::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{random::RandomModel, switch::Switch},
    vendor::{
        agiltron::{Agiltron, Model},
        dicon::{gp600::DiconGp600, mems::DiconMems},
        idq_quantis::Quantis,
        jdsu_sb::{Codes, JdsuSb},
        leoni_eol::LeoniEol,
        polatis::scpi::PolatisScpi,
        thorlabs_osw::ThorlabsOsw,
    },
    wire::{Session, usb::Chapter9},
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_default()
}

fn ask(session: &mut dyn Session, request: &[u8]) -> Vec<u8> {
    session
        .feed(request)
        .into_iter()
        .flat_map(|r| r.bytes)
        .collect()
}

fn switch(code: &str, size: u32) -> Arc<Switch> {
    let identity = Identity::new("Polatis")
        .with_model(code)
        .with_serial("002414")
        .with_firmware("6.5.2.18");
    Arc::new(Switch::new(
        identity,
        Geometry::matrix(size, size),
        Clock::manual(),
    ))
}

#[test]
fn every_scpi_request_of_the_sources_is_understood() {
    let mut seen = 0;
    for vector in vectors("polatis")
        .iter()
        .filter(|v| text(v, "direction") == "request")
    {
        let mut session = PolatisScpi::new(switch("N-OST-24x24-LA1-DMHNS", 24)).session();
        let (reply, name) = (
            ask(&mut session, text(vector, "ascii").as_bytes()),
            text(vector, "name"),
        );
        // Ports of the samples are those of switches of several sizes; one that is not there is an
        // execution error, never a syntax error.
        let error = String::from_utf8(ask(&mut session, b":syst:err?\n")).unwrap();
        assert!(
            ["0,", "-2"].iter().any(|code| error.starts_with(code)),
            "{name}: {error}"
        );
        assert!(
            text(vector, "ascii").contains('?') || reply.is_empty(),
            "{name}: a set command is silent"
        );
        seen += 1;
    }
    assert!(seen > 20);
}

#[test]
fn scpi_replies_are_those_of_the_sources() {
    let all = vectors("polatis");
    let reply = |name: &str| {
        text(
            all.iter()
                .find(|v| text(v, "name") == name && text(v, "direction") == "reply")
                .unwrap(),
            "ascii",
        )
        .to_owned()
    };
    let check = |session: &mut dyn Session, request: &str, name: &str| {
        let said = String::from_utf8(ask(session, request.as_bytes())).unwrap();
        assert_eq!(said.trim_end(), reply(name).trim_end(), "{name}");
    };
    check(
        &mut PolatisScpi::new(switch("I-OST-24x24-LU1-DMHNS", 24)).session(),
        "*idn?\n",
        "identity of an OST 24x24",
    );
    let small = switch("N-OST-16x16-LA1-DMHNS", 16);
    let mut session = PolatisScpi::new(Arc::clone(&small)).session();
    check(&mut session, ":oxc:swit:size?\n", "size 16x16");
    check(&mut session, ":oxc:swit:conn:stat?\n", "no connection");
    check(
        &mut session,
        ":oxc:swit:conn:port? 2\n",
        "peer of a dark port",
    );
    check(&mut session, ":syst:err?\n", "no error");
    check(&mut session, "*opc?\n", "operation complete");
    check(&mut session, ":syst:comm:netw:addr?\n", "network address");
    ask(&mut session, b":oxc:swit:conn:add (@1,2,3),(@19,18,22)\n");
    check(&mut session, ":oxc:swit:conn:stat?\n", "three connections");
    check(&mut session, ":oxc:swit:conn:port? 2\n", "peer of a port");
    small.apply(&DeviceFault::PortFails(6)).unwrap();
    ask(&mut session, b":oxc:swit:port:dis (@2)\n");
    check(
        &mut session,
        ":oxc:swit:port:stat? (@2,4,6)\n",
        "states of three ports",
    );
    ask(&mut session, b":oxc:swit:conn:only (@1),(@17)\n");
    // The model's path has a loss of 1 dB.
    small.set_input_power(1, -11.3);
    check(&mut session, ":pmon:pow? (@17,18)\n", "power at two ports");
    for (mode, name) in [
        ("DARK", "boot mode DARK"),
        ("RESTore", "boot mode REST"),
        ("AUT", "boot mode AUT"),
    ] {
        ask(&mut session, format!(":oxc:boot:mode {mode}\n").as_bytes());
        check(&mut session, ":oxc:boot:mode?\n", name);
    }
}

#[test]
fn agiltron_frames_are_those_of_the_sources() {
    let mut seen = 0;
    for (model, name) in [(Model::Ff, "ff"), (Model::SelfAlign, "selfalign")] {
        let switch = Arc::new(Switch::new(
            Identity::new("Agiltron"),
            Geometry::one_by(16),
            Clock::manual(),
        ));
        let mut session = Agiltron::new(model, Arc::clone(&switch));
        for vector in vectors("agiltron")
            .iter()
            .filter(|v| text(v, "model") == name && text(v, "direction") == "request")
        {
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
                assert_eq!(switch.peer(0).map(u64::from), Some(channel));
            }
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn quantis_answers_every_setup_packet_of_the_sources() {
    let usb = Chapter9::new(Quantis::new(Arc::new(RandomModel::new(1, "FFFFFFFFFF"))));
    let mut seen = 0;
    for vector in vectors("idq-quantis") {
        let bytes = hex::decode(text(&vector, "hex")).unwrap();
        let name = text(&vector, "name");
        match text(&vector, "direction") {
            "setup" => {
                let setup = SetupPacket::from_bytes(bytes.try_into().unwrap());
                match usb.control(setup, &[]) {
                    Completion::Data(data) => {
                        assert_eq!(data.len(), usize::from(setup.length), "{name}")
                    }
                    Completion::Accepted(0) => assert_eq!(setup.length, 0, "{name}"),
                    other => panic!("{name}: {other:?}"),
                }
            }
            "descriptor" => {
                let (device, configuration) = usb.descriptors();
                assert!(bytes == device || bytes == configuration, "{name}");
            }
            "reply" if text(&vector["meaning"], "request") == "get_modules_rate" => {
                let rate = usb.control(
                    SetupPacket {
                        request_type: 0xc1,
                        request: 0x16,
                        value: 0,
                        index: 0,
                        length: 4,
                    },
                    &[],
                );
                assert_eq!(rate, Completion::Data(bytes), "{name}");
            }
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen >= 11);
}

/// The vectors of a family of serial switches, one model of it if it names several.
struct Sources {
    family: &'static str,
    model: &'static str,
}

impl Sources {
    fn of(&self, direction: &str) -> Vec<Value> {
        let all: Vec<_> = vectors(self.family)
            .into_iter()
            .filter(|v| text(v, "direction") == direction && text(v, "model") == self.model)
            .collect();
        assert!(all.len() >= 2, "{}", self.family);
        all
    }
    /// Returns the reply of this name from the vectors.
    fn reply(&self, name: &str) -> String {
        text(
            self.of("reply")
                .iter()
                .find(|v| text(v, "name") == name)
                .unwrap_or_else(|| panic!("{name}")),
            "ascii",
        )
        .to_owned()
    }
    /// Every set is silent, every query answered with one reply that ends as those of the vectors
    /// do. `drained`: that no error waits.
    fn each_request(
        &self,
        connect: impl Fn() -> Box<dyn Session>,
        drained: impl Fn(&mut dyn Session, &str),
    ) {
        for vector in self.of("request") {
            let (name, request) = (text(&vector, "name"), text(&vector, "ascii"));
            let mut session = connect();
            let reply = String::from_utf8(ask(&mut *session, request.as_bytes())).unwrap();
            assert_eq!(
                reply.is_empty(),
                !request.contains('?'),
                "{name}: {reply:?}"
            );
            let end = text(&self.of("reply")[0], "ascii")
                .trim_start_matches('\n')
                .trim_start_matches(|c: char| !c.is_ascii_control())
                .to_owned();
            assert!(
                reply.is_empty() || reply.ends_with(&end),
                "{name}: {reply:?}"
            );
            drained(&mut *session, name);
        }
    }
    /// The replies to these requests are those of these names.
    fn replies(&self, session: &mut dyn Session, exchanges: &[(&str, &str)]) {
        for (request, name) in exchanges {
            assert_eq!(
                String::from_utf8(ask(session, request.as_bytes())).unwrap(),
                self.reply(name),
                "{request:?}"
            );
        }
    }
}

fn dark(vendor: &str, channels: u32, clock: Clock) -> Arc<Switch> {
    let identity = Identity::new(vendor)
        .with_model("SB Switch")
        .with_firmware("2.00");
    Arc::new(Switch::new(
        identity,
        Geometry::OneByN {
            channels,
            dark: true,
        },
        clock,
    ))
}

#[test]
fn jdsu_sb_answers_what_the_manual_has() {
    let sources = Sources {
        family: "jdsu-sb",
        model: "",
    };
    let clock = Clock::manual();
    let device =
        |clock: &Clock| JdsuSb::new(dark("JDS Uniphase", 48, clock.clone()), Codes::default());
    sources.each_request(
        || Box::new(device(&clock).session()),
        |session, name| assert_eq!(ask(session, b"LERR?\r"), b"000\r\n", "{name}"),
    );
    let device = device(&clock);
    let mut session = device.session();
    sources.replies(
        &mut session,
        &[
            ("IDN?\r", "identity"),
            ("CLOSE?\r", "channel 0 after power-up"),
            ("CLOSE? MAX\r", "48 channels, the most there are"),
            ("XDRS?\r", "no relay driver on"),
            ("SRE?\r", "no service request"),
            ("CNB?\r", "settled"),
            ("OPC?\r", "input buffer empty"),
            ("CSB;CLOSE 5\rCNB?\r", "moving"),
            ("CLOSE?\r", "channel 5"),
            ("TST?\r", "self-test passed"),
            ("ERR?\r", "nothing is wrong"),
            ("LERR?\r", "no error"),
            ("XDR 3 1\rXDR? 3\r", "relay driver on"),
            ("XDRS 3\rLRN?\r", "learn string"),
        ],
    );
    clock.advance(Duration::from_secs(1));
    sources.replies(&mut session, &[("STB?\r", "status: settled")]);
    let replies = session.feed(b"OPC?\rOPC?\r");
    assert_eq!(
        [&replies[0].bytes, &replies[1].bytes].map(|b| String::from_utf8_lossy(b)),
        [
            sources.reply("commands pending"),
            sources.reply("input buffer empty")
        ]
    );
    device.apply(&DeviceFault::Fail).unwrap();
    sources.replies(
        &mut session,
        &[
            ("LERR?\r", "self-test failed"),
            ("ERR?\r", "the self-test has failed"),
            ("TST?\r", "self-test not passed"),
        ],
    );
}

#[test]
fn thorlabs_osw_replies_as_the_clients_expect() {
    let sources = Sources {
        family: "thorlabs-osw",
        model: "",
    };
    for geometry in [Geometry::one_by(2), Geometry::Crossbar] {
        let identity = Identity::new("Thorlabs")
            .with_model("OSW")
            .with_firmware("1");
        let connect = || {
            ThorlabsOsw::new(
                Arc::new(Switch::new(identity.clone(), geometry, Clock::manual())),
                Duration::ZERO,
            )
            .session()
        };
        sources.each_request(|| Box::new(connect()), |_, _| {});
        sources.replies(
            &mut connect(),
            &[
                ("S?\n", "position 1"),
                ("S 2\nS?\n", "position 1"),
                ("S?\n", "position 2"),
            ],
        );
    }
}

#[test]
fn dicon_mems_answers_what_the_clients_expect() {
    let sources = Sources {
        family: "dicon",
        model: "mems",
    };
    let connect = || DiconMems::new(dark("DiCon", 16, Clock::manual())).session();
    sources.each_request(|| Box::new(connect()), |_, _| {});
    sources.replies(
        &mut connect(),
        &[("CF?\r", "16 channels"), ("I1 3\rI1?\r", "channel 3")],
    );
}

#[test]
fn dicon_gp600_answers_what_its_client_expects() {
    let sources = Sources {
        family: "dicon",
        model: "gp600",
    };
    let identity = Identity::new("Dicon Fiberoptics Inc")
        .with_model("GP600")
        .with_serial("19A0M10D0117")
        .with_firmware("7.0");
    let connect = || {
        DiconGp600::new(
            Arc::new(Switch::new(
                identity.clone(),
                Geometry::matrix(16, 16),
                Clock::manual(),
            )),
            [1310, 1550],
        )
        .session()
    };
    sources.each_request(
        || Box::new(connect()),
        |session, name| assert_eq!(ask(session, b"SYST:ERR?\r"), b"+0, No Error\r", "{name}"),
    );
    sources.replies(
        &mut connect(),
        &[
            ("*IDN?\r", "identity"),
            ("SYST:CONF?\r", "the matrix configuration"),
            ("X1 DIM?\r", "16 x 16"),
            ("X1 CH 2?\r", "input 2 is disconnected"),
            ("X1 CH 2 5\rX1 CH 2?\r", "input 2 at output 5"),
            ("SYST:ERR?\r", "no error"),
        ],
    );
}

#[test]
fn leoni_eol_answers_what_the_manual_has() {
    let sources = Sources {
        family: "leoni-eol",
        model: "",
    };
    let identity = Identity::new("LEONI").with_firmware("3.27");
    let connect = || {
        LeoniEol::new(Arc::new(Switch::new(
            identity.clone(),
            Geometry::one_by(4),
            Clock::manual(),
        )))
        .session()
    };
    sources.each_request(|| Box::new(connect()), |_, _| {});
    sources.replies(
        &mut connect(),
        &[
            ("firmware?\r\n", "firmware 3.27"),
            ("ch2\r\nch?\r\n", "channel 2"),
        ],
    );
}

#[test]
fn a_newer_leoni_replies_as_public_drivers_expect() {
    let sources = Sources {
        family: "leoni-eol",
        model: "newer",
    };
    for family in ["eol", "mol"] {
        let identity = Identity::new("LEONI")
            .with_model(format!("{family} 1x4"))
            .with_firmware("v8.09");
        let connect = || {
            LeoniEol::new(Arc::new(Switch::new(
                identity.clone(),
                Geometry::one_by(4),
                Clock::manual(),
            )))
            .session()
        };
        sources.each_request(|| Box::new(connect()), |_, _| {});
        sources.replies(
            &mut connect(),
            &[
                ("firmware?\r\n", "firmware 8.09"),
                ("type?\r\n", &format!("type {family} 1x4")),
            ],
        );
    }
}
