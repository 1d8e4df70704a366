//! Serial lines over pseudo-terminals.

use nix::pty::openpty;
use qkd_driver_kit::link::{
    Disclosure,
    bytes::{ByteLink, Connector, Exchange, line_framer},
    serial::SerialConnector,
    stream::{Resync, StreamLink, StreamOptions},
};
use qkd_hal::{ErrorKind, TransportFault, event::EventHub};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsFd,
    time::Duration,
};

fn pty() -> (File, String, std::os::fd::OwnedFd) {
    let pair = openpty(None, None).unwrap();
    let mut raw = nix::sys::termios::tcgetattr(pair.slave.as_fd()).unwrap();
    nix::sys::termios::cfmakeraw(&mut raw);
    nix::sys::termios::tcsetattr(pair.slave.as_fd(), nix::sys::termios::SetArg::TCSANOW, &raw)
        .unwrap();
    let name = nix::unistd::ttyname(pair.slave.as_fd())
        .unwrap()
        .display()
        .to_string();
    (File::from(pair.master), name, pair.slave)
}

fn exchange(within: Duration) -> Exchange {
    Exchange::new("ask", "hi\n", within).reply(line_framer(100), Disclosure::Public)
}

#[tokio::test]
async fn a_closed_connection_is_a_typed_error_immediately() {
    let (mut master, name, slave) = pty();
    let link = StreamLink::open(
        Box::new(SerialConnector::new(&name, 38400, false)),
        StreamOptions::new(
            Resync::Quiet(Duration::from_millis(20)),
            EventHub::default(),
        ),
        Duration::from_secs(5),
    )
    .await
    .unwrap();
    drop(slave);
    let device = std::thread::spawn(move || {
        let mut buffer = [0; 16];
        let n = master.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"hi\n");
        master.write_all(b"hello\r\n").unwrap();
        let _ = master.read(&mut buffer);
        // The master's end closes: the line hangs up.
    });
    assert_eq!(
        &link
            .exchange(exchange(Duration::from_secs(5)))
            .await
            .unwrap()[..],
        b"hello\r\n"
    );
    let error = link
        .exchange(exchange(Duration::from_secs(60)))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transport(TransportFault::HungUp));
    device.join().unwrap();
}

#[tokio::test]
async fn a_second_opener_receives_busy_with_the_port() {
    let (_master, name, _slave) = pty();
    let first = SerialConnector::new(&name, 9600, false)
        .connect(Duration::from_secs(1))
        .await
        .unwrap();
    let error = SerialConnector::new(&name, 9600, false)
        .connect(Duration::from_secs(1))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.detail.contains(&name), "{error}");
    drop(first);
    assert!(
        SerialConnector::new(&name, 9600, false)
            .connect(Duration::from_secs(1))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_missing_port_is_named() {
    let error = SerialConnector::new("/dev/no-such-port", 9600, false)
        .connect(Duration::from_secs(1))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.detail.contains("/dev/no-such-port"));
}

/// A pseudo-terminal takes the setting, and has no such lines: nothing waits for CTS.
#[tokio::test]
async fn flow_control_by_rts_and_cts_can_be_set_on_a_pseudo_terminal() {
    let (mut master, name, _slave) = pty();
    let device = std::thread::spawn(move || {
        let mut buffer = [0; 16];
        let n = master.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"hi\n");
        master.write_all(b"hello\r\n").unwrap();
        master
    });
    let options = StreamOptions::new(
        Resync::Quiet(Duration::from_millis(20)),
        EventHub::default(),
    );
    let link = StreamLink::open(
        Box::new(SerialConnector::new(&name, 1200, true)),
        options,
        Duration::from_secs(5),
    )
    .await
    .unwrap();
    assert_eq!(
        &link
            .exchange(exchange(Duration::from_secs(5)))
            .await
            .unwrap()[..],
        b"hello\r\n"
    );
    device.join().unwrap();
}
