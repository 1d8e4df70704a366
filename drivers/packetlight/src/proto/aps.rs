//! SL-OPT-APS-MIB and SL-OSW-MIB: names, values and the switch-over trap.

use super::ProtoError;
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value, VarBind},
    snmp_client::{self, enumeration, integer},
};
use qkd_hal::units::DecibelMilliwatts;
use qkd_switch_hal::protection::{ExternalCommand, PathId};

/// optApsConfigEntry, by the ifIndex of the working user port.
pub const ENTRY: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 11, 1, 1, 1];
/// User working port: optApsConfigUserWorkingIndex.
pub const USER_WORKING: u32 = 1;
/// optApsConfigEnable: optApsDisabled(1), optApsEnabled(2).
pub const ENABLE: u32 = 6;
/// Active path of the receiver: optApsConfigActiveConnectionRx, read-only.
pub const ACTIVE_RX: u32 = 8;
/// optApsConfigWaitToRestore, Unsigned32, 1..12 minutes.
pub const WAIT_TO_RESTORE: u32 = 10;
/// optApsConfigRevertive: nonrevertive(1), revertive(2).
pub const REVERTIVE: u32 = 12;
/// Status of the group: optApsConfigChanStatus, BITS, read-only.
pub const CHAN_STATUS: u32 = 13;
/// Number of switch-overs: optApsConfigChanSwitchovers, Counter32.
pub const SWITCHOVERS: u32 = 15;
/// Time of the last switch-over: optApsConfigChanLastSwitchover, TimeTicks.
pub const LAST_SWITCHOVER: u32 = 16;
/// External command: optApsConfigSwitchCommand.
pub const SWITCH_COMMAND: u32 = 17;
/// Present request: optApsConfigActiveRequest, read-only.
pub const ACTIVE_REQUEST: u32 = 20;
/// optApsConfigLosThreshold, 0.1 dBm, read-write.
pub const LOS_THRESHOLD: u32 = 22;
/// optApsTrapSwitchover, and its version below slOptApsTraps0 with slmTrapLogId appended.
pub const TRAPS: [&[u32]; 2] = [
    &[1, 3, 6, 1, 4, 1, 4515, 1, 11, 2, 1],
    &[1, 3, 6, 1, 4, 1, 4515, 1, 11, 2, 0, 1],
];

/// The port table of SL-OSW-MIB, by ifIndex.
pub const PORT: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 1, 17, 1, 1, 1];
/// The input power of a port, 0.1 dBm, read-only.
pub const PORT_POWER: u32 = 2;
/// The power below which a port has lost its signal, 0.1 dBm, from -50.0.
pub const PORT_LOS: u32 = 3;

/// Name of sysUpTime.0 (RFC 3418).
pub const SYS_UP_TIME: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];

/// An object of a group.
#[must_use]
pub fn of(column: u32, group: u32) -> Oid {
    Oid::from(ENTRY).child(&[column, group])
}
/// An object of a port.
#[must_use]
pub fn of_port(column: u32, port: u32) -> Oid {
    Oid::from(PORT).child(&[column, port])
}

/// A connection of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Working path: optApsWorkingConnection(1).
    Working,
    /// Protection path: optApsProtectionConnection(2).
    Protection,
}

impl Connection {
    /// Working and protection path, in this order.
    pub const ALL: [Self; 2] = [Self::Working, Self::Protection];
    /// Returns the name of the path.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Protection => "protection",
        }
    }
    /// Returns the path with this name.
    #[must_use]
    pub fn of(path: &PathId) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.keyword() == path.0)
    }
}

/// optApsConfigActiveConnectionRx.
///
/// # Errors
/// [`ProtoError`]; so for all decoders.
pub fn decode_connection(value: &Value) -> Result<Connection, ProtoError> {
    enumeration(
        value,
        "optApsConfigActiveConnectionRx",
        &[(1, Connection::Working), (2, Connection::Protection)],
    )
}

/// An enumeration of two whose second is on: optApsConfigEnable, optApsConfigRevertive.
pub fn decode_second(value: &Value, object: &'static str) -> Result<bool, ProtoError> {
    enumeration(value, object, &[(1, false), (2, true)])
}

/// The same to write.
#[must_use]
pub fn second(on: bool) -> Value {
    Value::Integer(if on { 2 } else { 1 })
}

/// Status bits of a group: optApsConfigChanStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelStatus {
    /// Lockout of protection is active: lockedOut(0).
    pub locked_out: bool,
    /// Signal fail of each path: sfWorking(1), sfProtecting(2).
    pub failed: [bool; 2],
    /// The signal is on the protection path: switched(3).
    pub switched: bool,
    /// Lockout at the remote end: lockedOutRemote(4).
    pub locked_out_remote: bool,
}

/// optApsConfigChanStatus: bit 0 is the highest of the first octet; trailing octets without a bit
/// may be missing (RFC 2578).
pub fn decode_channel_status(value: &Value) -> Result<ChannelStatus, ProtoError> {
    const OBJECT: &str = "optApsConfigChanStatus";
    match value {
        Value::OctetString(bits) => {
            let bit = |n: u8| bits.first().is_some_and(|octet| octet & (0x80 >> n) != 0);
            Ok(ChannelStatus {
                locked_out: bit(0),
                failed: [bit(1), bit(2)],
                switched: bit(3),
                locked_out_remote: bit(4),
            })
        }
        value if value.is_absent() => Err(ProtoError::Absent { object: OBJECT }),
        _ => Err(ProtoError::Type { object: OBJECT }),
    }
}

/// Request in effect: optApsConfigActiveRequest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveRequest {
    /// No listed request: optApsOther(1).
    Other,
    /// Automatic reversion: optApsRevertive(2).
    Revertive,
    /// Manual switch: optApsManual(3).
    Manual,
    /// Signal fail: optApsSignalFailure(4).
    SignalFailure,
    /// Forced switch: optApsForceSwitch(5).
    ForceSwitch,
    /// Lockout of protection: optApsLockOut(6).
    LockOut,
}

/// Decodes a value of optApsConfigActiveRequest.
pub fn decode_request(value: &Value) -> Result<ActiveRequest, ProtoError> {
    use ActiveRequest as R;
    let known = [
        (1, R::Other),
        (2, R::Revertive),
        (3, R::Manual),
        (4, R::SignalFailure),
        (5, R::ForceSwitch),
        (6, R::LockOut),
    ];
    enumeration(value, "optApsConfigActiveRequest", &known)
}

/// optApsConfigSwitchCommand for a command. The switch *of* a line moves the traffic off it (ITU-T
/// G.808.1): to go to protection, working is switched.
#[must_use]
pub fn command(command: &ExternalCommand) -> Option<Value> {
    let to = |path: &PathId, away: [i32; 2]| {
        Connection::of(path).map(|c| away[usize::from(c == Connection::Working)])
    };
    let number = match command {
        ExternalCommand::Clear => Some(1),
        ExternalCommand::Lockout => Some(2),
        ExternalCommand::Force(path) => to(path, [3, 4]),
        ExternalCommand::Manual(path) => to(path, [5, 6]),
        _ => None,
    };
    number.map(Value::Integer)
}

/// Encoding of a negative threshold. The MIB has the range 0..65535 and a description that begins
/// at -50.0 dBm, so the operator must configure it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LosEncoding {
    /// As a negative INTEGER.
    Signed,
    /// As the 16 bits of its two's complement.
    TwosComplement,
}

impl LosEncoding {
    /// By the word of the URI.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        match word {
            "signed" => Some(Self::Signed),
            "twos-complement" => Some(Self::TwosComplement),
            _ => None,
        }
    }
    /// Tenths of a dBm to write.
    #[must_use]
    pub fn value(self, tenths: i16) -> Value {
        Value::Integer(match self {
            Self::Signed => i32::from(tenths),
            Self::TwosComplement => i32::from(tenths.cast_unsigned()),
        })
    }
}

/// A power in tenths of a dBm: negative numbers as they are, and those above 32767 as 16 bits of
/// two's complement.
pub fn decode_power(value: &Value, object: &'static str) -> Result<DecibelMilliwatts, ProtoError> {
    #[allow(clippy::cast_precision_loss, reason = "32 bits")]
    snmp_client::power(value, object, |n| {
        let tenths = i16::try_from(n).or_else(|_| u16::try_from(n).map(u16::cast_signed));
        tenths.map_or(n as f64, f64::from) / 10.0
    })
}

/// A switch-over as reported by the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchOver {
    /// User working port: optApsConfigUserWorkingIndex.
    pub group: u32,
    /// New active path: optApsConfigActiveConnectionRx.
    pub connection: Connection,
}

/// The switch-over in a notification; `None` for other notifications. Varbinds are found by name,
/// so that further ones do no harm.
///
/// # Errors
/// [`ProtoError`] for an optApsTrapSwitchover without its group and connection, or with other
/// values.
pub fn decode_trap(notification: &Notification) -> Result<Option<SwitchOver>, ProtoError> {
    if !TRAPS.contains(&notification.trap.sub_identifiers()) {
        return Ok(None);
    }
    let find = |column| -> &Value {
        let below = Oid::from(ENTRY).child(&[column]);
        notification
            .binds
            .iter()
            .find(|b: &&VarBind| b.oid.suffix_of(&below).is_some())
            .map_or(&Value::NoSuchInstance, |b| &b.value)
    };
    const OBJECT: &str = "optApsConfigUserWorkingIndex";
    let index = integer(find(USER_WORKING), OBJECT)?;
    let group = u32::try_from(index).map_err(|_| ProtoError::Enumeration {
        object: OBJECT,
        value: index,
    })?;
    Ok(Some(SwitchOver {
        group,
        connection: decode_connection(find(ACTIVE_RX))?,
    }))
}

pub(super) fn fuzz(value: &Value, ids: &[u32]) {
    let _ = (
        decode_connection(value),
        decode_second(value, "x"),
        decode_channel_status(value),
        decode_request(value),
        decode_power(value, "x"),
    );
    for trap in TRAPS {
        let binds = [USER_WORKING, ACTIVE_RX]
            .map(|c| VarBind::new(Oid::from(ENTRY).child(&[c]).child(ids), value.clone()))
            .to_vec();
        let _ = decode_trap(&Notification {
            trap: trap.into(),
            uptime: 1,
            binds,
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Holds a vector of these two MIBs against the codec.
    pub(in crate::proto) fn check(v: &serde_json::Value, binds: &[VarBind]) {
        let m = &v["meaning"];
        let index = u32::try_from(m["row"].as_u64().unwrap()).unwrap();
        let (name, value) = (&binds[0].oid, &binds[0].value);
        match (
            v["direction"].as_str().unwrap(),
            m["object"].as_str().unwrap(),
        ) {
            ("get", "aps-enable") => assert_eq!(
                (name, decode_second(value, "x").ok()),
                (&of(ENABLE, index), m["on"].as_bool())
            ),
            ("get", "aps-active-rx") => assert_eq!(
                (name, decode_connection(value).unwrap().keyword()),
                (&of(ACTIVE_RX, index), m["path"].as_str().unwrap())
            ),
            ("set", "aps-wait-to-restore") => assert_eq!(
                (name, value),
                (&of(WAIT_TO_RESTORE, index), &Value::Gauge32(5))
            ),
            ("set", "aps-revertive") => {
                assert_eq!((name, value), (&of(REVERTIVE, index), &second(true)))
            }
            ("get", "aps-chan-status") => {
                let bits = ChannelStatus {
                    failed: [true, false],
                    switched: true,
                    ..ChannelStatus::default()
                };
                assert_eq!(
                    (name, decode_channel_status(value).unwrap()),
                    (&of(CHAN_STATUS, index), bits)
                );
            }
            ("get", "aps-active-request") => assert_eq!(
                (name, decode_request(value).unwrap()),
                (&of(ACTIVE_REQUEST, index), ActiveRequest::SignalFailure)
            ),
            ("set", "aps-switch-command") => {
                let path = m["path"].as_str().unwrap_or_default().into();
                let wanted = match m["command"].as_str().unwrap() {
                    "clear" => ExternalCommand::Clear,
                    "lockout" => ExternalCommand::Lockout,
                    "force" => ExternalCommand::Force(path),
                    _ => ExternalCommand::Manual(path),
                };
                assert_eq!(
                    (name, Some(value)),
                    (&of(SWITCH_COMMAND, index), command(&wanted).as_ref())
                );
            }
            ("get", "osw-power") => assert_eq!(
                (name, decode_power(value, "x").unwrap().0),
                (&of_port(PORT_POWER, index), m["dbm"].as_f64().unwrap())
            ),
            ("trap", "aps-switchover") => {
                let trap = Notification {
                    trap: v["trap"].as_str().unwrap().parse().unwrap(),
                    uptime: 1,
                    binds: binds.to_vec(),
                };
                let reported = decode_trap(&trap).unwrap().unwrap();
                assert_eq!(
                    (reported.group, reported.connection.keyword()),
                    (index, m["path"].as_str().unwrap())
                );
            }
            other => panic!("nothing reads {other:?}"),
        }
    }

    #[test]
    fn negative_powers_are_read_in_either_form() {
        for (n, dbm) in [(-300, -30.0), (65_236, -30.0), (25, 2.5), (0, 0.0)] {
            assert_eq!(decode_power(&Value::Integer(n), "x").unwrap().0, dbm);
        }
        // No power: handles report these as out of range.
        for (n, dbm) in [(65_536, 6_553.6), (-32_769, -3_276.9)] {
            assert_eq!(decode_power(&Value::Integer(n), "x").unwrap().0, dbm);
        }
        assert!(decode_power(&Value::text("x"), "x").unwrap().0.is_nan());
        assert_eq!(
            (
                LosEncoding::Signed.value(-300),
                LosEncoding::TwosComplement.value(-300)
            ),
            (Value::Integer(-300), Value::Integer(65_236))
        );
    }

    #[test]
    fn values_outside_the_mib_are_refused() {
        assert!(
            decode_connection(&Value::Integer(3)).is_err()
                && decode_request(&Value::Integer(7)).is_err()
        );
        assert_eq!(
            decode_channel_status(&Value::OctetString(Vec::new())),
            Ok(ChannelStatus::default())
        );
        assert!(command(&ExternalCommand::Force("x".into())).is_none());
    }
}
