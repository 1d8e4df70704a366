//! SNMP over UDP against a relay that loses, delays and doubles, in front of the smallest agent.

use qkd_driver_kit::link::{
    snmp::{Oid, SetRequest, SnmpLink, Value},
    snmp_udp::{SnmpOptions, SnmpSecurity, UdpSnmpLink},
};
use qkd_hal::{
    ErrorKind, EventKind,
    event::{EventHub, StreamItem},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::UdpSocket;
use zeroize::Zeroizing;

/// Action of the agent for the n-th request.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    Drop,
    Reorder(u64),
    Duplicate,
    Noise,
}

/// Answers every v2c request with the request id as value of sysUpTime, by turning the PDU's tag
/// around: what it gets is what it gives.
async fn agent(script: impl Fn(usize) -> Act + Send + 'static) -> (SocketAddr, Arc<Mutex<usize>>) {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let turn = {
                let mut count = counted.lock().unwrap();
                *count += 1;
                *count
            };
            let mut reply = buffer[..n].to_vec();
            // version INTEGER, community OCTET STRING, then the PDU: 0xa2 is a Response.
            let community = usize::from(reply[6]);
            reply[7 + community] = 0xa2;
            match script(turn) {
                Act::Answer => drop(socket.send_to(&reply, peer).await),
                Act::Drop => {}
                Act::Reorder(ms) => {
                    let socket = Arc::clone(&socket);
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        let _ = socket.send_to(&reply, peer).await;
                    });
                }
                Act::Duplicate => {
                    let _ = socket.send_to(&reply, peer).await;
                    let _ = socket.send_to(&reply, peer).await;
                }
                Act::Noise => drop(socket.send_to(&[0x30, 0x7f, 1, 2, 3], peer).await),
            }
        }
    });
    (address, count)
}

fn community() -> SnmpSecurity {
    SnmpSecurity::V2c {
        community: Zeroizing::new("public".to_owned()),
    }
}

async fn open(address: SocketAddr, events: EventHub) -> Arc<UdpSnmpLink> {
    UdpSnmpLink::open(
        &address.to_string(),
        community(),
        &SnmpOptions::default(),
        Duration::from_secs(3),
        events,
        None,
    )
    .await
    .unwrap()
}

fn name(n: u32) -> Oid {
    Oid::from([1, 3, 6, 1, 4, 1, 32473, n])
}

#[tokio::test]
async fn lost_late_duplicated_and_garbled_replies_are_discarded_and_the_link_recovers() {
    let (address, _) = agent(|turn| match turn % 5 {
        2 => Act::Drop,
        3 => Act::Reorder(150),
        4 => Act::Duplicate,
        0 => Act::Noise,
        _ => Act::Answer,
    })
    .await;
    let link = open(address, EventHub::default()).await;
    for n in 1..30 {
        let got = link
            .get(&[name(n)], Duration::from_millis(900))
            .await
            .unwrap();
        assert_eq!(got[0].oid, name(n), "each question gets its own answer");
    }
}

#[tokio::test]
async fn a_loss_and_a_return_are_reported_once() {
    let (address, _) = agent(|turn| {
        if (2..=5).contains(&turn) {
            Act::Drop
        } else {
            Act::Answer
        }
    })
    .await;
    let events = EventHub::default();
    let mut stream = events.subscribe();
    let link = open(address, events).await;
    let error = link
        .get(&[name(1)], Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true));
    link.get(&[name(1)], Duration::from_millis(300))
        .await
        .unwrap();
    let reported: Vec<_> = std::iter::from_fn(|| stream.try_next())
        .filter_map(|d| {
            if let StreamItem::Event(e) = d {
                Some(e.kind.clone())
            } else {
                None
            }
        })
        .collect();
    assert!(
        matches!(
            &reported[..],
            [EventKind::LinkLost { .. }, EventKind::LinkRestored]
        ),
        "{reported:?}"
    );
}

#[tokio::test]
async fn v2c_changes_nothing() {
    let (address, count) = agent(|_| Act::Answer).await;
    let link = open(address, EventHub::default()).await;
    let error = link
        .set(
            SetRequest::new().with(name(1), Value::Integer(1)),
            Duration::from_millis(300),
        )
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Authentication, false));
    assert_eq!(*count.lock().unwrap(), 1, "opened, and nothing else");
}

#[tokio::test]
async fn key_material_never_goes_below_auth_priv() {
    let (address, count) = agent(|_| Act::Answer).await;
    let link = open(address, EventHub::default()).await;
    let before = *count.lock().unwrap();
    let error = link
        .set(
            SetRequest::new().with_secret(name(1), Value::text("hunter22")),
            Duration::from_millis(300),
        )
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Authentication, false));
    assert!(!format!("{error:?}").contains("hunter22"));
    assert_eq!(*count.lock().unwrap(), before, "nothing was sent");
}

#[tokio::test]
async fn a_missing_device_is_reported_immediately() {
    let port = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let begun = std::time::Instant::now();
    let error = UdpSnmpLink::open(
        &port.to_string(),
        community(),
        &SnmpOptions::default(),
        Duration::from_secs(30),
        EventHub::default(),
        None,
    )
    .await
    .err()
    .unwrap();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "the deadline was not waited for"
    );
}
