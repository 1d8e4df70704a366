//! Status of the encryption of a port.

use crate::proto::{
    FailureMode, NOT_AUTHENTICATED, PeerAuthentication, count, decode_authentication,
    decode_failure_mode, decode_key_status, decode_period, decode_port_state, decode_text,
    oid::{self, Row},
};
use qkd_driver_kit::link::{snmp::Oid, snmp_client::SnmpCall};
use qkd_hal::{Result, encryptor::ChannelState};

/// Status of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortStatus {
    /// Whether a key is set.
    pub(crate) has_key: bool,
    /// Hash of the key by the device.
    pub(crate) fingerprint: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) peer: PeerAuthentication,
    /// Re-authentication period, in hours.
    pub(crate) period: u64,
    pub(crate) failure_mode: FailureMode,
    /// Operational state of the port, where the agent has it.
    pub(crate) port_state: Option<&'static str>,
    /// sysUpTime, in hundredths of a second.
    pub(crate) uptime: u32,
}

impl PortStatus {
    pub(crate) async fn read(call: &SnmpCall<'_>, row: Row) -> Result<Self> {
        let names = [
            oid::of(oid::KEY, oid::KEY_STATUS, row),
            oid::of(oid::KEY, oid::KEY_FINGERPRINT, row),
            oid::of(oid::KEY, oid::KEY_DESCRIPTION, row),
            oid::of(oid::PORT, oid::PEER_AUTHENTICATION, row),
            oid::of(oid::REAUTHENTICATION, oid::PERIOD, row),
            oid::of(oid::REAUTHENTICATION, oid::FAILURE_MODE, row),
            Oid::from(oid::PORT_STATE).child(&[row.port]),
            Oid::from(oid::UPTIME),
        ];
        let v = call.get(&names).await?;
        let uptime = count(&v[7], "sysUpTime")?;
        Ok(Self {
            has_key: decode_key_status(&v[0])? == Some(true),
            fingerprint: decode_text(&v[1], "cwsEncryptionPreSharedKeyFingerprint")?,
            description: decode_text(&v[2], "cwsEncryptionPreSharedKeyDescription")?,
            peer: decode_authentication(&v[3])?.unwrap_or(PeerAuthentication::Unknown),
            period: decode_period(&v[4])?,
            failure_mode: decode_failure_mode(&v[5])?.unwrap_or(FailureMode::Unknown),
            port_state: decode_port_state(&v[6])?,
            uptime: u32::try_from(uptime).unwrap_or(u32::MAX),
        })
    }

    pub(crate) fn state(&self) -> ChannelState {
        if !self.has_key {
            return ChannelState::Initialising;
        }
        match self.peer {
            _ if self.port_state == Some(NOT_AUTHENTICATED) => ChannelState::Failed,
            PeerAuthentication::Pass => ChannelState::Encrypting,
            PeerAuthentication::Fail => ChannelState::Failed,
            PeerAuthentication::Unknown => ChannelState::Unknown,
        }
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "peer authentication {}, {}, re-authentication every {} h",
            self.peer.keyword(),
            if self.has_key {
                "a key is set"
            } else {
                "no key is set"
            },
            self.period
        )
    }
}
