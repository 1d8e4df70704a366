//! TL1 against a scripted switch.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::{CredentialEntry, Credentials},
    link::scripted::{PeerFault, ScriptedPeer},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Operation, Result, Support, units::DecibelMilliwatts,
};
use qkd_switch_hal::{AlarmLevels, Attenuation, CrossConnects, MonitorSetting, Port, PortState};
use std::collections::BTreeMap;

struct Sim {
    password: &'static str,
    logged_in: bool,
    /// Command that is denied next, and the code.
    deny: Option<(&'static str, &'static str)>,
    pairs: BTreeMap<u32, u32>,
    closed: Vec<u32>,
    threshold: String,
    voa: String,
}

fn list(text: &str) -> Vec<u32> {
    text.split('&').filter_map(|p| p.parse().ok()).collect()
}

fn lines(
    sim: &mut Sim,
    verb: &str,
    aid: &str,
    tail: &str,
) -> std::result::Result<Vec<String>, &'static str> {
    if verb == "ACT-USER" {
        sim.logged_in = tail == format!("::{}", sim.password);
        return if sim.logged_in {
            Ok(vec![])
        } else {
            Err("PICC")
        };
    }
    if !sim.logged_in {
        return Err("PLNA");
    }
    if let Some((denied, code)) = sim.deny
        && denied == verb
    {
        sim.deny = None;
        return Err(code);
    }
    Ok(match (verb, aid) {
        ("RTRV-NETYPE", _) => vec!["Polatis,N-OST-4x4-LA1-DMHNS,OCS,6.5.2.18".to_owned()],
        ("RTRV-INV", _) => vec!["OCS:SN=002414".to_owned()],
        ("RTRV-EQPT", "SYSTEM") => vec!["SYSTEM:SIZE=4x4".to_owned()],
        ("RTRV-EQPT", "PMON") => vec!["PMON::PORT=5,MODE=OUTPUT".to_owned()],
        ("RTRV-EQPT", _) => vec!["ATTEN:CONFIG=ABSOLUTE".to_owned()],
        ("RTRV-PATCH", _) => sim.pairs.iter().map(|(i, e)| format!("{i},{e}")).collect(),
        ("ENT-PATCH", _) => {
            let (ingress, egress) = aid.split_once(',').unwrap();
            sim.pairs
                .extend(list(ingress).into_iter().zip(list(egress)));
            vec![]
        }
        ("DLT-PATCH", _) => {
            sim.pairs.retain(|i, _| !list(aid).contains(i));
            vec![]
        }
        ("OPR-PORT-SHUTTER", _) => {
            sim.closed.extend(list(aid));
            vec![]
        }
        ("RLS-PORT-SHUTTER", _) => {
            sim.closed.retain(|p| !list(aid).contains(p));
            vec![]
        }
        ("RTRV-PORT-SHUTTER", _) => list(aid)
            .into_iter()
            .map(|p| {
                format!(
                    "{p}:{}",
                    if sim.closed.contains(&p) {
                        "SHUT"
                    } else {
                        "OPEN"
                    }
                )
            })
            .collect(),
        ("RTRV-PORT-POWER", _) => list(aid)
            .into_iter()
            .map(|p| format!("{p}:-{p}.25"))
            .collect(),
        ("RTRV-PORT-PMON", _) => vec![format!("{aid}:1550.0,0.5,4")],
        ("RTRV-TH-PMON", _) => vec![format!("{aid}:{}", sim.threshold)],
        ("SET-TH-PMON", _) => {
            assert_eq!(tail, ":::TYPE=LOS,MODE=CONT,EDGE=LOW,LOW=(-30.0),HIGH=10.0");
            sim.threshold = "CONT,LOW,10.0,-30.0".to_owned();
            vec![]
        }
        ("RTRV-STATE-PMON", _) => vec![format!("{aid}:CONT&TRIGGERED")],
        ("SET-PORT-ATTEN", _) => {
            sim.voa = tail
                .strip_prefix(":::MODE=ABS,LEVEL=(")
                .and_then(|t| t.strip_suffix(')'))
                .unwrap()
                .to_owned();
            vec![]
        }
        ("RTRV-PORT-ATTEN", _) => vec![format!("{aid}:ABS,{},", sim.voa)],
        _ => vec![],
    })
}

fn answer(sim: &mut Sim, request: &str) -> String {
    let (verb, rest) = request
        .trim_end_matches(';')
        .split_once("::")
        .or_else(|| request.trim_end_matches(';').split_once(':'))
        .unwrap();
    let (aid, rest) = rest.split_once(':').unwrap();
    let end = rest.find(':').unwrap();
    let (tag, tail) = rest.split_at(end);
    let reported = lines(sim, verb, aid, tail);
    // An unsolicited message arrives first.
    let unasked = "\r\n   sw 26-07-01 12:00:00\r\nA  9 REPT EVT\r\n   \"5:LOS\"\r\n;\r\n";
    let body = match reported {
        Ok(lines) => format!(
            "COMPLD\r\n{}",
            lines
                .iter()
                .map(|l| format!("   \"{l}\"\r\n"))
                .collect::<String>()
        ),
        Err(code) => format!("DENY\r\n   {code}\r\n   /* no, {} */\r\n", sim.password),
    };
    format!("{unasked}\r\n   sw 26-07-01 12:00:00\r\nM  {tag} {body};\r\n")
}

fn far(password: &'static str) -> ScriptedPeer<Sim> {
    let sim = Sim {
        password,
        logged_in: false,
        deny: None,
        pairs: BTreeMap::new(),
        closed: vec![],
        threshold: "OFF,LOW,10.0,-40.0".into(),
        voa: "0.0".into(),
    };
    ScriptedPeer::new(sim, answer)
}

async fn try_open(far: &ScriptedPeer<Sim>, query: &str) -> Result<OpenedDevice> {
    let entry = CredentialEntry::new("lab")
        .with("user", "noc")
        .with("password", "hunter2");
    let context = OpenContext::new()
        .with_credentials(Credentials::from_environment().with(entry))
        .with_memory("device", far.endpoint(b';'));
    Registry::new()
        .with(driver())
        .open(
            &format!("polatis+mem://device?protocol=tl1{query}"),
            &context,
        )
        .await
}

async fn open() -> (OpenedDevice, ScriptedPeer<Sim>) {
    let far = far("root");
    let opened = try_open(&far, "").await.unwrap();
    far.now().seen.clear();
    (opened, far)
}

async fn apply(opened: &OpenedDevice, wanted: &str) -> Result<()> {
    let switch = opened.switch()?;
    let _present = switch.connections().await?.value;
    let wanted: CrossConnects = wanted.parse()?;
    let plan = switch.plan().to(wanted.clone()).build().await?;
    switch.apply(&plan).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn it_logs_in_and_reports_its_identity() {
    let far = far("hunter2");
    let opened = try_open(&far, "&credentials=lab").await.unwrap();
    assert!(
        far.now().seen[0].starts_with("ACT-USER::noc:")
            && far.now().seen[1].starts_with("OPR-ARC-EQPT::REPMGR:")
    );
    assert_eq!(
        opened.device().identity().await.unwrap().to_string(),
        "Polatis N-OST-4x4-LA1-DMHNS, serial 002414, firmware 6.5.2.18"
    );
    assert_eq!(
        opened.device().capabilities().supports(Operation::Health),
        Support::Emulated,
        "it responds; a failed port is not reported"
    );
    assert_eq!(
        opened
            .power_meter()
            .unwrap()
            .power(&[Port(5)])
            .await
            .unwrap()[0]
            .value
            .0,
        -5.25
    );
    assert!(opened.protection().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_bad_login_is_reported_without_the_password() {
    let error = try_open(&far("other"), "&credentials=lab")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(
        error.message().contains("PICC")
            && !format!("{error:?}").contains("hunter2")
            && !format!("{error:?}").contains("other")
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_sent_as_lists_and_read_back() {
    let (opened, far) = open().await;
    apply(&opened, "1-5,2-6").await.unwrap();
    apply(&opened, "1-6,3-7").await.unwrap();
    assert_eq!(far.now().device.pairs, BTreeMap::from([(1, 6), (3, 7)]));
    let seen: Vec<String> = far
        .now()
        .seen
        .iter()
        .filter(|l| !l.starts_with("RTRV"))
        .map(|l| l.splitn(5, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(
        seen,
        ["ENT-PATCH::1&2,5&6", "DLT-PATCH::1&2", "ENT-PATCH::1&3,6&7"]
    );
    opened
        .switch()
        .unwrap()
        .set_port(Port(3), false)
        .await
        .unwrap();
    assert_eq!(
        opened
            .switch()
            .unwrap()
            .ports(&[Port(3), Port(1)])
            .await
            .unwrap()
            .iter()
            .map(|p| p.state)
            .collect::<Vec<_>>(),
        [PortState::Disabled, PortState::Enabled]
    );
}

#[tokio::test(start_paused = true)]
async fn a_denied_command_has_no_effect_and_contains_the_reason() {
    let (opened, far) = open().await;
    far.now().device.deny = Some(("ENT-PATCH", "IIAC"));
    let error = apply(&opened, "1-5").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.vendor_code()),
        (ErrorKind::Refused, Effect::None, Some("IIAC"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_is_begun_again() {
    let (opened, far) = open().await;
    far.now().device.logged_in = false;
    assert!(
        opened
            .switch()
            .unwrap()
            .connections()
            .await
            .unwrap()
            .value
            .is_empty()
    );
    far.now().device.logged_in = false;
    opened
        .switch()
        .unwrap()
        .set_port(Port(3), false)
        .await
        .unwrap();
    assert_eq!(
        far.now()
            .seen
            .iter()
            .filter(|l| l.starts_with("OPR-PORT-SHUTTER"))
            .count(),
        2,
        "denied, then done"
    );
    assert_eq!(far.now().device.closed, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_tag_and_a_missing_reply_fail_only_one_call() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let other = "\r\n   sw 26-07-01 12:00:00\r\nM  999999 COMPLD\r\n;\r\n";
    for (fault, kind) in [
        (
            PeerFault::Answer(other),
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (PeerFault::Drop, ErrorKind::Timeout),
        (
            PeerFault::Delay(std::time::Duration::from_secs(7)),
            ErrorKind::Timeout,
        ),
    ] {
        far.inject("RTRV-PATCH", fault);
        assert_eq!(switch.connections().await.unwrap_err().kind(), kind);
        assert!(switch.connections().await.unwrap().value.is_empty());
    }
    far.inject("OPR-PORT-SHUTTER", PeerFault::Drop);
    let error = switch.set_port(Port(3), false).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
}

#[tokio::test(start_paused = true)]
async fn monitors_and_attenuators_are_set_and_read_back() {
    let (opened, far) = open().await;
    let meter = opened.power_meter().unwrap();
    let levels = AlarmLevels {
        low: Some(DecibelMilliwatts(-30.0)),
        high: None,
    };
    assert_eq!(
        meter.monitor(Port(5)).await.unwrap().alarms,
        AlarmLevels::default()
    );
    meter
        .set_monitor(Port(5), &MonitorSetting::Alarms(levels))
        .await
        .unwrap();
    let now = meter.monitor(Port(5)).await.unwrap();
    assert_eq!((now.alarms, now.alarmed), (levels, Some(true)));
    let voa = opened.attenuator().unwrap();
    voa.set_attenuation(Port(6), &Attenuation::OutputPower(DecibelMilliwatts(-10.0)))
        .await
        .unwrap();
    assert_eq!(far.now().device.voa, "-10.0");
    for wrong in [
        Attenuation::Other("CONV".into()),
        Attenuation::Loss(qkd_hal::units::Decibels(3.0)),
    ] {
        assert_eq!(
            voa.set_attenuation(Port(6), &wrong)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput
        );
    }
}

#[tokio::test]
async fn the_speed_of_the_usb_port_must_be_named() {
    let error = Registry::new()
        .with(driver())
        .open(
            "polatis+serial:///dev/null?protocol=tl1",
            &OpenContext::new(),
        )
        .await
        .unwrap_err();
    assert!(
        error.kind() == ErrorKind::InvalidInput && error.message().contains("baud="),
        "{error}"
    );
}
