//! A line's owner: replies never reach the wrong caller, and every call ends.

use qkd_driver_kit::link::{
    Disclosure, LinkError,
    bytes::{ByteLink, Connector, Exchange, line_framer},
    memory,
    stream::{Resync, StreamLink, StreamOptions},
};
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, EventKind, TransportFault,
    event::{EventHub, StreamItem},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream},
    time::{Instant, sleep},
};

/// Action of the device for a request.
#[derive(Clone)]
enum Act {
    Say(&'static str),
    Reorder(Duration, &'static str),
    /// Twice at once, and once more after a time.
    Echo(Duration, &'static str),
    Drop,
    Reset,
    Throttle(&'static str),
    Flood,
}

type Script = Arc<dyn Fn(&str) -> Act + Send + Sync>;

fn device(script: Script, connects: Arc<AtomicUsize>) -> Box<dyn Connector> {
    Box::new(memory::MemoryConnector::new(
        "device",
        move |stream: DuplexStream| {
            connects.fetch_add(1, Ordering::Relaxed);
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                let (reader, writer) = tokio::io::split(stream);
                let writer = Arc::new(tokio::sync::Mutex::new(writer));
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(request)) = lines.next_line().await {
                    match script(&request) {
                        Act::Say(text) => writer
                            .lock()
                            .await
                            .write_all(text.as_bytes())
                            .await
                            .unwrap(),
                        Act::Reorder(delay, text) => {
                            let writer = Arc::clone(&writer);
                            tokio::spawn(async move {
                                sleep(delay).await;
                                let _ = writer.lock().await.write_all(text.as_bytes()).await;
                            });
                        }
                        Act::Echo(delay, text) => {
                            writer
                                .lock()
                                .await
                                .write_all(text.repeat(2).as_bytes())
                                .await
                                .unwrap();
                            let writer = Arc::clone(&writer);
                            tokio::spawn(async move {
                                sleep(delay).await;
                                let _ = writer.lock().await.write_all(text.as_bytes()).await;
                            });
                        }
                        Act::Drop => {}
                        Act::Reset => return,
                        Act::Throttle(text) => {
                            for byte in text.bytes() {
                                sleep(Duration::from_secs(1)).await;
                                if writer.lock().await.write_all(&[byte]).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Act::Flood => {
                            while writer.lock().await.write_all(&[b'x'; 1024]).await.is_ok() {}
                        }
                    }
                }
            });
        },
    ))
}

struct Rig {
    link: Arc<StreamLink>,
    events: EventHub,
    connects: Arc<AtomicUsize>,
}

async fn rig(resync: Resync, script: impl Fn(&str) -> Act + Send + Sync + 'static) -> Rig {
    let (events, connects) = (EventHub::default(), Arc::new(AtomicUsize::new(0)));
    let options = StreamOptions::new(resync, events.clone()).identity_probe(
        || {
            Exchange::new("identify", "who\n", Duration::from_secs(1))
                .reply(line_framer(100), Disclosure::Public)
        },
        |reply| {
            std::str::from_utf8(reply)
                .ok()?
                .trim()
                .strip_prefix("me ")
                .map(str::to_owned)
        },
    );
    let link = StreamLink::open(
        device(Arc::new(script), Arc::clone(&connects)),
        options,
        Duration::from_secs(1),
    )
    .await
    .unwrap();
    Rig {
        link,
        events,
        connects,
    }
}

async fn ask(link: &dyn ByteLink, what: &str) -> Result<String, LinkError> {
    let exchange = Exchange::new("ask", format!("{what}\n"), Duration::from_millis(500))
        .reply(line_framer(1000), Disclosure::Public);
    link.exchange(exchange)
        .await
        .map(|reply| String::from_utf8_lossy(&reply).trim().to_owned())
}

const RESYNC_MODES: [Resync; 3] = [
    Resync::Reconnect,
    Resync::Quiet(Duration::from_secs(1)),
    Resync::Sentinel(Duration::from_millis(50)),
];

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_discarded() {
    for resync in RESYNC_MODES {
        let rig = rig(resync, |request| match request {
            "who" => Act::Say("me 7\r\n"),
            "slow" => Act::Reorder(Duration::from_millis(600), "answer to slow\r\n"),
            _ => Act::Say("answer to quick\r\n"),
        })
        .await;
        assert_eq!(
            ask(&*rig.link, "slow").await.unwrap_err().kind,
            ErrorKind::Timeout,
            "{resync:?}"
        );
        let exchange = Exchange::new("ask", "quick\n", Duration::from_secs(5))
            .reply(line_framer(1000), Disclosure::Public);
        let reply = rig.link.exchange(exchange).await.unwrap();
        assert_eq!(&reply[..], b"answer to quick\r\n", "{resync:?}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            ask(&*rig.link, "quick").await.unwrap(),
            "answer to quick",
            "{resync:?}"
        );
    }
}

/// The silence for resynchronisation counts from the desynchronisation on, independent of earlier
/// silence.
#[tokio::test(start_paused = true)]
async fn an_echo_after_a_long_silence_is_discarded() {
    let rig = rig(
        Resync::Quiet(Duration::from_secs(1)),
        |request| match request {
            "who" => Act::Say("me 7\r\n"),
            "echo" => Act::Echo(Duration::from_millis(300), "answer to echo\r\n"),
            _ => Act::Reorder(Duration::from_millis(500), "answer to quick\r\n"),
        },
    )
    .await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(ask(&*rig.link, "echo").await.unwrap(), "answer to echo");
    let exchange = Exchange::new("ask", "quick\n", Duration::from_secs(5))
        .reply(line_framer(1000), Disclosure::Public);
    assert_eq!(
        &rig.link.exchange(exchange).await.unwrap()[..],
        b"answer to quick\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_to_the_resynchronisation_query_is_discarded() {
    let asked = AtomicUsize::new(0);
    let rig = rig(
        Resync::Sentinel(Duration::from_millis(400)),
        move |request| match request {
            "who" if asked.fetch_add(1, Ordering::Relaxed) == 1 => {
                Act::Reorder(Duration::from_millis(700), "me 7\r\n")
            }
            "who" => Act::Reorder(Duration::from_millis(50), "me 7\r\n"),
            _ => Act::Say("answer\r\n"),
        },
    )
    .await;
    assert_eq!(
        ask(&*rig.link, "who").await.unwrap_err().kind,
        ErrorKind::Timeout
    );
    let exchange = Exchange::new("ask", "quick\n", Duration::from_secs(5))
        .reply(line_framer(1000), Disclosure::Public);
    assert_eq!(
        &rig.link.exchange(exchange).await.unwrap()[..],
        b"answer\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_reply_answers_once() {
    for resync in RESYNC_MODES {
        let rig = rig(resync, |request| match request {
            "who" => Act::Say("me 7\r\n"),
            "twice" => Act::Say("two\r\ntwo\r\n"),
            _ => Act::Say("one\r\n"),
        })
        .await;
        assert_eq!(ask(&*rig.link, "twice").await.unwrap(), "two");
        let exchange = Exchange::new("ask", "once\n", Duration::from_secs(5))
            .reply(line_framer(1000), Disclosure::Public);
        assert_eq!(
            &rig.link.exchange(exchange).await.unwrap()[..],
            b"one\r\n",
            "{resync:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_reported_immediately_and_the_next_call_works() {
    let rig = rig(Resync::Reconnect, |request| match request {
        "who" => Act::Say("me 7\r\n"),
        "bye" => Act::Reset,
        _ => Act::Say("hello\r\n"),
    })
    .await;
    let mut events = rig.events.subscribe();
    let begun = Instant::now();
    assert_eq!(
        ask(&*rig.link, "bye").await.unwrap_err().kind,
        ErrorKind::Transport(TransportFault::HungUp)
    );
    assert!(begun.elapsed() < Duration::from_millis(10), "no time-out");
    assert_eq!(ask(&*rig.link, "hi").await.unwrap(), "hello");
    let kinds: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|d| match d {
            StreamItem::Event(e) => e.kind.clone(),
            StreamItem::Lost(n) => panic!("lost {n}"),
        })
        .collect();
    assert!(
        matches!(
            &kinds[..],
            [EventKind::LinkLost { .. }, EventKind::LinkRestored]
        ),
        "{kinds:?}"
    );
    assert_eq!(rig.connects.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn another_device_after_a_reconnect_closes_the_handle() {
    let times = AtomicUsize::new(0);
    let rig = rig(Resync::Reconnect, move |request| match request {
        "who" if times.fetch_add(1, Ordering::Relaxed) == 0 => Act::Say("me 7\r\n"),
        "who" => Act::Say("me 8\r\n"),
        _ => Act::Reset,
    })
    .await;
    let mut events = rig.events.subscribe();
    let _ = ask(&*rig.link, "bye").await;
    let error = ask(&*rig.link, "hi").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::IdentityChanged);
    assert!(
        error.detail.contains('7') && error.detail.contains('8') && !error.sent,
        "{error:?}"
    );
    assert_eq!(
        ask(&*rig.link, "hi").await.unwrap_err().kind,
        ErrorKind::IdentityChanged,
        "it stays closed"
    );
    assert!(std::iter::from_fn(|| events.try_next()).any(
        |d| matches!(d, StreamItem::Event(e) if matches!(e.kind, EventKind::IdentityChanged { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_device_with_unexpected_replies_is_not_opened() {
    let open = async |act: fn(usize) -> Act| {
        let options = StreamOptions::new(Resync::Reconnect, EventHub::default()).identity_probe(
            || {
                Exchange::new("identify", "who\n", Duration::from_secs(1))
                    .reply(line_framer(100), Disclosure::Public)
            },
            |reply| reply.starts_with(b"me ").then(|| "me".to_owned()),
        );
        let times = AtomicUsize::new(0);
        let connector = device(
            Arc::new(move |_: &str| act(times.fetch_add(1, Ordering::Relaxed))),
            Arc::default(),
        );
        StreamLink::open(connector, options, Duration::from_secs(1))
            .await
            .err()
            .unwrap()
    };
    // Another make says the same twice; noise does not, and is not a text.
    let error = open(|_| Act::Say("other device\r\n")).await;
    assert_eq!(error.kind, ErrorKind::IdentityChanged);
    assert!(
        error.detail.contains("a device of another vendor")
            && error.detail.contains("`other device`"),
        "{error:?}"
    );
    let noise: [fn(usize) -> Act; 2] = [
        |n| Act::Say(["x}q\r\n", "~~\r\n"][n % 2]),
        |_| Act::Say("\u{1}\u{2}\r\n"),
    ];
    for act in noise {
        assert_eq!(
            open(act).await.kind,
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_the_line_usable() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let rig = rig(Resync::Reconnect, move |request| {
        seen.lock().unwrap().push(request.to_owned());
        match request {
            "who" => Act::Say("me 7\r\n"),
            "slow" => Act::Reorder(Duration::from_millis(300), "answer to slow\r\n"),
            _ => Act::Say("answer to quick\r\n"),
        }
    })
    .await;
    let abandoned = tokio::time::timeout(Duration::from_millis(10), ask(&*rig.link, "slow")).await;
    assert!(abandoned.is_err());
    assert_eq!(ask(&*rig.link, "quick").await.unwrap(), "answer to quick");
    assert_eq!(
        rig.connects.load(Ordering::Relaxed),
        1,
        "the abandoned exchange ran to its end"
    );
    // One that goes before its turn is never sent.
    let (link, waiting) = (
        Arc::clone(&rig.link),
        tokio::spawn({
            let link = Arc::clone(&rig.link);
            async move { ask(&*link, "slow").await }
        }),
    );
    tokio::task::yield_now().await;
    let never = tokio::time::timeout(Duration::from_millis(10), ask(&*link, "never")).await;
    assert!(never.is_err());
    waiting.await.unwrap().unwrap();
    ask(&*rig.link, "quick").await.unwrap();
    assert!(!log.lock().unwrap().contains(&"never".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn every_call_ends() {
    for resync in RESYNC_MODES {
        let rig = rig(resync, |request| match request {
            "who" => Act::Say("me 7\r\n"),
            "trickle" => Act::Throttle("a very long answer\r\n"),
            "flood" => Act::Flood,
            "nothing" => Act::Drop,
            _ => Act::Say("hello\r\n"),
        })
        .await;
        for (what, kind) in [
            ("nothing", ErrorKind::Timeout),
            ("trickle", ErrorKind::Timeout),
        ] {
            let begun = Instant::now();
            assert_eq!(ask(&*rig.link, what).await.unwrap_err().kind, kind);
            assert!(begun.elapsed() <= Duration::from_millis(501), "{what}");
            sleep(Duration::from_secs(30)).await;
            let exchange = Exchange::new("ask", "hi\n", Duration::from_secs(60))
                .reply(line_framer(1000), Disclosure::Public);
            assert_eq!(
                &rig.link.exchange(exchange).await.unwrap()[..],
                b"hello\r\n",
                "{what} {resync:?}"
            );
        }
        let error = ask(&*rig.link, "flood").await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Transport(TransportFault::Framing)),
            "{error:?}"
        );
        let begun = Instant::now();
        let _ = ask(&*rig.link, "hi").await;
        assert!(
            begun.elapsed() <= Duration::from_secs(2),
            "a flood never wedges the line: {resync:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn many_callers_get_their_own_answers() {
    let rig = rig(Resync::Reconnect, |request| match request {
        "who" => Act::Say("me 7\r\n"),
        "a" => Act::Say("answer to a\r\n"),
        _ => Act::Reorder(Duration::from_millis(3), "answer to b\r\n"),
    })
    .await;
    let calls = (0..100).map(|i| {
        let link = Arc::clone(&rig.link);
        tokio::spawn(async move {
            let what = if i % 3 == 0 { "a" } else { "b" };
            assert_eq!(
                ask(&*link, what).await.unwrap(),
                format!("answer to {what}")
            );
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_link_returns_a_closed_error() {
    let rig = rig(Resync::Reconnect, |_| Act::Say("me 7\r\n")).await;
    rig.link.close().await;
    rig.link.close().await;
    assert_eq!(
        ask(&*rig.link, "hi").await.unwrap_err().kind,
        ErrorKind::Closed
    );
}

#[tokio::test]
async fn over_tcp_a_refused_connection_backs_off_and_comes_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = Box::new(qkd_driver_kit::link::tcp::TcpConnector::new(
        address.to_string(),
    ));
    let serve = |listener: tokio::net::TcpListener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 64];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"hello\n").await;
    };
    let first = tokio::spawn(serve(listener));
    let link = StreamLink::open(
        connector,
        StreamOptions::new(Resync::Reconnect, EventHub::default()),
        Duration::from_secs(5),
    )
    .await
    .unwrap();
    assert_eq!(ask(&*link, "hi").await.unwrap(), "hello");
    first.await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(ask(&*link, "hi").await.unwrap_err().kind);
    }
    assert!(
        kinds[1..].iter().all(|k| *k == ErrorKind::Unreachable),
        "{kinds:?}"
    );
    tokio::spawn(serve(tokio::net::TcpListener::bind(address).await.unwrap()));
    let exchange = Exchange::new("ask", "hi\n", Duration::from_secs(10))
        .reply(line_framer(100), Disclosure::Public);
    assert_eq!(&link.exchange(exchange).await.unwrap()[..], b"hello\n");
}

#[tokio::test(start_paused = true)]
async fn a_call_queued_after_a_slow_one_ends_at_its_own_deadline_unsent() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let rig = rig(Resync::Reconnect, move |request| {
        seen.lock().unwrap().push(request.to_owned());
        if request == "who" {
            Act::Say("me 7\r\n")
        } else {
            Act::Drop
        }
    })
    .await;
    let patient = tokio::spawn({
        let link = Arc::clone(&rig.link);
        async move {
            link.exchange(
                Exchange::new("ask", "slow\n", Duration::from_secs(60))
                    .reply(line_framer(1000), Disclosure::Public),
            )
            .await
            .map(drop)
        }
    });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let error = ask(&*rig.link, "hasty").await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, false));
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(patient.await.unwrap().unwrap_err().kind, ErrorKind::Timeout);
    assert!(!log.lock().unwrap().contains(&"hasty".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn unsolicited_input_before_a_request_is_not_its_reply() {
    for resync in RESYNC_MODES {
        let rig = rig(resync, |request| match request {
            "who" => Act::Say("me 7\r\n"),
            // A second line that belongs to no request.
            "double" => Act::Say("first\r\nsecond\r\n"),
            _ => Act::Reorder(Duration::from_millis(50), "its own\r\n"),
        })
        .await;
        let late = |text: &'static str| {
            Exchange::new("ask", text, Duration::from_secs(5))
                .reply(line_framer(1000), Disclosure::Public)
        };
        // Both are queued before the owner task can check the link.
        let (first, second) = tokio::join!(
            rig.link.exchange(late("double\n")),
            rig.link.exchange(late("other\n"))
        );
        assert_eq!(&first.unwrap()[..], b"first\r\n", "{resync:?}");
        assert_eq!(&second.unwrap()[..], b"its own\r\n", "{resync:?}");
    }
}
