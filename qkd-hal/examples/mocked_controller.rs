//! A small controller and its unit test against a mock: `cargo run -p qkd-hal --features mock
//! --example mocked_controller`.

use futures::executor::block_on;
use qkd_hal::{
    Error, ErrorKind, Key, KeyId, QkdModule, Result,
    mock::MockQkdModule,
    qkd::{KeyRequest, KeyStore},
    units::Bits,
};
use zeroize::Zeroizing;

/// Takes one key, but leaves a floor of ten in the store.
async fn take_key_above_minimum(module: &dyn QkdModule) -> Result<Key> {
    let stored = module.key_store().await?.stored.unwrap_or(0);
    if stored <= 10 {
        return Err(Error::new(
            ErrorKind::Exhausted,
            format!("only {stored} keys are left; the floor is 10"),
        ));
    }
    let mut keys = module
        .take_keys(&KeyRequest::new(1).with_size(Bits(256)))
        .await?;
    keys.pop()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "no key came"))
}

fn main() {
    let mut module = MockQkdModule::new();
    module
        .expect_key_store()
        .times(1)
        .returning(|| Ok(KeyStore::default().with_stored(11, 100)));
    module.expect_take_keys().times(1).returning(|request| {
        assert_eq!(request.size, Some(Bits(256)));
        let id = KeyId::from_bytes(&[7; 16]).ok_or_else(|| Error::invalid("id"))?;
        Ok(vec![Key::new(id, Zeroizing::new(vec![0x5a; 32]))])
    });
    let key = block_on(take_key_above_minimum(&module)).expect("eleven keys are above the floor");
    println!("took {key:?}");

    let mut module = MockQkdModule::new();
    module
        .expect_key_store()
        .returning(|| Ok(KeyStore::default().with_stored(10, 100)));
    module.expect_take_keys().never();
    let error = block_on(take_key_above_minimum(&module)).expect_err("ten keys are the floor");
    println!("refused: {error}");
}
