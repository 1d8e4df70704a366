//! Active probes: the bytes that each driver sends over a serial line to recognise its device, at
//! each device with a serial line. A probe only reads, and leaves no partly read line.

use qkd_driver_kit::{
    DriverInfo, OpenContext,
    driver_info::Probe,
    link::{
        Disclosure,
        bytes::{ByteLink, Connector, Exchange, Frame},
        memory::{self, Endpoint},
        serial::SerialConnector,
        stream::{Resync, StreamLink, StreamOptions},
    },
};
use qkd_emulators::{
    Clock, FaultInjector,
    model::switch::Switch,
    profile::Options,
    profiles,
    server::memory::attach,
    vendor::{
        agiltron::{Agiltron, Model},
        dicon::{gp600::DiconGp600, mems::DiconMems},
        jdsu_sb::{Codes, JdsuSb},
        polatis::scpi::PolatisScpi,
        thorlabs_osw::ThorlabsOsw,
    },
    wire::{Reply, Session},
};
use qkd_hal::{ErrorKind, Identity, event::EventHub, reading::Quality};
use qkd_switch_hal::{CrossConnects, Geometry, OpticalSwitch, Plan, PortState};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A serial line: whoever opens it meets the same session, with whatever the last one left in it.
#[derive(Clone)]
struct Line(Arc<Mutex<Box<dyn Session>>>);

impl Session for Line {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        self.0.lock().unwrap().feed(bytes)
    }
    fn is_waiting(&self) -> bool {
        self.0.lock().unwrap().is_waiting()
    }
    fn poll(&mut self) -> Vec<Reply> {
        self.0.lock().unwrap().poll()
    }
}

struct Device {
    name: &'static str,
    uri: &'static str,
    model: Arc<Switch>,
    line: Line,
    /// Cross-connects before any probe.
    paths: CrossConnects,
}

impl Device {
    fn new(
        name: &'static str,
        uri: &'static str,
        model: Switch,
        paths: &[(u32, u32)],
        session: impl FnOnce(Arc<Switch>) -> Box<dyn Session>,
    ) -> Self {
        let model = Arc::new(model);
        model.add(paths).unwrap();
        let paths = model.cross_connects();
        Self {
            name,
            uri,
            line: Line(Arc::new(Mutex::new(session(Arc::clone(&model))))),
            model,
            paths,
        }
    }

    fn endpoint(&self) -> Endpoint {
        let line = self.line.clone();
        attach(
            self.name,
            Arc::new(move || Box::new(line.clone()) as Box<dyn Session>),
            FaultInjector::new(1, None),
            Clock::default(),
        )
    }

    fn connector(&self) -> Box<dyn Connector> {
        match self.endpoint() {
            Endpoint::Bytes(connector) => Box::new(memory::SharedConnector(connector)),
            _ => panic!("{} speaks bytes", self.name),
        }
    }

    fn driver(&self) -> &str {
        self.uri.split('+').next().unwrap()
    }

    fn ports(&self) -> Vec<PortState> {
        let geometry = self.model.geometry();
        geometry
            .ports()
            .map(|p| self.model.port_state(p.0))
            .collect()
    }

    /// Its own driver opens it, and finds what there was.
    async fn answers(&self, left: &str) {
        let context = OpenContext::new().with_memory("device", self.endpoint());
        let opened = qkd_hardware::registry()
            .open(self.uri, &context)
            .await
            .unwrap_or_else(|e| panic!("{} after {left}: {e}", self.name));
        answers(&*opened.switch().unwrap(), &self.paths, self.name).await;
        opened.device().close().await.unwrap();
    }
}

async fn answers(switch: &dyn OpticalSwitch, paths: &CrossConnects, name: &str) {
    match switch.connections().await {
        Ok(now) => assert_eq!((&now.value, now.quality), (paths, Quality::Good), "{name}"),
        // A SelfAlign cannot be asked: that it still answers shows in the acknowledgement of the
        // path that it has.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotReady, "{name}: {error}");
            let plan = Plan::unverified(
                &switch.identity().await.unwrap(),
                &switch.switch_capabilities().geometry,
                paths,
            )
            .unwrap();
            switch
                .apply(&plan)
                .await
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(switch.connections().await.unwrap().value, *paths);
        }
    }
}

fn polatis(name: &'static str, model: &str, geometry: Geometry) -> Device {
    let identity = Identity::new("Polatis")
        .with_model(model)
        .with_serial("002414")
        .with_firmware("6.5.2.18");
    let model = Switch::new(identity, geometry, Clock::default());
    model.enable(&[3], false).unwrap();
    Device::new(
        name,
        "polatis+mem://device",
        model,
        &[(1, 30), (2, 31)],
        |m| Box::new(PolatisScpi::new(m).session()),
    )
}

fn agiltron(name: &'static str, uri: &'static str, which: Model, channels: u32) -> Device {
    let model = Switch::new(
        Identity::new("Agiltron"),
        Geometry::one_by(channels),
        Clock::default(),
    );
    Device::new(name, uri, model, &[(0, 3)], |m| {
        Box::new(Agiltron::new(which, m))
    })
}

fn devices() -> Vec<Device> {
    vec![
        polatis(
            "a Polatis matrix with monitors",
            "N-OST-16x16-LA1-DMHNS",
            Geometry::matrix(16, 16),
        ),
        polatis(
            "a Polatis matrix without",
            "I-OST-24x24-LU1-DMHNS",
            Geometry::matrix(24, 24),
        ),
        agiltron(
            "an Agiltron FF 1x4",
            "agiltron+mem://device?model=ff&channels=4",
            Model::Ff,
            4,
        ),
        agiltron(
            "an Agiltron FF 1x8",
            "agiltron+mem://device?model=ff&channels=8",
            Model::Ff,
            8,
        ),
        agiltron(
            "an Agiltron SelfAlign 1x16",
            "agiltron+mem://device?model=selfalign&channels=16",
            Model::SelfAlign,
            16,
        ),
        Device::new(
            "a JDSU SB 1x8",
            "jdsu-sb+mem://device",
            one_by_8("JDS Uniphase", "SB Switch"),
            &[(0, 3)],
            |m| Box::new(JdsuSb::new(m, Codes::default()).session()),
        ),
        Device::new(
            "a DiCon MEMS 1x8",
            "dicon+mem://device?model=mems",
            one_by_8("DiCon", "MEMS 1x8"),
            &[(0, 3)],
            |m| Box::new(DiconMems::new(m).session()),
        ),
        Device::new(
            "a DiCon GP600",
            "dicon+mem://device?model=gp600",
            gp600(),
            &[(1, 7)],
            |m| Box::new(DiconGp600::new(m, [1310, 1550]).session()),
        ),
        // It has been open for a while.
        Device::new(
            "a Thorlabs OSW22",
            "thorlabs-osw+mem://device?model=osw22",
            osw22(),
            &[(1, 4)],
            |m| Box::new(ThorlabsOsw::new(m, Duration::ZERO).session()),
        ),
    ]
}

fn one_by_8(vendor: &str, model: &str) -> Switch {
    let identity = Identity::new(vendor)
        .with_model(model)
        .with_firmware("2.00");
    Switch::new(
        identity,
        Geometry::OneByN {
            channels: 8,
            dark: true,
        },
        Clock::default(),
    )
}

fn gp600() -> Switch {
    let identity = Identity::new("Dicon Fiberoptics Inc")
        .with_model("GP600")
        .with_serial("19A0M10D0117")
        .with_firmware("7.0");
    Switch::new(identity, Geometry::matrix(4, 4), Clock::default())
}

fn osw22() -> Switch {
    Switch::new(
        Identity::new("Thorlabs")
            .with_model("OSW22-1310E")
            .with_firmware("board 1.0"),
        Geometry::Crossbar,
        Clock::default(),
    )
}

/// The serial probes of all drivers.
fn probes() -> Vec<(&'static DriverInfo, u32, &'static [u8], &'static str)> {
    let registry = qkd_hardware::registry();
    let infos: Vec<&'static DriverInfo> = registry.drivers().map(|d| d.info()).collect();
    infos
        .into_iter()
        .flat_map(|info| {
            info.probes.iter().filter_map(move |p| match p {
                Probe::Bytes {
                    transport: "serial",
                    at,
                    send,
                    expect,
                } => Some((info, *at, *send, *expect)),
                _ => None,
            })
        })
        .collect()
}

/// Whether what answers is a device of the driver's. Silence, and nonsense, is a no.
async fn recognises(connector: Box<dyn Connector>, send: &[u8], expect: &str) -> bool {
    let link = StreamLink::open(
        connector,
        StreamOptions::new(Resync::Reconnect, EventHub::default()),
        PROBE_TIMEOUT,
    )
    .await
    .unwrap();
    let until_line = |seen: &[u8]| {
        if seen.len() > 2 && matches!(seen.last(), Some(b'\r' | b'\n')) || seen.len() >= 256 {
            Frame::Complete(seen.len())
        } else {
            Frame::Incomplete
        }
    };
    let reply = link
        .exchange(Exchange::new("probe", send, PROBE_TIMEOUT).reply(until_line, Disclosure::Public))
        .await;
    link.close().await;
    match reply {
        Ok(reply) => String::from_utf8_lossy(&reply)
            .trim_start()
            .to_ascii_lowercase()
            .starts_with(expect),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_probe_at_each_device_recognises_its_own_only_and_changes_nothing() {
    let probes = probes();
    let mut recognised = 0;
    for device in devices() {
        device.answers("nobody").await;
        let before = device.ports();
        for (info, _, send, expect) in &probes {
            // More than once, because a probe could leave input for the next.
            for _ in 0..3 {
                let own = recognises(device.connector(), send, expect).await;
                assert_eq!(
                    own,
                    info.name == device.driver(),
                    "the probe of {} at {}",
                    info.name,
                    device.name
                );
                recognised += u32::from(own);
                assert_eq!(
                    device.model.cross_connects(),
                    device.paths,
                    "the probe of {} at {}",
                    info.name,
                    device.name
                );
                assert_eq!(
                    device.ports(),
                    before,
                    "the probe of {} at {}",
                    info.name,
                    device.name
                );
            }
            device.answers(info.name).await;
        }
        assert_eq!(device.ports(), before);
    }
    // Two devices have a probe of their own; an Agiltron cannot be recognised, since each four
    // bytes are a command there.
    assert_eq!(recognised, 2 * 3);
    assert!(
        probes.iter().all(|(info, ..)| info.name == "polatis"),
        "a new probe: are its devices among these?"
    );
}

/// The first bytes of the probe end any input that others have left on the line, up to a complete
/// invalid command.
#[tokio::test(start_paused = true)]
async fn a_probe_works_after_an_incomplete_line_of_another_client() {
    for device in devices().into_iter().take(2) {
        for (_, _, send, expect) in probes() {
            for left in [
                &b"\x01\x11\x00\x00"[..],
                b":oxc:swit:conn:add (@1",
                b"*id",
                b"\"",
            ] {
                device.line.clone().feed(left);
                // The first answer may be the refusal of what was left.
                let first = recognises(device.connector(), send, expect).await;
                assert!(
                    first || recognises(device.connector(), send, expect).await,
                    "{} after {left:?}",
                    device.name
                );
                assert_eq!(device.model.cross_connects(), device.paths);
            }
        }
        device.answers("half a line").await;
    }
}

/// Over pseudo-terminals, at the probe's own line speed, which may not be the device's: then it
/// hears noise.
#[tokio::test]
async fn on_real_lines_each_probe_recognises_only_its_own_device() {
    for name in [
        "polatis-16x16",
        "polatis-ost-24x24",
        "agiltron-ff",
        "agiltron-selfalign",
    ] {
        let running = profiles::start(name, &Options::default().seeded(5))
            .await
            .unwrap();
        let serial = running
            .ready()
            .endpoints
            .iter()
            .find(|e| e.bus == "serial")
            .unwrap();
        let uri = running
            .ready()
            .uris
            .iter()
            .find(|u| u.contains("+serial:"))
            .unwrap();
        let open = async || {
            qkd_hardware::registry()
                .open(uri, &OpenContext::new())
                .await
                .unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let before = {
            let opened = open().await;
            let switch = opened.switch().unwrap();
            let geometry = switch.switch_capabilities().geometry;
            let wanted: CrossConnects = if name.starts_with("polatis") {
                "1-30,2-31"
            } else {
                "common-3"
            }
            .parse()
            .unwrap();
            let identity = switch.identity().await.unwrap();
            let plan = match switch.connections().await {
                Ok(_) => switch.plan().to(wanted.clone()).build().await.unwrap(),
                Err(_) => Plan::unverified(&identity, &geometry, &wanted).unwrap(),
            };
            switch.apply(&plan).await.unwrap();
            opened.device().close().await.unwrap();
            wanted
        };
        for (info, baud, send, expect) in probes() {
            let own = recognises(
                Box::new(SerialConnector::new(&serial.address, baud, false)),
                send,
                expect,
            )
            .await;
            assert_eq!(
                own,
                name.starts_with(info.name),
                "the probe of {} at {name}",
                info.name
            );
        }
        let opened = open().await;
        answers(&*opened.switch().unwrap(), &before, name).await;
    }
}
