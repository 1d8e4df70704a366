use super::*;
use proptest::prelude::*;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_profile_mode(&Value::Integer(4)).is_err());
    assert!(decode_admin_state(&Value::Integer(7)).is_err());
    assert!(decode_operational_state(&Value::Integer(0)).is_err());
    assert!(decode_in_use(&Value::NoSuchInstance).is_err());
    let walk = [(vec![1], Value::Integer(1))];
    assert_eq!(decode_flows(&walk), Err(ProtoError::Index));
}

#[test]
fn a_pointer_names_an_instance_in_the_row_of_a_profile() {
    let pointer = |ids: &[u32]| decode_profile(&Value::ObjectId(Oid::from(ids)));
    let row = |rest: &[u32]| [oid::PROFILE, rest].concat();
    assert_eq!(pointer(&row(&[1, 7])), Ok(Some(7)));
    assert_eq!(pointer(&[0, 0]), Ok(None));
    assert_eq!(decode_profile(&Value::NoSuchInstance), Ok(None));
    for wrong in [row(&[7]), row(&[1, 7, 7]), vec![1, 3, 6, 1]] {
        assert_eq!(pointer(&wrong), Err(ProtoError::Index));
    }
    assert!(decode_profile(&Value::Integer(7)).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
