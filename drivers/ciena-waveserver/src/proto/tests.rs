use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
use qkd_hal::event::Severity;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_authentication(&Value::Integer(3)).is_err());
    assert!(decode_feature(&Value::NoSuchInstance).is_err());
    for hours in [0, 25, u32::MAX] {
        assert!(decode_period(&Value::Gauge32(hours)).is_err(), "{hours}");
    }
    assert_eq!(decode_port_state(&Value::Integer(-1)), Ok(Some("unknown")));
    let walk = [(vec![48], Value::Integer(1))];
    assert_eq!(decode_rows(&walk), Err(ProtoError::Index));
}

#[test]
fn severities_are_those_of_the_mib() {
    let alarm = |severity: i32, active: i32| {
        let name = |column| Oid::from(oid::ALARM).child(&[column, 0]);
        let notification = Notification {
            trap: Oid::from(oid::ALARM),
            uptime: 1,
            binds: vec![
                VarBind::new(name(oid::ALARM_SEVERITY), Value::Integer(severity)),
                VarBind::new(name(oid::ALARM_ACTIVE), Value::Integer(active)),
                VarBind::new(name(oid::ALARM_DESCRIPTION), Value::text("Auth failed")),
            ],
        };
        decode_trap(&notification).map(|alarm| alarm.unwrap().severity)
    };
    assert_eq!(alarm(3, 1), Ok(Severity::Critical));
    assert_eq!(alarm(3, 2), Ok(Severity::Cleared));
    assert_eq!(alarm(6, 3), Ok(Severity::Warning));
    for absent in [2, 7, 9] {
        assert!(alarm(absent, 1).is_err(), "{absent}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
