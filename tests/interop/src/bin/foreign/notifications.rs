//! net-snmp's `snmptrap` and `snmpinform` into our receiver of notifications: SNMPv3 authPriv and
//! SNMPv2c are received, informs acknowledged, and unknown senders ignored.

use crate::{block_on, expect, print_check, tool};
use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{
        snmp::{Notification, Oid, Value},
        snmp_udp::{NotificationReceiver, SnmpSecurity},
    },
};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

const USER: &str = "noc";
const AUTH: &str = "testing-auth";
const PRIVACY: &str = "testing-priv";
const COMMUNITY: &str = "traps";
/// linkDown (RFC 3418), and the ifIndex in it.
const LINK_DOWN: &str = ".1.3.6.1.6.3.1.1.5.3";
const IF_INDEX: &str = ".1.3.6.1.2.1.2.2.1.1";
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(5);

fn v3<'a>(user: &'a str, auth: &'a str, privacy: &'a str) -> Vec<&'a str> {
    vec![
        "-v3", "-l", "authPriv", "-u", user, "-a", "SHA-256", "-A", auth, "-x", "AES", "-X",
        privacy,
    ]
}

/// Sends a linkDown of port `port` with a tool; an inform is tried once, for one second.
async fn send_notification(
    name: &str,
    security: &[&str],
    to: &str,
    port: u32,
) -> Result<(), String> {
    let (instance, number) = (format!("{IF_INDEX}.{port}"), port.to_string());
    let arguments = [
        &["-r", "0", "-t", "1"],
        security,
        &[to, "", LINK_DOWN, &instance, "i", &number],
    ]
    .concat();
    tokio::task::block_in_place(|| tool(name, &arguments).map(drop))
}

/// The next notification, which must be the linkDown of this port.
async fn expect_notification(
    received: &mut Receiver<Notification>,
    what: &str,
    port: i32,
) -> Result<(), String> {
    let one = tokio::time::timeout(NOTIFICATION_TIMEOUT, received.recv())
        .await
        .map_err(|_| format!("{what}: nothing came"))?
        .map_err(|e| e.to_string())?;
    let oid = |text: &str| {
        text[1..]
            .parse::<Oid>()
            .map_err(|e| format!("{text}: {e:?}"))
    };
    expect(one.trap == oid(LINK_DOWN)?, || {
        format!("{what}: {:?} came", one.trap)
    })?;
    let index = oid(&format!("{IF_INDEX}.{port}"))?;
    let right = matches!(&one.binds[..],
        [bind] if bind.oid == index && bind.value == Value::Integer(port));
    expect(right, || format!("{what}: {:?}", one.binds))
}

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        let users = [
            CredentialEntry::new("v3")
                .with("user", USER)
                .with("auth_password", AUTH)
                .with("priv_password", PRIVACY),
            CredentialEntry::new("v2c").with("community", COMMUNITY),
        ];
        let users = users
            .iter()
            .map(SnmpSecurity::from_entry)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let receiver = NotificationReceiver::bind("127.0.0.1:0", &users)
            .await
            .map_err(|e| e.to_string())?;
        let mut received = receiver.subscribe();
        let to = format!("udp:{}", receiver.address());

        let known = [
            ("v3 authPriv", v3(USER, AUTH, PRIVACY)),
            ("v2c", vec!["-v2c", "-c", COMMUNITY]),
        ];
        for (port, (what, security)) in (1..).zip(&known) {
            send_notification("snmptrap", security, &to, port).await?;
            expect_notification(
                &mut received,
                &format!("snmptrap {what}"),
                port.cast_signed(),
            )
            .await?;
            // It ends well only if it was acknowledged.
            send_notification("snmpinform", security, &to, 10 + port)
                .await
                .map_err(|e| format!("an inform is not acknowledged: {e}"))?;
            expect_notification(
                &mut received,
                &format!("snmpinform {what}"),
                (10 + port).cast_signed(),
            )
            .await?;
            print_check(&format!(
                "{what}: a trap is received; an inform is received and acknowledged"
            ));
        }

        let strangers = [
            (
                "a wrong authentication password",
                v3(USER, "wrongpassword", PRIVACY),
            ),
            ("a wrong privacy password", v3(USER, AUTH, "wrongpassword")),
            ("an unknown user", v3("nobody", AUTH, PRIVACY)),
            (
                "noAuthNoPriv",
                vec!["-v3", "-l", "noAuthNoPriv", "-u", USER],
            ),
            ("another community", vec!["-v2c", "-c", "other"]),
        ];
        for (what, security) in &strangers {
            // A trap is not answered, so the sender cannot know.
            send_notification("snmptrap", security, &to, 98).await?;
            expect(
                send_notification("snmpinform", security, &to, 99)
                    .await
                    .is_err(),
                || format!("{what}: an inform was acknowledged"),
            )?;
        }
        // Datagrams from one host to another on the loopback keep their order: any earlier one
        // would have been received before this one.
        send_notification("snmpinform", &known[0].1, &to, 100).await?;
        expect_notification(&mut received, "the first after the strangers", 100).await?;
        expect(
            matches!(received.try_recv(), Err(TryRecvError::Empty)),
            || "a stranger was heard".to_owned(),
        )?;
        print_check(
            "wrong passwords, an unknown user, too little security, another community: not \
             received, and no inform acknowledged",
        );
        Ok("snmptrap and snmpinform, v3 authPriv and v2c: received and acknowledged; five kinds of \
            strangers are not".to_owned())
    })
}
