//! A real `snmpd` (net-snmp) on a free port of the loopback, with a user and a community of its
//! own.

use std::{
    io,
    net::UdpSocket,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The SNMPv3 user of the agent: SHA-256 and AES-128.
pub const USER: &str = "bench";
/// Authentication password of the user.
pub const AUTH_PASSWORD: &str = "authpassword";
/// Privacy password of the user.
pub const PRIV_PASSWORD: &str = "privpassword";

/// Further users, with the same passwords: authentication and privacy as net-snmp names them.
pub const PROTOCOLS: [(&str, &str, &str); 8] = [
    ("md5-des", "MD5", "DES"),
    ("sha-aes", "SHA", "AES"),
    ("sha-aes192", "SHA", "AES-192"),
    ("sha-aes192c", "SHA", "AES-192-C"),
    ("md5-aes256", "MD5", "AES-256"),
    ("md5-aes256c", "MD5", "AES-256-C"),
    ("sha384-aes256", "SHA-384", "AES-256"),
    ("sha512-aes256c", "SHA-512", "AES-256-C"),
];

/// A running agent; ends when dropped.
pub struct Snmpd {
    child: Child,
    /// UDP port of the agent.
    pub port: u16,
    folder: tempfile::TempDir,
}

fn binary() -> io::Result<PathBuf> {
    ["/usr/sbin/snmpd", "/usr/local/sbin/snmpd"]
        .iter()
        .map(PathBuf::from)
        .find(|p| p.exists())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "snmpd is not installed (Debian: apt-get install snmpd)",
            )
        })
}

impl Snmpd {
    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed or does not come up.
    pub fn start() -> io::Result<Self> {
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("persistent"))?;
        let mut agent = Self {
            child: Self::spawn(&folder, port)?,
            port,
            folder,
        };
        agent.wait()?;
        Ok(agent)
    }

    fn spawn(folder: &tempfile::TempDir, port: u16) -> io::Result<Child> {
        // The only configuration: the search path contains nothing else, and its persistent data
        // (engine ID, boots) are stored next to it.
        let conf = folder.path().join("snmpd.conf");
        // sysName stays writable only if it is not set here.
        std::fs::write(
            &conf,
            format!(
                "engineID testbed\nagentAddress udp:127.0.0.1:{port}\nrwcommunity public \
                 127.0.0.1\ncreateUser {USER} SHA-256 {AUTH_PASSWORD} AES {PRIV_PASSWORD}\nrwuser \
                 {USER} authpriv\ndontLogTCPWrappersConnects yes\n{}",
                PROTOCOLS
                    .iter()
                    .map(|(user, auth, privacy)| format!(
                        "createUser {user} {auth} {AUTH_PASSWORD} {privacy} \
                         {PRIV_PASSWORD}\nrwuser {user} authpriv\n"
                    ))
                    .collect::<String>()
            ),
        )?;
        // -Ln: logging each connection would slow it down threefold.
        Command::new(binary()?)
            .args(["-f", "-Ln", "-I", "-smux,-ifTable", "-p"])
            .arg(folder.path().join("pid"))
            .env("SNMPCONFPATH", folder.path())
            .env("SNMP_PERSISTENT_DIR", folder.path().join("persistent"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    fn wait(&mut self) -> io::Result<()> {
        // An SNMPv2c GET of sysUpTime.0, written out: asked until it is answered.
        let question = [
            0x30, 0x26, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0,
            0x19, 0x02, 0x01, 0x01, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30, 0x0c,
            0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x03, 0x00, 0x05, 0x00,
        ];
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        for _ in 0..100 {
            let _ = socket.send_to(&question, ("127.0.0.1", self.port));
            if socket.recv(&mut [0; 1500]).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("snmpd ended at once: {status}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "snmpd does not answer",
        ))
    }

    /// Ends it and starts it again: the same engine, one boot later.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        // SIGTERM, so that it writes its boots down.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
        self.child = Self::spawn(&self.folder, self.port)?;
        self.wait()
    }
}

impl Drop for Snmpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
