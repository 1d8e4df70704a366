//! Over real UDP, with `async-snmp`'s client.

use super::{SnmpServerOptions, UsmUser, serve};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault, FaultInjector},
    model::encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
    vendor::packetlight,
    wire::snmp::Agent,
};
use async_snmp::{Auth, AuthProtocol, Client, PrivProtocol, UsmConfig, oid, value::Value};
use qkd_hal::Identity;
use std::{net::SocketAddr, sync::Arc, time::Duration};

const ROW: [u32; 13] = [1, 3, 6, 1, 4, 1, 4515, 1, 3, 24, 4, 1, 1];

fn column(n: u32) -> async_snmp::Oid {
    async_snmp::Oid::from_slice(&[&ROW[..], &[n, 1_295_104]].concat())
}
fn pair() -> [Arc<Agent<packetlight::PacketLight>>; 2] {
    let link = ForcedRekeyLink::new(Clock::scaled(20.0), b"first");
    [0, 1].map(|n| {
        let end = Arc::new(ForcedRekeyEndpoint::new(
            link.clone(),
            n,
            "1",
            Identity::new("PacketLight"),
        ));
        packetlight::agent(end, packetlight::Options::named(&format!("pl-{n}")))
    })
}
fn user() -> UsmUser {
    UsmUser::new("noc", "auth-password", "priv-password").unwrap()
}
fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}
fn v3() -> Auth {
    UsmConfig::new("noc")
        .auth_priv(
            AuthProtocol::Sha256,
            "auth-password",
            PrivProtocol::Aes128,
            "priv-password",
        )
        .unwrap()
        .into()
}
async fn client(address: SocketAddr, auth: Auth) -> Client {
    Client::builder(address.to_string(), auth)
        .request_timeout(Duration::from_secs(1))
        .retry(async_snmp::Retry::none())
        .connect()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_reads_and_writes_and_v2c_reads() {
    let [agent, _] = pair();
    let (address, server) = serve(
        any(),
        agent.clone(),
        SnmpServerOptions::new(user()).with_community("public"),
    )
    .await
    .unwrap();
    let noc = client(address, v3()).await;
    assert_eq!(
        noc.get(&oid!(1, 3, 6, 1, 4, 1, 4515, 1, 3, 1, 51, 0))
            .await
            .unwrap()
            .varbinds[0]
            .value,
        Value::Integer(2)
    );
    noc.set_many(&[
        (column(6), Value::Integer(30)),
        (column(5), Value::OctetString("key".into())),
    ])
    .await
    .unwrap();
    assert_eq!(
        noc.get(&column(6)).await.unwrap().varbinds[0].value,
        Value::Integer(30)
    );
    let refused = noc
        .set_many(&[
            (column(6), Value::Integer(7)),
            (column(2), Value::Integer(9)),
        ])
        .await
        .unwrap_err();
    assert!(
        refused.to_string().to_lowercase().contains("wrongvalue")
            || format!("{refused:?}").contains("WrongValue"),
        "{refused}"
    );
    assert_eq!(
        noc.get(&column(6)).await.unwrap().varbinds[0].value,
        Value::Integer(30),
        "all or nothing"
    );
    noc.set(&column(6), Value::Integer(31))
        .await
        .expect("nothing of a refused PDU is left");
    let public = client(address, Auth::v2c("public")).await;
    assert_eq!(
        public.get(&column(6)).await.unwrap().varbinds[0].value,
        Value::Integer(31)
    );
    assert!(public.set(&column(6), Value::Integer(1)).await.is_err());
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn wire_faults_and_reboots() {
    let [agent, _] = pair();
    let faults = FaultInjector::new(1, Some(agent.clone()));
    let (address, server) = serve(
        any(),
        agent.clone(),
        SnmpServerOptions::new(user()).with_faults(faults.clone()),
    )
    .await
    .unwrap();
    let noc = client(address, v3()).await;
    noc.get(&column(3)).await.unwrap();
    faults.add("drop@once".parse().unwrap()).unwrap();
    assert!(noc.get(&column(3)).await.is_err());
    noc.get(&column(3)).await.unwrap();
    faults.add("duplicate@once".parse().unwrap()).unwrap();
    noc.get(&column(3)).await.unwrap();
    faults.add("reset".parse().unwrap()).unwrap();
    assert!(noc.get(&column(3)).await.is_err());
    faults.add("clear".parse().unwrap()).unwrap();
    noc.get(&column(3)).await.unwrap();
    agent.apply(&DeviceFault::Reboot).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let fresh = client(address, v3()).await;
    assert_eq!(
        fresh
            .get(&oid!(1, 3, 6, 1, 6, 3, 10, 2, 1, 2, 0))
            .await
            .unwrap()
            .varbinds[0]
            .value,
        Value::Integer(2)
    );
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_go_out_over_v3() {
    let receiver = async_snmp::NotificationReceiver::builder()
        .bind("127.0.0.1:0")
        .usm_user("noc", |u| {
            u.auth_priv(
                AuthProtocol::Sha256,
                "auth-password",
                PrivProtocol::Aes128,
                "priv-password",
            )
        })
        .unwrap()
        .authoritative_engine(
            async_snmp::AuthoritativeEngine::install(b"\x80\0\0\0\x04receiver".to_vec(), |_| {
                Ok::<(), std::convert::Infallible>(())
            })
            .unwrap(),
        )
        .accept_all_notifications()
        .build()
        .await
        .unwrap();
    let [agent, peer] = pair();
    let (address, server) = serve(
        any(),
        agent.clone(),
        SnmpServerOptions::new(user()).with_traps(receiver.local_addr()),
    )
    .await
    .unwrap();
    let noc = client(address, v3()).await;
    noc.set(&column(5), Value::OctetString("other".into()))
        .await
        .unwrap();
    noc.set(&column(4), Value::Integer(1)).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(5), receiver.recv())
        .await
        .expect("a trap")
        .unwrap();
    assert!(format!("{heard:?}").contains("223"), "{heard:?}");
    drop(peer);
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_written_in_one_pdu_or_not_at_all() {
    use crate::{
        model::encryptor::mka::{MkaEndpoint, MkaLink},
        vendor::nokia,
    };
    let end = Arc::new(MkaEndpoint::new(
        MkaLink::new(Clock::default(), 1),
        0,
        "ca1",
        Identity::new("Nokia"),
    ));
    let agent = nokia::agent(end, nokia::Options::named("sr"));
    let (address, server) = serve(any(), agent, SnmpServerOptions::new(user()))
        .await
        .unwrap();
    let noc = client(address, v3()).await;
    let psk = |column, slot| {
        oid!(
            1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 4, 1, column, 3, 99, 97, 49, slot
        )
    };
    let pdu = |cak: &str| {
        [
            (psk(3, 2), Value::Integer(4)),
            (psk(4, 2), Value::Integer(2)),
            (psk(5, 2), Value::OctetString(cak.to_owned().into())),
            (psk(6, 2), Value::OctetString("01".into())),
        ]
    };
    assert!(format!("{:?}", noc.set_many(&pdu("00")).await.unwrap_err()).contains("WrongLength"));
    assert_eq!(
        noc.get(&psk(3, 2)).await.unwrap().varbinds[0].value,
        Value::NoSuchInstance
    );
    noc.set_many(&pdu(&"00".repeat(32))).await.unwrap();
    assert_eq!(
        noc.get(&psk(3, 2)).await.unwrap().varbinds[0].value,
        Value::Integer(1)
    );
    assert_eq!(
        noc.get(&psk(5, 2)).await.unwrap().varbinds[0].value,
        Value::OctetString("".into())
    );
    let active = oid!(
        1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 3, 1, 3, 3, 99, 97, 49
    );
    assert!(
        format!(
            "{:?}",
            noc.set(&active, Value::Gauge32(1)).await.unwrap_err()
        )
        .contains("InconsistentValue")
    );
    noc.set(&active, Value::Gauge32(2)).await.unwrap();
    server.abort();
}
