use super::*;
use crate::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;

fn switch() -> Arc<Switch> {
    let identity = Identity::new("Polatis")
        .with_model("N-OST-24x24-LA1-DMHNS")
        .with_serial("002414")
        .with_firmware("6.5.2.18");
    Arc::new(Switch::new(
        identity,
        Geometry::matrix(24, 24),
        Clock::manual(),
    ))
}

fn ask(c: &mut Tl1Session, text: &str) -> String {
    c.feed(text.as_bytes())
        .into_iter()
        .map(|r| String::from_utf8(r.bytes).unwrap())
        .collect()
}

fn logged_in() -> (Tl1Session, Arc<Switch>) {
    let switch = switch();
    let mut c = Tl1::new(Arc::clone(&switch)).session();
    assert!(ask(&mut c, "act-user::root:1::root;").contains("M  1 COMPLD"));
    (c, switch)
}

#[test]
fn no_command_works_without_a_login() {
    let mut c = Tl1::new(switch()).session();
    assert!(ask(&mut c, "RTRV-PATCH:::5:;").contains("M  5 DENY\r\n   PLNA\r\n"));
    assert_eq!(
        ask(&mut c, "ACT-USER::root:1::wrong;"),
        "\r\n   ( nil ) 70-01-01 00:00:00\r\nM  1 DENY\r\n   PICC\r\n   /* Privilege, Illegal \
         Command Code */\r\n;\r\n"
    );
}

#[test]
fn paths_shutters_powers_and_labels() {
    let (mut c, model) = logged_in();
    let mut done = |text: &str| {
        let reply = ask(&mut c, text);
        assert!(reply.contains("COMPLD"), "{text}: {reply}");
        let lines: Vec<String> = reply
            .lines()
            .filter_map(|l| {
                l.trim()
                    .strip_prefix('"')?
                    .strip_suffix('"')
                    .map(str::to_owned)
            })
            .collect();
        lines
    };
    assert_eq!(
        done("RTRV-NETYPE:::1:;"),
        ["Polatis,N-OST-24x24-LA1-DMHNS,OCS,6.5.2.18"]
    );
    assert!(done("RTRV-INV::OCS:1:;")[0].contains("SN=002414"));
    assert_eq!(
        done("RTRV-EQPT::SYSTEM:1:::PARAMETER=SIZE;"),
        ["SYSTEM:SIZE=24x24"]
    );
    done("ENT-PATCH::1&2&3,25&26&27:1:;");
    done("DLT-PATCH::26:1:;");
    assert_eq!(done("RTRV-PATCH:::1:;"), ["1,25", "3,27"]);
    assert_eq!(done("RTRV-PATCH::27&4:1:;"), ["3,27"]);
    done("OPR-PORT-SHUTTER::3:1:;");
    assert_eq!(done("RTRV-PORT-SHUTTER::3&4:1:;"), ["3:CLOSED", "4:OPEN"]);
    assert_eq!(
        done("RTRV-PORT-POWER::25&27:1:;"),
        ["25:-1.00", "27:-60.00"]
    );
    done("SET-PORT-ATTEN::25:1:::MODE=ABS,LEVEL=(-10.0);");
    assert_eq!(
        done("RTRV-PORT-ATTEN::25&26:1:;"),
        ["25:ABS,-10.0,", "26:NONE,,"]
    );
    assert_eq!(done("RTRV-PORT-POWER::25:1:;"), ["25:-10.00"]);
    done("SET-PORT-PMON::25:1:::WAVE=1310.0,OFFSET=0.5,ATIME=5;");
    assert_eq!(done("RTRV-PORT-PMON::25:1:;"), ["25:1310.0,0.5,5"]);
    done("SET-TH-PMON::25:1:::TYPE=LOS,MODE=CONT,EDGE=LOW,LOW=(-30.0),HIGH=10.0;");
    assert_eq!(
        done("RTRV-TH-PMON::25:1:::TYPE=LOS;"),
        ["25:CONT,LOW,10.0,-30.0"]
    );
    done(
        "ED-PORT-LABEL::2:1:::LABEL=\"to B; no: C\";"
            .replace("; no", ", no")
            .as_str(),
    );
    assert_eq!(done("RTRV-PORT-LABEL::2:1:;"), ["2:to B, no: C"]);
    done("DLT-PATCH::ALL:1:;");
    assert!(model.cross_connects().is_empty());
    assert_eq!(
        done("RTRV-STATE-PMON::25:1:::TYPE=LOS;"),
        ["25:CONT&TRIGGERED"]
    );
}

#[test]
fn invalid_commands_are_denied_with_their_code() {
    let (mut c, model) = logged_in();
    for (text, code) in [
        ("ENT-PATCH::1,99:1:;", "IIAC"),
        ("ENT-PATCH::1&2,25:1:;", "IIAC"),
        ("ENT-PATCH::25,1:1:;", "IIAC"),
        ("DLT-PATCH:::1:;", "IIAC"),
        ("RTRV-PORT-POWER::1:1:;", "IIAC"),
        ("SET-PORT-ATTEN::25:1:::MODE=ABS;", "IPNV"),
        ("SET-PORT-PMON::25:1:::ATIME=9;", "IPNC"),
        ("RTRV-PORT-REVPOWER::25:1:;", "IICM"),
        ("FLY-AWAY:::1:;", "ICNV"),
    ] {
        let reply = ask(&mut c, text);
        assert!(
            reply.contains(&format!("DENY\r\n   {code}\r\n")),
            "{text}: {reply}"
        );
    }
    model.apply(&DeviceFault::Refuse(1)).unwrap();
    assert!(ask(&mut c, "ENT-PATCH::1,25:1:;").contains("SROF"));
}

#[test]
fn events_are_sent_unsolicited_until_they_are_disabled() {
    let (mut c, model) = logged_in();
    ask(
        &mut c,
        "SET-TH-PMON::25:1:::TYPE=LOS,MODE=CONT,EDGE=LOW,LOW=(-30.0);",
    );
    let _ = c.poll();
    model.add(&[(1, 25)]).unwrap();
    assert!(c.is_waiting());
    let reported: Vec<String> = c
        .poll()
        .into_iter()
        .map(|r| String::from_utf8(r.bytes).unwrap())
        .collect();
    assert!(
        reported[0].contains("\r\nA  2 REPT EVT PATCH\r\n   \"1,25:SWITCHED\"\r\n;\r\n"),
        "{reported:?}"
    );
    assert!(
        reported[1].contains("REPT ALM PMON\r\n   \"25:LOS,CLEARED\""),
        "{reported:?}"
    );
    assert!(ask(&mut c, "opr-arc-eqpt::repmgr:9::ind;").contains("M  9 COMPLD"));
    model.remove_all().unwrap();
    assert!(!c.is_waiting());
}

#[test]
fn an_idle_user_is_logged_out() {
    let (mut c, model) = logged_in();
    ask(&mut c, "ED-EQPT::TIMEOUT:1:::ADMIN=60;");
    model.clock().advance(Duration::from_secs(3599));
    assert!(ask(&mut c, "RTRV-HDR:::1:;").contains("COMPLD"));
    model.clock().advance(Duration::from_secs(3600));
    assert!(ask(&mut c, "RTRV-HDR:::1:;").contains("PLNA"));
}
