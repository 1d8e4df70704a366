//! Power monitors of the switch.

use super::proto::{self, Edge, oid};
use crate::interface::{averaging, averaging_code};
use qkd_driver_kit::link::{
    snmp::{Oid, SetRequest, Value},
    snmp_client::{self, SnmpCall, integer, to_integer_steps},
};
use qkd_hal::{
    Error, Operation, Result,
    units::{DecibelMilliwatts, Nanometres},
};
use qkd_switch_hal::{AlarmLevels, MonitorSetting, MonitorStatus, Port};

/// Maximum number of names of one PDU: about 1 KiB, below every path's MTU.
const NAMES: usize = 32;

/// Values of names, in as many PDUs as they need.
pub(super) async fn get(call: &SnmpCall<'_>, names: &[Oid]) -> Result<Vec<Value>> {
    let mut all = Vec::with_capacity(names.len());
    for part in names.chunks(NAMES) {
        all.extend(call.get(part).await?);
    }
    Ok(all)
}

/// A monitor: what it measures and what it watches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauge {
    pub(super) power: DecibelMilliwatts,
    pub(super) alarms: AlarmLevels,
    /// Whether the alarm is enabled.
    pub(super) on: bool,
}

fn power(value: &Value, scale: f64) -> Result<DecibelMilliwatts> {
    #[allow(clippy::cast_precision_loss, reason = "32 bits")]
    Ok(snmp_client::power(value, "polatisOpmPower", |n| {
        n as f64 * scale
    })?)
}

/// The alarm of a monitor, from its edge, low and high threshold and mode.
fn alarms(values: &[Value]) -> Result<(AlarmLevels, bool)> {
    let (edge, on) = (
        proto::decode_edge(&values[0])?,
        proto::decode_alarm_on(&values[3])?,
    );
    let (low, high) = (
        proto::decode_milli(&values[1], "polatisOpmAlarmLowThresh")?,
        proto::decode_milli(&values[2], "polatisOpmAlarmHighThresh")?,
    );
    let level = |watched: bool, dbm| (on && watched).then_some(DecibelMilliwatts(dbm));
    Ok((
        AlarmLevels {
            low: level(edge != Edge::High, low),
            high: level(edge != Edge::Low, high),
        },
        on,
    ))
}

const ALARM: [&[u32]; 4] = [
    oid::ALARM_EDGE,
    oid::ALARM_LOW,
    oid::ALARM_HIGH,
    oid::ALARM_MODE,
];

/// Reads the powers and alarm settings of monitors.
pub(super) async fn gauges(call: &SnmpCall<'_>, ports: &[u32], scale: f64) -> Result<Vec<Gauge>> {
    let of = |port: &u32| {
        [oid::POWER]
            .into_iter()
            .chain(ALARM)
            .map(|column| oid::of(column, *port))
            .collect::<Vec<_>>()
    };
    let values = get(call, &ports.iter().flat_map(of).collect::<Vec<_>>()).await?;
    let gauge = |row: &[Value]| {
        let (alarms, on) = alarms(&row[1..])?;
        Ok(Gauge {
            power: power(&row[0], scale)?,
            alarms,
            on,
        })
    };
    values.chunks(1 + ALARM.len()).map(gauge).collect()
}

/// The power at ports.
pub(super) async fn powers(
    call: &SnmpCall<'_>,
    ports: &[Port],
    scale: f64,
) -> Result<Vec<DecibelMilliwatts>> {
    let names: Vec<Oid> = ports.iter().map(|p| oid::of(oid::POWER, p.0)).collect();
    get(call, &names)
        .await?
        .iter()
        .map(|v| power(v, scale))
        .collect()
}

/// Reads the settings of a monitor. No object reports the state of its alarm.
pub(super) async fn status(call: &SnmpCall<'_>, port: Port) -> Result<MonitorStatus> {
    let names: Vec<Oid> = [oid::OPM_WAVELENGTH, oid::OPM_ATIME]
        .into_iter()
        .chain(ALARM)
        .map(|column| oid::of(column, port.0))
        .collect();
    let values = call.get(&names).await?;
    let mut status = MonitorStatus::new(port);
    status.wavelength = Some(Nanometres(proto::decode_milli(
        &values[0],
        "polatisOpmWavelength",
    )?));
    let code = integer(&values[1], "polatisOpmAtime")?;
    status.averaging = Some(averaging(code).ok_or(proto::SnmpDecodeError::Enumeration {
        object: "polatisOpmAtime",
        value: code,
    })?);
    status.alarms = alarms(&values[2..])?.0;
    Ok(status)
}

/// Sets a monitor, all of it in one PDU.
pub(super) async fn set(call: &SnmpCall<'_>, port: Port, change: &MonitorSetting) -> Result<()> {
    let object = |column| oid::of(column, port.0);
    let milli = |dbm: DecibelMilliwatts| {
        Ok::<_, Error>(Value::Integer(to_integer_steps(dbm.0, 0.001, "dBm")?))
    };
    let request = match change {
        MonitorSetting::Wavelength(nm) => SetRequest::new().with(
            object(oid::OPM_WAVELENGTH),
            Value::Gauge32(to_integer_steps(nm.0, 0.001, "nm")?.unsigned_abs()),
        ),
        MonitorSetting::Averaging(time) => SetRequest::new().with(
            object(oid::OPM_ATIME),
            Value::Gauge32(averaging_code(*time)?.into()),
        ),
        MonitorSetting::Alarms(AlarmLevels { low, high }) => {
            let mut request = SetRequest::new();
            for (column, level) in [(oid::ALARM_LOW, low), (oid::ALARM_HIGH, high)] {
                if let Some(dbm) = level {
                    request = request.with(object(column), milli(*dbm)?);
                }
            }
            let edge = match (low, high) {
                (Some(_), Some(_)) => Some(Edge::Both),
                (Some(_), None) => Some(Edge::Low),
                (None, Some(_)) => Some(Edge::High),
                (None, None) => None,
            };
            if let Some(edge) = edge {
                request = request.with(object(oid::ALARM_EDGE), Value::Integer(edge as i32));
            }
            request.with(
                object(oid::ALARM_MODE),
                Value::Integer(if edge.is_some() { 3 } else { 1 }),
            )
        }
        other => {
            return Err(Error::unsupported(
                Operation::SetMonitor.name(),
                format!("there is no object for this setting: {other}"),
            ));
        }
    };
    call.set(Operation::SetMonitor.name(), request).await
}
