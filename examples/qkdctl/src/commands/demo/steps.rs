//! The steps of the demo.

use super::{log::DemoLog, testbed::Testbed};
use crate::output::serde_name;
use qkd_hal::{
    Effect, Error, ErrorKind, Key, QkdModule, Result, TransportFault,
    encryptor::Staging,
    event::{EventKind, StreamItem},
    qkd::{KeyRequest, ModuleState},
    reading::Quality,
    units::Bits,
};
use qkd_keyflow::{EncryptorPair, End, Readiness, RollEnd, RollOutcome};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, OpticalSwitch, Plan, Port,
    protection::{ExternalCommand, ProtectionSetting, SelectionMode},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) async fn all(testbed: &Testbed, story: &mut DemoLog) {
    probe_all(testbed, story).await;
    log_result("randomness", randomness(testbed, story).await, story);
    log_result("switching", switching(testbed, story).await, story);
    log_result("protection", protection(testbed, story).await, story);
    log_result("keys and encryptors", rolling(testbed, story).await, story);
    log_result("faults", faults(testbed, story).await, story);
}

/// A chapter that broke off is a check that failed.
pub(super) fn log_result(what: &str, result: Result<()>, story: &mut DemoLog) {
    if let Err(error) = result {
        story.check(false, format!("{what} broke off: {error}"));
    }
}

async fn probe_all(testbed: &Testbed, story: &mut DemoLog) {
    story.section("Each is opened by URI, and says who it is");
    for (profile, n) in testbed.all_uris() {
        let opened = match testbed.open(profile, n).await {
            Ok(opened) => opened,
            Err(error) => {
                story.check(false, format!("{profile}: {error}"));
                continue;
            }
        };
        let device = opened.device();
        let kinds: Vec<_> = device
            .descriptor()
            .kinds
            .iter()
            .map(ToString::to_string)
            .collect();
        let who = match device.identity().await {
            Ok(identity) => identity.to_string(),
            Err(e) if e.kind() == ErrorKind::Unsupported => {
                "its protocol has no identification".to_owned()
            }
            Err(e) => {
                story.check(false, format!("{profile}: {e}"));
                continue;
            }
        };
        let short = device
            .descriptor()
            .uri
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        story.check(
            true,
            format!(
                "{short}: {}, {who} ({})",
                kinds.join(", "),
                device.descriptor().maturity
            ),
        );
        story.must(profile, device.close().await);
    }
}

async fn randomness(testbed: &Testbed, story: &mut DemoLog) -> Result<()> {
    story.section("Random bytes over USB/IP");
    let source = testbed.open("idq-quantis", 0).await?.random()?;
    let bytes = source.random(65_536).await?;
    let ones: u32 = bytes.iter().map(|b| b.count_ones()).sum();
    let share = f64::from(ones) / (65_536.0 * 8.0);
    story.check(
        (0.49..0.51).contains(&share),
        format!(
            "65,536 bytes in packets of 512, {:.2} % of the bits are ones",
            share * 100.0
        ),
    );
    testbed.fault("idq-quantis", "short")?;
    story.must_fail(
        "a short packet is never filled up from elsewhere",
        source.random(512).await,
        |e| matches!(e.kind(), ErrorKind::Misbehaved(_)),
    );
    story.check(source.random(512).await.is_ok(), "and the next read works");
    testbed.fault("idq-quantis", "unplug")?;
    let begun = Instant::now();
    let pulled = source.random(512).await;
    let fast = begun.elapsed().as_millis() < 1000;
    story.must_fail("unplugged: reported immediately", pulled, |e| {
        fast && matches!(e.kind(), ErrorKind::Transport(TransportFault::Unplugged))
    });
    testbed.fault("idq-quantis", "clear")?;
    let again = source.random(512).await;
    let why = again
        .as_ref()
        .map_or_else(|e| format!(": {e}"), |_| String::new());
    story.check(
        again.is_ok(),
        format!("plugged in again: it is the same device, and gives bytes{why}"),
    );
    source.close().await
}

async fn plan(
    switch: &dyn OpticalSwitch,
    connect: &[CrossConnect],
    disconnect: &[Port],
) -> Result<Plan> {
    let geometry = switch.switch_capabilities().geometry;
    let present = switch.connections().await?.value;
    let wanted = present.with_changes(&geometry, disconnect, connect)?;
    switch.plan().to(wanted.clone()).build().await
}

async fn switching(testbed: &Testbed, story: &mut DemoLog) -> Result<()> {
    story.section("Switches: planned, checked, applied, and planned again");
    let opened = testbed.open("polatis-16x16", 0).await?;
    let (switch, meter) = (opened.switch()?, opened.power_meter()?);
    let console = testbed.open("polatis-16x16", 1).await?.switch()?;
    let first = plan(
        &*switch,
        &[CrossConnect::new(1, 17), CrossConnect::new(2, 18)],
        &[],
    )
    .await?;
    story.log(format!("plan: {first}"));
    let applied = switch.apply(&first).await?;
    story.check(
        applied.verified,
        format!("{} steps over TCP, read back and as wanted", applied.steps),
    );
    story.check(
        console.connections().await?.value.to_string() == "1-17,2-18",
        "the serial console of the same switch shows the same paths",
    );
    let power = meter.power(&[Port(17), Port(19)]).await?;
    story.log(format!(
        "power at 17: {:.1} dBm, at the dark port 19: {:.1} dBm",
        power[0].value.0, power[1].value.0
    ));

    let stale = plan(
        &*switch,
        &[CrossConnect::new(1, 18), CrossConnect::new(2, 17)],
        &[],
    )
    .await?;
    testbed.fault("polatis-16x16", "operator=connect:2-20")?;
    story.log("another controller moves 2 to 20 while the plan waits");
    story.must_fail(
        "the plan is refused, nothing has moved",
        switch.apply(&stale).await,
        |e| e.kind() == ErrorKind::StateChanged && e.effect() == Effect::None,
    );
    let again = plan(
        &*switch,
        &[CrossConnect::new(1, 18), CrossConnect::new(2, 17)],
        &[],
    )
    .await?;
    story.log(format!("planned again from what there is: {again}"));
    story.check(switch.apply(&again).await?.verified, "applied");
    testbed.fault("polatis-16x16", "refuse=1")?;
    let refused = plan(&*switch, &[CrossConnect::new(5, 25)], &[]).await?;
    story.must_fail(
        "the switch refuses a command: said so, with its own words",
        switch.apply(&refused).await,
        |e| e.kind() == ErrorKind::Refused,
    );

    let ff = testbed.open("agiltron-ff", 0).await?.switch()?;
    let moved = plan(&*ff, &[CrossConnect::new(0, 5)], &[]).await?;
    story.check(
        ff.apply(&moved).await?.verified,
        format!("Agiltron FF, which is never dark: {moved}"),
    );
    let blind = testbed.open("agiltron-selfalign", 0).await?.switch()?;
    story.must_fail(
        "Agiltron SelfAlign cannot report its position, and the driver does not guess",
        blind.connections().await,
        |e| e.kind() == ErrorKind::NotReady,
    );
    let wanted: CrossConnects = "common-14".parse()?;
    let identity = blind
        .identity()
        .await
        .unwrap_or_else(|_| qkd_hal::Identity::new("Agiltron"));
    let to = Plan::unverified(&identity, &blind.switch_capabilities().geometry, &wanted)?;
    let applied = blind.apply(&to).await?;
    let now = blind.connections().await?;
    story.check(
        !applied.verified && now.quality == Quality::Stale && now.value == wanted,
        format!("planned without a reading: {to}; acknowledged, and reported as such"),
    );
    for handle in [switch, console, ff, blind] {
        handle.close().await?;
    }
    Ok(())
}

async fn protection(testbed: &Testbed, story: &mut DemoLog) -> Result<()> {
    story.section("Protection: the signal fails and the switch switches over");
    let opened = testbed.open("scte-hms-ab", 0).await?;
    let (protection, switch) = (opened.protection()?, opened.switch()?);
    let group = protection
        .groups()
        .await?
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "it has no group"))?;
    let now = protection.protection(&group).await?.value;
    story.check(
        now.is_protected(),
        format!(
            "{}, on path {} ({}), and path b has light: protected",
            now.mode, now.active.path, now.active.request
        ),
    );
    let mut events = protection.events();
    testbed.fault("scte-hms-ab", "cut=a")?;
    let over = tokio::time::timeout(Duration::from_secs(2), async {
        while let Some(delivery) = events.next().await {
            if let StreamItem::Event(event) = delivery
                && let EventKind::SwitchOver { path, request, .. } = &event.kind
            {
                return Some((path.clone(), request.clone(), event.origin));
            }
        }
        None
    });
    let over = over.await.ok().flatten();
    let is_b = over.as_ref().is_some_and(|(path, _, _)| path == "b");
    let words = over.map_or_else(
        || "nothing".to_owned(),
        |(path, request, origin)| {
            format!(
                "to path {path}, {request}, reported by the {}",
                serde_name(origin)
            )
        },
    );
    story.check(
        is_b,
        format!("path a is cut; its notification comes: {words}"),
    );
    let after = protection.protection(&group).await?.value;
    story.check(
        after.active.path.0 == "b" && !after.is_protected(),
        format!(
            "on path {}, without an available standby path: reported as not protected",
            after.active.path
        ),
    );
    story.check(
        switch.connections().await?.value.to_string() == "common-2",
        "the same device, read as a switch, is at channel 2",
    );
    protection
        .set_protection(&group, &ProtectionSetting::Mode(SelectionMode::Manual))
        .await?;
    let back = ExternalCommand::Manual("a".into());
    story.must_fail(
        "a manual switch to the path without light is refused, nothing is sent",
        protection.command(&group, &back).await,
        |e| e.kind() == ErrorKind::NotReady && e.effect() == Effect::None,
    );
    testbed.fault("scte-hms-ab", "clear")?;
    protection.command(&group, &back).await?;
    protection
        .set_protection(&group, &ProtectionSetting::Mode(SelectionMode::Automatic))
        .await?;
    let healed = protection.protection(&group).await?.value;
    story.check(
        healed.active.path.0 == "a" && healed.is_protected(),
        "the path is repaired, selected by command, and in automatic mode: protected",
    );
    protection.close().await
}

async fn same_keys_at_both_ends(
    story: &mut DemoLog,
    what: &str,
    near: &dyn QkdModule,
    far: &dyn QkdModule,
    size: Bits,
) -> Result<(Key, Key)> {
    let none = || Error::new(ErrorKind::Internal, "no key came");
    let key = near
        .take_keys(&KeyRequest::new(1).with_size(size))
        .await?
        .pop()
        .ok_or_else(none)?;
    let twin = far
        .take_keys_by_id(std::slice::from_ref(key.id()))
        .await?
        .pop()
        .ok_or_else(none)?;
    story.check(
        key == twin,
        format!(
            "{what}: key {} of {} is the same at both ends",
            key.id(),
            key.size()
        ),
    );
    Ok((key, twin))
}

async fn rolling(testbed: &Testbed, story: &mut DemoLog) -> Result<()> {
    story.section("Keys from two QKD pairs roll two kinds of encryptor pair");
    let kme = [
        testbed.open("etsi014-pair", 0).await?.module()?,
        testbed.open("etsi014-pair", 1).await?.module()?,
    ];
    let qline = [
        testbed.open("veriqloud-qline-pair", 0).await?.module()?,
        testbed.open("veriqloud-qline-pair", 1).await?.module()?,
    ];
    let status = qline[0].status().await?;
    let qber = qline[0].performance().await?.qber;
    story.check(
        status.state == ModuleState::Generating,
        format!(
            "Qline Alice: {}, QBER {}",
            serde_name(status.state),
            qber.map_or_else(|| "?".to_owned(), |q| format!("{:.2} %", q.value.0 * 100.0))
        ),
    );
    for (profile, source) in [
        ("nokia-sros-macsec-pair", &kme),
        ("packetlight-pair", &qline),
    ] {
        let encryptors = [
            testbed.open(profile, 0).await?.encryptor()?,
            testbed.open(profile, 1).await?.encryptor()?,
        ];
        let pair = EncryptorPair::new(
            RollEnd::open(Arc::clone(&encryptors[0]), None).await?,
            RollEnd::open(Arc::clone(&encryptors[1]), None).await?,
        );
        let capabilities = encryptors[0].encryptor_capabilities();
        story.log(format!(
            "{profile}: {}, {}{}",
            match capabilities.staging {
                Staging::Slots { count, .. } => format!("{count} slots"),
                _ => "a staged key overwrites the one in use".to_owned(),
            },
            serde_name(capabilities.activation),
            if capabilities.hitless.is_hitless() {
                ", hitless"
            } else {
                ", traffic drops while it re-initialises"
            }
        ));
        for round in 1..=2 {
            let ready = pair.readiness().await.and_then(Readiness::ready);
            let Some(roll) = story.must(&format!("roll {round} can start"), ready) else {
                break;
            };
            let size = roll.key_size();
            let (key, twin) =
                same_keys_at_both_ends(story, "QKD pair", &*source[0], &*source[1], size).await?;
            let rolled = roll.run([&key, &twin], &mut ()).await;
            let Some(RollOutcome::Ended(rolled)) = story.must(&format!("roll {round}"), rolled)
            else {
                break;
            };
            let gap = rolled.outage().map_or_else(String::new, |gap| {
                format!(", traffic was down for {:.2} s", gap.as_secs_f64())
            });
            story.check(
                rolled.near.is_confirmed(),
                format!(
                    "roll {round} confirmed at this end: {}{gap}",
                    rolled.near.evidence()
                ),
            );
            story.check(
                rolled.far.is_confirmed(),
                format!("and at the far end: {}", rolled.far.evidence()),
            );
        }
        let channel = pair.end(End::Near).channel();
        if let Ok(counters) = encryptors[0].counters(channel).await {
            story.check(
                counters.clear.unwrap_or(0) == 0,
                format!(
                    "encrypted {}, in clear {}",
                    counters.encrypted.unwrap_or(0),
                    counters.clear.unwrap_or(0)
                ),
            );
        }
        for handle in encryptors {
            handle.close().await?;
        }
    }
    for module in kme.into_iter().chain(qline) {
        module.close().await?;
    }
    Ok(())
}

async fn faults(testbed: &Testbed, story: &mut DemoLog) -> Result<()> {
    story.section("Faults: each ends within its deadline, and the next call works");
    let switch: Arc<dyn OpticalSwitch> = testbed
        .open_with("polatis-16x16", 0, ("deadline", "500ms"))
        .await?
        .switch()?;
    for (fault, what) in [
        ("reset@once", "the connection is cut"),
        ("reorder=800ms@once", "a reply comes after its deadline"),
        ("corrupt@once", "one bit is wrong"),
        ("drop@once", "a reply is lost"),
    ] {
        let before = switch.connections().await?.value;
        testbed.fault("polatis-16x16", fault)?;
        let begun = Instant::now();
        match switch.connections().await {
            Ok(now) => story.check(
                now.value == before,
                format!("{what}: the right answer all the same"),
            ),
            Err(e) => story.check(
                begun.elapsed().as_millis() < 900,
                format!(
                    "{what}: {} after {} ms",
                    e.kind(),
                    begun.elapsed().as_millis()
                ),
            ),
        }
        let next = switch.connections().await.map(|now| now.value);
        story.check(
            next.as_ref().is_ok_and(|now| *now == before),
            "and the next call gets its own answer",
        );
    }
    switch.close().await?;

    let alice = testbed.open("etsi014-pair", 0).await?.module()?;
    let bob = testbed.open("etsi014-pair", 1).await?.module()?;
    testbed.fault("etsi014-pair", "truncate@once")?;
    story.must_fail(
        "a reply with keys is cut: they are lost, and said to be",
        alice.take_keys(&KeyRequest::new(2)).await,
        |e| e.effect() == Effect::Unknown,
    );
    let (key, _twin) =
        same_keys_at_both_ends(story, "the next key", &*alice, &*bob, Bits(256)).await?;
    story.must_fail(
        "a twin comes once",
        bob.take_keys_by_id(std::slice::from_ref(key.id())).await,
        |e| e.kind() == ErrorKind::NotFound,
    );

    let qline = testbed.open("veriqloud-qline-pair", 0).await?.module()?;
    testbed.fault("veriqloud-qline-pair", "cut")?;
    story.check(
        qline.status().await?.state == ModuleState::Error,
        "the fibre is cut: the module says error, and keys in store still serve",
    );
    testbed.fault("veriqloud-qline-pair", "clear")?;
    let mut state = qline.status().await?.state;
    let begun = Instant::now();
    while state != ModuleState::Generating && begun.elapsed().as_secs() < 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        state = qline.status().await?.state;
    }
    story.check(
        state == ModuleState::Generating,
        "mended: it initialises anew and generates again",
    );
    for module in [alice, bob, qline] {
        module.close().await?;
    }
    Ok(())
}
