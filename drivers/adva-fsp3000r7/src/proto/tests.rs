use super::*;
use proptest::prelude::*;

#[test]
fn values_outside_the_mib_are_refused() {
    assert_eq!(
        decode_password_result(&Value::Integer(8)),
        Err(ProtoError::Enumeration {
            object: "cryptoOfficerPasswordError",
            value: 8
        })
    );
    assert_eq!(decode_elapsed(&Value::Integer(i32::MIN)), Ok(None));
    assert!(decode_elapsed(&Value::Integer(-1)).is_err());
    assert_eq!(decode_count(&Value::Gauge32(u32::MAX), "x"), Ok(None));
    assert_eq!(decode_choice(&Value::Integer(0), "x"), Ok(None));
    assert!(decode_choice(&Value::Integer(3), "x").is_err());
    assert_eq!(
        decode_rows(&[(vec![1, 2], Value::Integer(1))]),
        Err(ProtoError::Index)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
