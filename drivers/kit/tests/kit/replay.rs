//! Recorded exchanges can be replayed and contain no secret.

use qkd_driver_kit::{
    link::{
        Disclosure,
        bytes::{ByteLink, Exchange, line_framer},
        memory,
        snmp::{ErrorStatus, Notification, Oid, SetRequest, SnmpLink, SnmpService, Value, VarBind},
        stream::{Resync, StreamLink, StreamOptions},
    },
    transcript::{Replay, Transcript, parse},
    wrap::traced::TracedLink,
};
use qkd_hal::{ErrorKind, event::EventHub};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast,
};

const SECOND: Duration = Duration::from_secs(1);

fn key_exchange() -> Exchange {
    let secret = Disclosure::Secret(|m| {
        m.iter()
            .position(|b| *b == b':')
            .map(|at| at + 1..m.len().saturating_sub(1))
            .into_iter()
            .collect()
    });
    Exchange::new("take", "key?\n", SECOND).reply(line_framer(100), secret)
}

#[tokio::test(start_paused = true)]
async fn bytes_are_replayed_with_other_secrets() {
    let connector = Box::new(memory::MemoryConnector::new("x", |mut stream| {
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let _ = stream.write_all(b"id7:c2VjcmV0\n").await;
            }
        });
    }));
    let link = StreamLink::open(
        connector,
        StreamOptions::new(Resync::Reconnect, EventHub::default()),
        SECOND,
    )
    .await
    .unwrap();
    let transcript = Transcript::in_memory();
    let traced = TracedLink::new(link as Arc<dyn ByteLink>, transcript.clone());
    traced.exchange(key_exchange()).await.unwrap();
    traced
        .exchange(
            Exchange::new("undeclared", "what?\n", SECOND)
                .reply(line_framer(100), Disclosure::Undeclared),
        )
        .await
        .unwrap();

    let text: String = transcript
        .records()
        .iter()
        .map(|r| serde_json::to_string(r).unwrap() + "\n")
        .collect();
    assert!(!text.contains("c2VjcmV0"), "{text}");
    assert!(
        text.lines().all(|l| l.contains(r#""changes":true"#)),
        "an undeclared message may change the device: {text}"
    );
    let replay = Replay::new(parse(&text).unwrap(), 1);
    let reply = ByteLink::exchange(&replay, key_exchange()).await.unwrap();
    assert!(reply.starts_with(b"id7:") && reply.ends_with(b"\n") && reply.len() == 13);
    let error = ByteLink::exchange(&replay, Exchange::new("undeclared", "what?\n", SECOND))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(replay.remaining(), 0);
    let replay = Replay::new(parse(&text).unwrap(), 1);
    assert!(
        ByteLink::exchange(&replay, Exchange::new("other", "else\n", SECOND))
            .await
            .is_err(),
        "another request than the recorded one"
    );
}

struct Agent;
impl SnmpService for Agent {
    fn get(&self, oid: &Oid) -> Value {
        match oid.sub_identifiers().last() {
            Some(1) => Value::text("name=s:"),
            Some(2) => Value::Counter64(u64::MAX),
            Some(3) => Value::OctetString(vec![0, 0xff]),
            Some(4) => Value::OctetString(Vec::new()),
            _ => Value::NoSuchInstance,
        }
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        let root = Oid::from([1, 3, 9]);
        let n = oid.suffix_of(&root)?.first().copied().unwrap_or(0) + 1;
        (n < 5).then(|| VarBind::new(root.child(&[n]), self.get(&root.child(&[n]))))
    }
    fn set(&self, _: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        if binds.len() == 2 {
            Ok(())
        } else {
            Err((ErrorStatus::WrongValue, 1))
        }
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        broadcast::channel(1).1
    }
}

#[tokio::test]
async fn varbinds_are_replayed_type_for_type() {
    let transcript = Transcript::in_memory();
    let link = TracedLink::new(
        Arc::new(memory::MemorySnmpLink::new("x", Arc::new(Agent))) as Arc<dyn SnmpLink>,
        transcript.clone(),
    );
    let root = Oid::from([1, 3, 9]);
    let names: Vec<_> = (1..6).map(|n| root.child(&[n])).collect();
    let set = || {
        SetRequest::new()
            .with_secret(root.child(&[1]), Value::text("hunter22"))
            .with(root.child(&[2]), Value::Integer(-1))
    };
    let (got, walked) = (
        link.get(&names, SECOND).await.unwrap(),
        link.walk(&root, SECOND).await.unwrap(),
    );
    let id = link.set(set(), SECOND).await.unwrap();
    let refused = link
        .set(
            SetRequest::new().with(root.child(&[1]), Value::Integer(1)),
            SECOND,
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind, refused.code.as_deref()),
        (ErrorKind::Refused, Some("wrongValue(10)"))
    );

    let text: String = transcript
        .records()
        .iter()
        .map(|r| serde_json::to_string(r).unwrap() + "\n")
        .collect();
    assert!(!text.contains("hunter22"), "{text}");
    assert_eq!(
        transcript
            .records()
            .iter()
            .map(|r| (r.name.as_str(), r.changes))
            .collect::<Vec<_>>(),
        [
            ("get", false),
            ("walk", false),
            ("set", true),
            ("set", true)
        ]
    );
    assert_eq!(text.matches("changes").count(), 2);
    assert_eq!(parse(&text).unwrap(), transcript.records());
    let replay = Replay::new(parse(&text).unwrap(), 1);
    assert_eq!(SnmpLink::get(&replay, &names, SECOND).await.unwrap(), got);
    assert_eq!(replay.walk(&root, SECOND).await.unwrap(), walked);
    assert_eq!(replay.set(set(), SECOND).await.unwrap(), id);
    assert_eq!(
        replay
            .set(
                SetRequest::new().with(root.child(&[1]), Value::Integer(1)),
                SECOND
            )
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Refused
    );
}
