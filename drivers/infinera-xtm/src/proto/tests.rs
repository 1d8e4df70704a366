use super::*;
use proptest::prelude::*;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_peer_status(&Value::Integer(4)).is_err());
    assert_eq!(
        decode_peer_status(&Value::Integer(i32::MAX)),
        Ok(PeerStatus::NotApplicable)
    );
    assert_eq!(decode_fault(&Value::NoSuchInstance, "x"), Ok(false));
    assert!(decode_fault(&Value::Integer(3), "x").is_err());
    assert_eq!(decode_peer_number(&Value::Integer(16)), Ok(Some(16)));
    assert_eq!(decode_peer_number(&Value::Integer(i32::MAX)), Ok(None));
    for wrong in [17, 256, -1] {
        assert!(
            decode_peer_number(&Value::Integer(wrong)).is_err(),
            "{wrong}"
        );
    }
    let walk = vec![(vec![1, 2], Value::Integer(1))];
    assert_eq!(decode_rows(walk), Err(ProtoError::Index));
}

#[test]
fn places_are_the_last_three_parts_of_a_name() {
    let place = Place::parse("ikePeer:1:12:3").unwrap();
    assert_eq!((place.subrack, place.slot, place.item), (1, 12, 3));
    assert!(place.is_on_board_of(Place::parse("dpEncr:1:12:9").unwrap()));
    assert!(!place.is_on_board_of(Place::parse("dpEncr:1:11:3").unwrap()));
    for wrong in [
        "",
        "ikePeer",
        "ikePeer:1:2",
        "ikePeer:1:2:3:4",
        "a:b:c:d",
        "a:1:2:70000",
    ] {
        assert_eq!(Place::parse(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
