//! Our SNMP link against a real snmpd: v2c and v3 authPriv, reads, a walk, a SET of two varbinds,
//! wrong credentials, a restart.

use crate::{block_on, expect};
use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{
        LinkError,
        snmp::{Oid, SetRequest, SnmpLink, Value},
        snmp_udp::{SnmpClientLibrary, SnmpOptions, SnmpSecurity, UdpSnmpLink},
    },
};
use qkd_hal::{ErrorKind, event::EventHub};
use qkd_interop::snmpd::{AUTH_PASSWORD, PRIV_PASSWORD, PROTOCOLS, Snmpd, USER};
use std::{sync::Arc, time::Duration};

const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

fn v3(auth: &str, privacy: &str) -> CredentialEntry {
    v3_as(USER, auth, privacy)
}

fn v3_as(user: &str, auth: &str, privacy: &str) -> CredentialEntry {
    CredentialEntry::new("v3")
        .with("user", user)
        .with("auth_password", auth)
        .with("priv_password", privacy)
}

async fn open(
    client: SnmpClientLibrary,
    port: u16,
    entry: &CredentialEntry,
) -> Result<Arc<UdpSnmpLink>, LinkError> {
    let security =
        SnmpSecurity::from_entry(entry).map_err(|e| LinkError::new(e.kind(), e.message()))?;
    UdpSnmpLink::open(
        &format!("127.0.0.1:{port}"),
        security,
        &SnmpOptions {
            client,
            ..SnmpOptions::default()
        },
        REPLY_TIMEOUT,
        EventHub::default(),
        None,
    )
    .await
}

fn system(n: u32) -> Oid {
    Oid::from([1, 3, 6, 1, 2, 1, 1, n, 0])
}

pub(crate) fn run() -> Result<String, String> {
    for client in [SnmpClientLibrary::AsyncSnmp, SnmpClientLibrary::Snmp2] {
        check(client).map_err(|e| format!("{client:?}: {e}"))?;
    }
    Ok(
        "reads, walks, SETs, wrong credentials, every authentication and privacy protocol and a \
        restart on net-snmp's snmpd, by both client libraries"
            .to_owned(),
    )
}

fn check(client: SnmpClientLibrary) -> Result<(), String> {
    let mut agent = Snmpd::start().map_err(|e| e.to_string())?;
    let port = agent.port;
    block_on(async {
        let said = |e: LinkError| e.to_string();
        let v2c = CredentialEntry::new("v2c").with("community", "public");
        let v3 = v3(AUTH_PASSWORD, PRIV_PASSWORD);
        for entry in [&v2c, &v3] {
            let link = open(client, port, entry).await.map_err(said)?;
            let got = link
                .get(&[system(2), system(3), system(99)], REPLY_TIMEOUT)
                .await
                .map_err(said)?;
            expect(
                matches!(got[0].value, Value::ObjectId(_))
                    && matches!(got[1].value, Value::TimeTicks(_))
                    && got[2].value.is_absent(),
                || format!("unexpected values {got:?}"),
            )?;
            let walked = link
                .walk(&Oid::from([1, 3, 6, 1, 2, 1, 1]), REPLY_TIMEOUT)
                .await
                .map_err(said)?;
            expect(
                walked.len() > 8 && walked.windows(2).all(|w| w[0].oid < w[1].oid),
                || format!("a walk of {} rows", walked.len()),
            )?;
        }
        for (user, auth, privacy) in PROTOCOLS {
            let entry = v3_as(user, AUTH_PASSWORD, PRIV_PASSWORD)
                .with("auth_protocol", auth)
                .with("priv_protocol", privacy);
            let link = open(client, port, &entry)
                .await
                .map_err(|e| format!("{auth} and {privacy}: {e}"))?;
            let named = SetRequest::new().with(system(4), Value::text(user));
            link.set(named, REPLY_TIMEOUT).await.map_err(said)?;
            let read = link.get(&[system(4)], REPLY_TIMEOUT).await.map_err(said)?;
            expect(read[0].value == Value::text(user), || {
                format!("{auth} and {privacy}: {read:?}")
            })?;
        }
        let link = open(client, port, &v3).await.map_err(said)?;
        let reader = open(client, port, &v2c).await.map_err(said)?;
        let error = reader
            .set(
                SetRequest::new().with(system(4), Value::text("other")),
                REPLY_TIMEOUT,
            )
            .await
            .err()
            .ok_or("a SET was accepted over SNMPv2c")?;
        expect(
            error.kind == ErrorKind::Authentication && !error.sent,
            || format!("a SET over SNMPv2c: {error:?}"),
        )?;
        let set = SetRequest::new()
            .with(system(4), Value::text("noc@example"))
            .with_secret(system(5), Value::text("madrid-1"));
        let id = link.set(set, REPLY_TIMEOUT).await.map_err(said)?;
        let got = link
            .get(&[system(4), system(5)], REPLY_TIMEOUT)
            .await
            .map_err(said)?;
        expect(
            id > 0
                && got[0].value == Value::text("noc@example")
                && got[1].value == Value::text("madrid-1"),
            || format!("a SET of two varbinds was not read back: {got:?}"),
        )?;
        let refused = link
            .set(
                SetRequest::new()
                    .with(system(4), Value::text("other"))
                    .with(system(3), Value::TimeTicks(1)),
                REPLY_TIMEOUT,
            )
            .await;
        let error = refused.err().ok_or("a SET of sysUpTime was accepted")?;
        expect(
            error.kind == ErrorKind::Refused && error.detail.contains("varbind 2"),
            || format!("a refused SET: {error:?}"),
        )?;
        let got = link.get(&[system(4)], REPLY_TIMEOUT).await.map_err(said)?;
        expect(got[0].value == Value::text("noc@example"), || {
            "a refused SET changed its other varbind".to_owned()
        })?;

        for (what, entry) in [
            ("authentication", self::v3("wrongpassword", PRIV_PASSWORD)),
            ("privacy", self::v3(AUTH_PASSWORD, "wrongpassword")),
            (
                "user",
                self::v3(AUTH_PASSWORD, PRIV_PASSWORD).with("user", "nobody"),
            ),
        ] {
            let error = open(client, port, &entry)
                .await
                .err()
                .ok_or(format!("a wrong {what} was accepted"))?;
            // snmpd does not answer what it cannot decrypt.
            expect(
                matches!(error.kind, ErrorKind::Authentication | ErrorKind::Timeout),
                || format!("a wrong {what}: {error:?}"),
            )?;
            expect(
                what == "privacy" || error.kind == ErrorKind::Authentication,
                || format!("a wrong {what} is reported as {error:?}"),
            )?;
            expect(!format!("{error:?}").contains("wrongpassword"), || {
                "an error repeats a password".to_owned()
            })?;
        }

        let calls: Vec<_> = (0..200)
            .map(|_| {
                let link = Arc::clone(&link);
                tokio::spawn(async move { link.get(&[system(3)], REPLY_TIMEOUT).await.is_ok() })
            })
            .collect();
        for call in calls {
            expect(call.await.unwrap_or(false), || {
                "a GET of 200 at once failed".to_owned()
            })?;
        }
        tokio::task::block_in_place(|| agent.restart()).map_err(|e| e.to_string())?;
        link.get(&[system(3)], REPLY_TIMEOUT)
            .await
            .map_err(|e| format!("after a restart: {e}"))?;
        Ok(())
    })
}
