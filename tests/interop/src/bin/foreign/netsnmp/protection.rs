//! The agents of protection switches and of the Polatis matrix: SETs change paths, forbidden SETs
//! are refused, and a switch-over is notified.

use super::{COMMUNITY, Peer};
use crate::{expect, print_check};
use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{
        snmp::{Notification, Oid, Value},
        snmp_udp::{NotificationReceiver, SnmpSecurity},
    },
};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

const SWITCH_OVER_TIMEOUT: Duration = Duration::from_secs(10);

/// A running emulator, as net-snmp's tools see it, and what it sends.
struct Bench {
    running: RunningEmulator,
    peer: Peer,
    notified: Receiver<Notification>,
    _receiver: NotificationReceiver,
}

impl Bench {
    async fn start(name: &str) -> Result<Self, String> {
        // The user is that of all emulated agents; the receiver must be there before the one that
        // sends.
        let scratch = profiles::start(name, &Options::default())
            .await
            .map_err(|e| e.to_string())?;
        let user = scratch
            .ready()
            .credentials
            .clone()
            .ok_or("no credentials")?;
        let entry = CredentialEntry::new("traps")
            .with("user", &user.user)
            .with("auth_password", &user.auth_password)
            .with("priv_password", &user.priv_password);
        let security = SnmpSecurity::from_entry(&entry).map_err(|e| e.to_string())?;
        let receiver = NotificationReceiver::bind("127.0.0.1:0", &[security])
            .await
            .map_err(|e| e.to_string())?;
        let options = Options::default()
            .with("community", COMMUNITY)
            .with("trap-target", receiver.address().to_string());
        let running = profiles::start(name, &options)
            .await
            .map_err(|e| e.to_string())?;
        let peer = Peer::all(&running)?.into_iter().next().ok_or("no agent")?;
        Ok(Self {
            running,
            peer,
            notified: receiver.subscribe(),
            _receiver: receiver,
        })
    }

    /// Waits for a notification of this name, in which a varbind below that object has this value.
    async fn expect_trap(&mut self, trap: &str, object: &str, value: &Value) -> Result<(), String> {
        let oid = |text: &str| {
            text[1..]
                .parse::<Oid>()
                .map_err(|e| format!("{text}: {e:?}"))
        };
        let (trap, object) = (oid(trap)?, oid(object)?);
        let found = async {
            let mut others = Vec::new();
            loop {
                let one = self
                    .notified
                    .recv()
                    .await
                    .map_err(|e| format!("{e}, after {others:?}"))?;
                if one.trap == trap
                    && one.binds.iter().any(|b| {
                        b.oid
                            .sub_identifiers()
                            .starts_with(object.sub_identifiers())
                            && b.value == *value
                    })
                {
                    return Ok(());
                }
                others.push(one);
            }
        };
        tokio::time::timeout(SWITCH_OVER_TIMEOUT, found)
            .await
            .map_err(|_| format!("no notification {trap:?} with {object:?} {value:?}"))?
    }

    /// The state of the model has this in it.
    fn check_state(&self, what: &str) -> Result<(), String> {
        let state = self.running.state();
        expect(state.contains(what), || {
            format!("the model has no `{what}`: {state}")
        })
    }
}

/// Checks that every agent must pass, whatever its objects.
fn common(
    peer: &Peer,
    what: &str,
    object_id: &str,
    with: impl IntoIterator<Item = String>,
) -> Result<(), String> {
    peer.has_object_id(object_id)?;
    let system = (1..=6).map(|n| format!(".1.3.6.1.2.1.1.{n}.0"));
    let count = peer.complete(&system.chain(with).collect::<Vec<_>>())?;
    print_check(&format!(
        "{what}: sysObjectID; {count} rows by snmpwalk, snmpbulkwalk and snmpget, strictly \
         increasing"
    ));
    peer.guards()
}

fn is(peer: &Peer, oid: &str, wanted: &str) -> Result<(), String> {
    let got = peer.get(oid)?;
    expect(got.value == wanted, || {
        format!("{oid} is {} {}, not {wanted}", got.kind, got.value)
    })
}

fn refused(peer: &Peer, oid: &str, kind: &str, value: &str, why: &str) -> Result<(), String> {
    let error = peer
        .set(&[(oid, kind, value)])
        .err()
        .ok_or_else(|| format!("{oid} took {value}"))?;
    expect(error.contains(why), || {
        format!("{oid} {value} is refused, but not as {why}: {error}")
    })
}

/// heOpSwitchUnitTable, at the unit.
fn he(column: u32) -> String {
    format!(".1.3.6.1.4.1.5591.1.11.1.4.1.1.1.1.{column}.1")
}
/// heCommonAlarmEvent; commonTrap's column of the object that it is about.
const HE_ALARM: &str = ".1.3.6.1.4.1.5591.1.0.5";
const HE_ALARM_OBJECT: &str = ".1.3.6.1.4.1.5591.1.11.2.1.1.1.2.3.1.2";

async fn scte(name: &str) -> Result<(), String> {
    let mut bench = Bench::start(name).await?;
    let is_ab = name == "scte-hms-ab";
    // pathA and pathB, or bar and cross; and a path of the other kind of switch.
    let (first, second, foreign, words) = if is_ab {
        ("1", "2", "4", "active 1 preferred 1")
    } else {
        ("4", "3", "1", "active 1 preferred 1")
    };
    let (mode, control, state) = (he(1), he(2), he(4));
    tokio::task::block_in_place(|| {
        let peer = &bench.peer;
        let inputs = (2..=5).map(|c| format!(".1.3.6.1.4.1.5591.1.11.1.4.1.1.2.1.{c}.1"));
        let outputs = [".1.3.6.1.4.1.5591.1.11.1.4.1.1.3.1.2.1".to_owned()];
        common(
            peer,
            name,
            ".1.3.6.1.4.1.5591",
            (1..=9).map(he).chain(inputs).chain(outputs),
        )?;
        is(peer, &state, first)?;
        refused(peer, &control, "i", foreign, "inconsistentValue")?;
        refused(peer, &control, "i", "7", "wrongValue")?;
        refused(peer, &state, "i", second, "notWritable")?;
        peer.refuses_whole((&control, "i", foreign), "inconsistentValue")?;
        peer.set(&[(&mode, "i", "2"), (&control, "i", second)])?;
        is(peer, &state, second)?;
        bench.check_state("manual active 1")?;
        bench.check_state(words)?;
        peer.set(&[(&control, "i", first)])?;
        is(peer, &state, first)?;
        peer.set(&[(&mode, "i", "1")])?;
        print_check(&format!(
            "{name}: manual mode and the other path in one PDU, read back and so in the model; \
             paths that it has not are refused"
        ));
        Ok::<_, String>(())
    })?;
    if is_ab {
        bench.running.fault("cut=a")?;
        tokio::task::block_in_place(|| bench.peer.wait_for_value(&state, second))?;
        let about = he(5)[1..].parse::<Oid>().map_err(|e| format!("{e:?}"))?;
        bench
            .expect_trap(HE_ALARM, HE_ALARM_OBJECT, &Value::ObjectId(about))
            .await?;
        print_check(&format!(
            "{name}: input A fails, the switch switches over, and heCommonAlarmEvent reports \
             heOpSwitchFailoverStatus"
        ));
    }
    Ok(())
}

/// OAP-C1-OLP and its like: a scalar of a slot.
fn olp(slot: u32, scalar: u32) -> String {
    format!(".1.3.6.1.4.1.40989.10.16.{slot}.3.{scalar}.0")
}

async fn fs_olp() -> Result<(), String> {
    let bench = Bench::start("fs-olp").await?;
    tokio::task::block_in_place(|| {
        let peer = &bench.peer;
        common(
            peer,
            "fs-olp",
            ".1.3.6.1.2.1.1.2",
            (1..=25).flat_map(|n| [olp(1, n), olp(2, n)]),
        )?;
        let (mode, channel) = (olp(1, 8), olp(1, 9));
        is(peer, &mode, "1")?;
        refused(peer, &channel, "i", "2", "inconsistentValue")?;
        refused(peer, &olp(1, 19), "i", "0", "notWritable")?;
        refused(peer, &olp(1, 11), "i", "10000", "wrongValue")?;
        refused(peer, &olp(3, 8), "i", "0", "noCreation")?;
        peer.set(&[(&mode, "i", "0"), (&channel, "i", "2")])?;
        is(peer, &channel, "2")?;
        is(peer, &olp(2, 9), "1")?;
        bench.check_state("group 1: manual active 1")?;
        bench.check_state("group 2: automatic active 0")?;
        peer.set(&[(&channel, "i", "1"), (&mode, "i", "1")])?;
        bench.running.fault("cut=1/main")?;
        peer.wait_for_value(&channel, "2")?;
        is(peer, &olp(1, 19), "-5000")?;
        is(peer, &olp(2, 9), "1")
    })?;
    print_check(
        "fs-olp: the channel is refused in automatic mode, set in manual mode, of this card only; \
         a card whose main path is cut switches over",
    );
    Ok(())
}

/// optApsConfigTable, at the group.
fn aps(column: u32) -> String {
    format!(".1.3.6.1.4.1.4515.1.11.1.1.1.{column}.1294848")
}
/// OID of optApsTrapSwitchover.
const APS_TRAP: &str = ".1.3.6.1.4.1.4515.1.11.2.1";

async fn packetlight() -> Result<(), String> {
    let mut bench = Bench::start("packetlight-pair").await?;
    let (command, wait, active) = (aps(17), aps(10), aps(8));
    tokio::task::block_in_place(|| {
        let peer = &bench.peer;
        // The status of encryption moves until the first exchange has ended.
        peer.wait_for_value(&super::encryption(3), "4")?;
        common(
            peer,
            "packetlight, protection",
            ".1.3.6.1.4.1.4515",
            (1..=22)
                .map(aps)
                .chain((1..=4).map(|c| format!(".1.3.6.1.4.1.4515.1.1.17.1.1.1.{c}.1295104"))),
        )?;
        peer.set(&[(&command, "i", "2")])?;
        is(peer, &aps(20), "6")?;
        bench.check_state("standing Some(Lockout)")?;
        // The first of the BITS.
        let status = peer.get(&aps(13))?;
        expect(status.value.starts_with("80"), || {
            format!("optApsConfigChanStatus is {}", status.value)
        })?;
        peer.set(&[(&command, "i", "1"), (&wait, "u", "7")])?;
        is(peer, &aps(20), "1")?;
        is(peer, &wait, "7")?;
        bench.check_state("wait 420s")?;
        refused(peer, &wait, "u", "13", "wrongValue")?;
        refused(peer, &wait, "i", "5", "wrongType")?;
        refused(peer, &command, "i", "7", "wrongValue")?;
        refused(peer, &active, "i", "2", "notWritable")?;
        peer.set(&[(&command, "i", "5")])?;
        peer.wait_for_value(&active, "2")?;
        is(peer, &aps(20), "3")?;
        // The group is not revertive: without the command it stays, and another brings it back.
        peer.set(&[(&command, "i", "1")])?;
        is(peer, &active, "2")?;
        peer.set(&[(&command, "i", "6")])?;
        peer.wait_for_value(&active, "1")?;
        peer.set(&[(&command, "i", "1")]).map(drop)
    })?;
    print_check(
        "packetlight: a lockout and its end, WaitToRestore as Unsigned32, a manual switch of \
         working and back; what the ranges exclude is refused",
    );
    bench.running.fault("cut=working")?;
    tokio::task::block_in_place(|| bench.peer.wait_for_value(&active, "2"))?;
    bench
        .expect_trap(APS_TRAP, &active, &Value::Integer(2))
        .await?;
    print_check(
        "packetlight: the working line is cut, the group switches over, and optApsTrapSwitchover \
         reports the switch-over",
    );
    Ok(())
}

/// Returns the OID below polatis(26592).2.
fn p(rest: &str) -> String {
    format!(".1.3.6.1.4.1.26592.2.{rest}")
}

async fn polatis() -> Result<(), String> {
    let mut bench = Bench::start("polatis-16x16").await?;
    let patch = |port: u32| p(&format!("2.2.1.2.1.2.{port}"));
    tokio::task::block_in_place(|| {
        let peer = &bench.peer;
        let objects = [
            "1.2.2.1.0",
            "2.2.1.1.0",
            "2.2.1.2.1.2.32",
            "3.2.2.2.1.1.17",
            "4.2.1.1.1.1.17",
            "4.2.1.1.1.4.32",
        ];
        common(peer, "polatis", ".1.3.6.1.4.1.26592", objects.map(p))?;
        is(peer, &p("2.2.1.1.0"), "\"16x16\"")?;
        peer.set(&[(&patch(1), "u", "17")])?;
        is(peer, &patch(17), "1")?;
        refused(peer, &patch(1), "u", "2", "inconsistentValue")?;
        refused(peer, &patch(1), "i", "18", "wrongType")?;
        refused(peer, &patch(40), "u", "1", "noCreation")?;
        let (level, desired) = (p("4.2.1.1.1.1.17"), p("4.2.1.1.1.4.17"));
        peer.set(&[(&level, "i", "-10000"), (&desired, "i", "2")])?;
        is(peer, &p("4.2.1.1.1.3.17"), "2")?;
        peer.wait_for_value(&p("3.2.2.2.1.1.17"), "-10000")
    })?;
    bench
        .expect_trap(&p("2.3.0.7"), &p("2.3.1.3"), &Value::text("1"))
        .await?;
    tokio::task::block_in_place(|| {
        let peer = &bench.peer;
        peer.set(&[(&patch(17), "u", "0")])?;
        is(peer, &patch(1), "0")?;
        let group = p("5.2.1.2.1.3.1.2");
        refused(peer, &group, "i", "1", "wrongValue")?;
        peer.set(&[(&group, "i", "4")])?;
        is(peer, &group, "1")?;
        is(peer, &p("5.2.1.2.1.1.1.2"), "2")?;
        refused(peer, &group, "i", "4", "inconsistentValue")?;
        peer.set(&[(&group, "i", "6")])?;
        let gone = peer.walk("snmpwalk", &[], &p("5.2.1.2"))?;
        expect(!gone.contains(&group), || {
            format!("a destroyed group is walked: {gone}")
        })
    })?;
    print_check(
        "polatis: a patch by SET with its mirror, 0 disconnects, an attenuation in one PDU; \
         polatisOxcSwitchCompleteV2 reports the patch",
    );
    print_check("polatis: a protection group by createAndGo, not twice, and gone by destroy");
    Ok(())
}

/// Checks all agents.
pub(super) async fn all() -> Result<(), String> {
    for name in ["scte-hms-ab", "scte-hms-2x2"] {
        scte(name).await.map_err(|e| format!("{name}: {e}"))?;
    }
    fs_olp().await.map_err(|e| format!("fs-olp: {e}"))?;
    packetlight()
        .await
        .map_err(|e| format!("packetlight-pair: {e}"))?;
    polatis().await.map_err(|e| format!("polatis-16x16: {e}"))
}
