//! The driver against a small scripted switch, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::memory::{Endpoint, MemoryConnector},
};
use qkd_hal::{
    DeviceKind, DeviceMisbehaved, Effect, ErrorKind, Operation, Support, TransportFault,
    parameter::ParameterValue,
};
use qkd_switch_hal::{CrossConnect, CrossConnects, Plan, Port, PortState, Scope, SwitchState};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Reaction of the switch to a line instead of a reply.
enum PeerFault {
    Answer(&'static str),
    DropRequest,
    DelayedAnswer(&'static str),
    Reset,
}

#[derive(Default)]
struct Sim {
    code: &'static str,
    pairs: BTreeMap<u32, u32>,
    disabled: Vec<u32>,
    mode: String,
    /// For the next lines that contain the text.
    faults: VecDeque<(&'static str, PeerFault)>,
    /// Cross-connect that another client makes after each change.
    foreign: Option<(u32, u32)>,
    refuse: bool,
    seen: Vec<String>,
}

type Shared = Arc<Mutex<Sim>>;

impl Sim {
    fn list(text: &str) -> Vec<u32> {
        text.trim_matches(['(', ')', '@'])
            .split(',')
            .filter_map(|p| p.trim().parse().ok())
            .collect()
    }

    fn answer(&mut self, line: &str) -> Option<String> {
        let (command, tail) = line
            .split_once(";:")
            .map_or((line, None), |(c, t)| (c, Some(t)));
        let (word, argument) = command.split_once(' ').unwrap_or((command, ""));
        let (first, second) = argument.split_once("),(").unwrap_or((argument, ""));
        let (ingress, egress) = (Self::list(first), Self::list(second));
        let reply = match word {
            "*idn?" => Some(format!("Polatis,{},002414,6.5.2.18", self.code)),
            ":oxc:swit:size?" => Some("4,4".to_owned()),
            ":oxc:swit:conn:stat?" => {
                let join = |v: Vec<&u32>| {
                    v.iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(",")
                };
                Some(format!(
                    "(@{}),(@{})",
                    join(self.pairs.keys().collect()),
                    join(self.pairs.values().collect())
                ))
            }
            ":oxc:swit:port:stat?" => {
                let asked = if argument.is_empty() {
                    (1..=8).collect()
                } else {
                    ingress.clone()
                };
                let letters: Vec<&str> = asked
                    .iter()
                    .map(|p| if self.disabled.contains(p) { "D" } else { "E" })
                    .collect();
                Some(format!("({})", letters.join(",")))
            }
            ":pmon:pow?" => Some(format!(
                "({})",
                ingress
                    .iter()
                    .map(|p| format!("-{p}.5"))
                    .collect::<Vec<_>>()
                    .join(",")
            )),
            ":oxc:boot:mode?" => Some(self.mode.clone()),
            _ => None,
        };
        if self.refuse && tail.is_some() && word != "*cls" {
            return Some("-222, \"Data out of range\"".to_owned());
        }
        match word {
            ":oxc:swit:conn:add" => self.pairs.extend(ingress.into_iter().zip(egress)),
            ":oxc:swit:conn:only" => self.pairs = ingress.into_iter().zip(egress).collect(),
            ":oxc:swit:conn:sub" => self.pairs.retain(|i, _| !ingress.contains(i)),
            ":oxc:swit:disc:all" => self.pairs.clear(),
            ":oxc:swit:port:dis" => self.disabled.extend(ingress),
            ":oxc:swit:port:enab" => self.disabled.retain(|p| !ingress.contains(p)),
            ":oxc:boot:mode" => self.mode = argument.to_owned(),
            _ => {}
        }
        if word.contains(":conn:add")
            && let Some((i, e)) = self.foreign
        {
            self.pairs.insert(i, e);
        }
        reply.or_else(|| tail.map(|_| "0, \"No error\"".to_owned()))
    }
}

async fn serve(mut far: DuplexStream, sim: Shared) {
    let mut line = Vec::new();
    while let Ok(byte) = far.read_u8().await {
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
        let (reply, late) = {
            let mut sim = sim.lock().unwrap();
            sim.seen.push(text.clone());
            let fault = sim
                .faults
                .front()
                .filter(|(on, _)| text.contains(on))
                .is_some()
                .then(|| sim.faults.pop_front())
                .flatten();
            match fault {
                Some((_, PeerFault::Reset)) => return,
                Some((_, PeerFault::DropRequest)) => (None, false),
                Some((_, PeerFault::Answer(reply))) => (Some(reply.to_owned()), false),
                Some((_, PeerFault::DelayedAnswer(reply))) => (Some(reply.to_owned()), true),
                None => (sim.answer(text.trim()), false),
            }
        };
        if late {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
        if let Some(reply) = reply
            && far
                .write_all(format!("{reply}\r\n").as_bytes())
                .await
                .is_err()
        {
            return;
        }
    }
}

async fn open_code(code: &'static str) -> (qkd_hal::Result<OpenedDevice>, Shared) {
    let sim: Shared = Arc::new(Mutex::new(Sim {
        code,
        mode: "AUT".into(),
        ..Sim::default()
    }));
    let served = Arc::clone(&sim);
    let endpoint = MemoryConnector::new("switch", move |far| {
        tokio::spawn(serve(far, Arc::clone(&served)));
    });
    let context = OpenContext::new().with_memory("switch", Endpoint::Bytes(Arc::new(endpoint)));
    (
        Registry::new()
            .with(driver())
            .open("polatis+mem://switch", &context)
            .await,
        sim,
    )
}

async fn open() -> (OpenedDevice, Shared) {
    let (opened, sim) = open_code("N-OST-4x4-LA1-DMHNS").await;
    sim.lock().unwrap().seen.clear();
    (opened.unwrap(), sim)
}

fn set(text: &str) -> CrossConnects {
    text.parse().unwrap()
}

async fn plan(opened: &OpenedDevice, wanted: &str, scope: Scope) -> Plan {
    let switch = opened.switch().unwrap();
    let _present = switch.connections().await.unwrap().value;
    switch
        .plan()
        .to(set(wanted))
        .scope(scope.clone())
        .build()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_reports_its_identity() {
    let (opened, _) = open().await;
    let switch = opened.switch().unwrap();
    let identity = switch.identity().await.unwrap();
    assert_eq!(
        identity.to_string(),
        "Polatis N-OST-4x4-LA1-DMHNS, serial 002414, firmware 6.5.2.18"
    );
    let meter = opened.power_meter().unwrap();
    assert_eq!(
        meter
            .meter_capabilities()
            .monitors
            .iter()
            .map(|p| p.0)
            .collect::<Vec<_>>(),
        [5, 6, 7, 8]
    );
    assert_eq!(switch.telemetry().await.unwrap().len(), 4);
    let (opened, _) = open_code("I-OST-4x4-LU1-DMHNS").await;
    let opened = opened.unwrap();
    assert_eq!(
        opened.device().capabilities().supports(Operation::Power),
        Support::Unsupported
    );
    assert_eq!(
        opened.device().descriptor().kinds,
        [DeviceKind::OpticalSwitch]
    );
    assert_eq!(
        opened.power_meter().err().unwrap().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test(start_paused = true)]
async fn other_devices_and_sizes_are_refused() {
    for (code, kind) in [
        (
            "N-OST-8x8-LA1",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        ("N-OST-48xcc-LA1", ErrorKind::Unsupported),
        // Another maker's instrument, which says the same each time.
        ("x,y,z", ErrorKind::IdentityChanged),
    ] {
        assert_eq!(open_code(code).await.0.unwrap_err().kind(), kind, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_applied_with_removals_first_and_read_back() {
    let (opened, sim) = open().await;
    sim.lock().unwrap().pairs.extend([(1, 5), (2, 6)]);
    let plan = plan(&opened, "1-6,3-7", Scope::Touched).await;
    sim.lock().unwrap().seen.clear();
    let applied = opened.switch().unwrap().apply(&plan).await.unwrap();
    assert_eq!((applied.steps, applied.verified), (4, true));
    assert_eq!(
        sim.lock().unwrap().seen,
        [
            ":oxc:swit:conn:stat?",
            "*cls;:syst:err?",
            ":oxc:swit:conn:sub (@1,2),(@5,6);:syst:err?",
            ":oxc:swit:conn:add (@1,3),(@6,7);:syst:err?",
            ":oxc:swit:conn:stat?",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn replace_everything_needs_every_port_declared() {
    let (opened, sim) = open().await;
    sim.lock().unwrap().pairs.insert(1, 5);
    let plan = plan(&opened, "2-6", Scope::All).await;
    opened.switch().unwrap().apply(&plan).await.unwrap();
    assert!(
        sim.lock()
            .unwrap()
            .seen
            .iter()
            .any(|l| l.starts_with(":oxc:swit:conn:only (@2),(@6)"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_switch_in_another_state_is_left_unchanged() {
    let (opened, sim) = open().await;
    let plan = plan(&opened, "1-5", Scope::Touched).await;
    sim.lock().unwrap().pairs.insert(1, 8);
    sim.lock().unwrap().seen.clear();
    let error = opened.switch().unwrap().apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::StateChanged, Effect::None)
    );
    assert_eq!(sim.lock().unwrap().seen, [":oxc:swit:conn:stat?"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_changes_of_others_are_reported() {
    let (opened, sim) = open().await;
    sim.lock().unwrap().foreign = Some((1, 8));
    let plan = plan(&opened, "1-5", Scope::Touched).await;
    let error = opened.switch().unwrap().apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::StateChanged, Effect::Partial)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_reports_the_completed_steps() {
    let (opened, sim) = open().await;
    let plan = plan(&opened, "1-5", Scope::Touched).await;
    sim.lock().unwrap().refuse = true;
    let error = opened.switch().unwrap().apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.vendor_code()),
        (ErrorKind::Refused, Effect::None, Some("-222"))
    );
    assert!(error.message().contains("done: nothing"), "{error}");
    sim.lock().unwrap().refuse = false;
    opened.switch().unwrap().apply(&plan).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_half_applied_plan_has_effect_partial() {
    let (opened, sim) = open().await;
    sim.lock().unwrap().pairs.insert(1, 5);
    let plan = plan(&opened, "1-6", Scope::Touched).await;
    sim.lock()
        .unwrap()
        .faults
        .push_back(("conn:add", PeerFault::Answer("-350, \"Queue overflow\"")));
    let error = opened.switch().unwrap().apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Refused, Effect::Partial)
    );
    assert!(error.message().contains("done: disconnect 1-5"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_another_query_is_reported_and_the_next_call_works() {
    let (opened, sim) = open().await;
    let switch = opened.switch().unwrap();
    for (reply, kind) in [
        (
            "4,4",
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            "\"5\"",
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            "what",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "(@1),(@9)",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            "(@1,1),(@5,6)",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            "\u{fffd}\u{fffd}",
            ErrorKind::Transport(TransportFault::Framing),
        ),
    ] {
        sim.lock()
            .unwrap()
            .faults
            .push_back(("conn:stat", PeerFault::Answer(reply)));
        assert_eq!(
            switch.connections().await.unwrap_err().kind(),
            kind,
            "{reply}"
        );
        assert!(switch.connections().await.unwrap().value.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_a_late_reply_and_a_closed_connection_fail_only_one_call() {
    let (opened, sim) = open().await;
    let switch = opened.switch().unwrap();
    for (fault, kind) in [
        (PeerFault::DropRequest, ErrorKind::Timeout),
        (PeerFault::DelayedAnswer("(@1),(@5)"), ErrorKind::Timeout),
        (
            PeerFault::Reset,
            ErrorKind::Transport(TransportFault::HungUp),
        ),
    ] {
        sim.lock().unwrap().faults.push_back(("conn:stat", fault));
        assert_eq!(switch.connections().await.unwrap_err().kind(), kind);
        assert!(switch.connections().await.unwrap().value.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_set_leaves_the_effect_unknown_over_snmp() {
    let (opened, sim) = open().await;
    let switch = opened.switch().unwrap();
    sim.lock()
        .unwrap()
        .faults
        .push_back(("port:dis", PeerFault::DropRequest));
    let error = switch.set_port(Port(3), false).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    switch.set_port(Port(3), false).await.unwrap();
    let status = switch.ports(&[Port(3), Port(5)]).await.unwrap();
    assert_eq!(
        (
            status[0].state,
            status[0].power.is_none(),
            status[1].power.map(|m| m.value.0)
        ),
        (PortState::Disabled, true, Some(-5.5))
    );
    assert_eq!(switch.ports(&[]).await.unwrap().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn invalid_arguments_are_refused_before_anything_is_sent() {
    let (opened, sim) = open().await;
    let switch = opened.switch().unwrap();
    assert_eq!(
        switch.ports(&[Port(9)]).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        switch.set_port(Port(0), true).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        opened
            .power_meter()
            .unwrap()
            .power(&[Port(1)])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        switch
            .set_parameter("boot-mode", &ParameterValue::Text("bright".into()))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        switch
            .set_parameter("network-address", &ParameterValue::Text("x".into()))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unsupported
    );
    let foreign = SwitchState {
        device: qkd_hal::Identity::new("x"),
        geometry: switch.switch_capabilities().geometry,
        connections: CrossConnects::dark(),
    }
    .plan()
    .to([CrossConnect::new(1, 5)]
        .into_iter()
        .collect::<qkd_hal::Result<_>>()
        .unwrap())
    .build();
    assert_eq!(
        switch.apply(&foreign.unwrap()).await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    assert!(sim.lock().unwrap().seen.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_boot_mode_is_a_parameter() {
    let (opened, sim) = open().await;
    let device = opened.device();
    assert_eq!(
        device.parameter("boot-mode").await.unwrap().to_string(),
        "autosave"
    );
    device
        .set_parameter("boot-mode", &ParameterValue::Text("dark".into()))
        .await
        .unwrap();
    assert_eq!(sim.lock().unwrap().mode, "DARK");
    sim.lock()
        .unwrap()
        .faults
        .push_back(("mode REST", PeerFault::Answer("0, \"No error\"")));
    let error = device
        .set_parameter("boot-mode", &ParameterValue::Text("restore".into()))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
    );
}
