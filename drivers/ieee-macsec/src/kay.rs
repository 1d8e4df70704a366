//! Status of the key agreement entity of a port (KaY).

use crate::proto::{ProtoError, count, decode_ckn, decode_truth_value, oid};
use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{SnmpCall, optional},
};
use qkd_hal::{KeyId, Result, encryptor::ChannelState};

/// Status of the KaY of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kay {
    /// MKA runs.
    pub(crate) active: bool,
    /// The peer is authenticated, and its traffic is not protected.
    pub(crate) authenticated: bool,
    /// Traffic is protected by MACsec.
    pub(crate) secured: bool,
    /// MKA has failed.
    pub(crate) failed: bool,
    /// Numbers of the keys in use; `None` if the agent lacks them.
    pub(crate) tx_key: Option<u64>,
    pub(crate) rx_key: Option<u64>,
}

impl Kay {
    pub(crate) async fn read(call: &SnmpCall<'_>, port: u32) -> Result<Self> {
        let v = Self::values(call, port).await?;
        let [tx_key, rx_key] = Self::decode_numbers(&v);
        Ok(Self {
            tx_key: tx_key?,
            rx_key: rx_key?,
            ..Self::decode_state(&v)?
        })
    }

    /// The objects of a KaY.
    pub(crate) async fn values(call: &SnmpCall<'_>, port: u32) -> Result<Vec<Value>> {
        let columns = [
            oid::ACTIVE,
            oid::AUTHENTICATED,
            oid::SECURED,
            oid::FAILED,
            oid::TX_KN,
            oid::RX_KN,
        ];
        call.get(&columns.map(|c| oid::of_port(c, port))).await
    }

    /// The state, without the numbers of the keys.
    pub(crate) fn decode_state(v: &[Value]) -> Result<Self, ProtoError> {
        let is = |value: &Value, object| -> Result<bool, ProtoError> {
            Ok(decode_truth_value(value, object)?.unwrap_or_default())
        };
        Ok(Self {
            active: is(&v[0], "ieee8021XKayMkaActive")?,
            authenticated: is(&v[1], "ieee8021XKayMkaAuthenticated")?,
            secured: is(&v[2], "ieee8021XKayMkaSecured")?,
            failed: is(&v[3], "ieee8021XKayMkaFailed")?,
            tx_key: None,
            rx_key: None,
        })
    }

    /// The numbers of the keys in use: transmit, receive.
    pub(crate) fn decode_numbers(v: &[Value]) -> [Result<Option<u64>, ProtoError>; 2] {
        let number = |value: &Value, object| optional(value, |v| count(v, object));
        [
            number(&v[4], "ieee8021XKayMkaTxKN"),
            number(&v[5], "ieee8021XKayMkaRxKN"),
        ]
    }

    pub(crate) fn state(self) -> ChannelState {
        match self {
            Self { secured: true, .. } => ChannelState::Encrypting,
            Self { failed: true, .. } => ChannelState::Failed,
            Self { active: false, .. } => ChannelState::Disabled,
            // MKA has succeeded, and MACsec is not used.
            Self {
                authenticated: true,
                ..
            } => ChannelState::Disabled,
            _ => ChannelState::Exchanging,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self { secured: true, .. } => "secured",
            Self { failed: true, .. } => "failed",
            Self { active: false, .. } => "not active",
            Self {
                authenticated: true,
                ..
            } => "authenticated, not secured",
            _ => "pending",
        }
    }
}

/// A participant in MKA: a CAK that the port knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) ckn: KeyId,
    /// Whether its CAK is the one that protects the port.
    pub(crate) is_principal: bool,
}

/// All participants of a port, in the order of their CKNs.
pub(crate) async fn participants(call: &SnmpCall<'_>, port: u32) -> Result<Vec<Participant>> {
    let principal = oid::participants(oid::PART_PRINCIPAL, port);
    let walk = call.walk(&principal).await?;
    walk.iter()
        .map(|(index, value)| {
            let object = "ieee8021XKayMkaPartPrincipal";
            Ok(Participant {
                ckn: decode_ckn(index)?,
                is_principal: decode_truth_value(value, object)? == Some(true),
            })
        })
        .collect()
}
