//! `rust-014-client KME-A KME-B CA CERT KEY SLAVE-CERT SLAVE-KEY MASTER SLAVE`: keys and their
//! twins by the crate `etsi014`.

use etsi014::{ApiErrorKind, Endpoint, KeyId, KeyIdRequest, KeyRequest};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, ca, cert, key, slave_cert, slave_key, master, slave] = arguments.as_slice() else {
        return Err("nine arguments, please".into());
    };
    let alice = Endpoint::builder(format!("https://{a}"))
        .root_ca_file(ca)
        .identity_files(cert, key)
        .build()?;
    let bob = Endpoint::builder(format!("https://{b}"))
        .root_ca_file(ca)
        .identity_files(slave_cert, slave_key)
        .build()?;

    let status = alice.status(slave).await?;
    assert_eq!(
        (&status.master_SAE_ID, &status.slave_SAE_ID, status.key_size),
        (master, slave, 256)
    );
    let taken = alice
        .get_key(slave, &KeyRequest::new(Some(3), Some(512)))
        .await?
        .keys;
    assert_eq!(taken.len(), 3);
    let ids = || {
        KeyIdRequest::new(
            taken
                .iter()
                .map(|k| KeyId {
                    key_ID: k.key_ID.clone(),
                })
                .collect(),
        )
    };
    let twins = bob.get_key_with_id(master, &ids()).await?.keys;
    let pairs = |keys: &[etsi014::QKDKey]| {
        keys.iter()
            .map(|k| (k.key_ID.clone(), k.key.to_string()))
            .collect::<Vec<_>>()
    };
    assert!(pairs(&twins) == pairs(&taken), "the twins differ");

    let again = bob
        .get_key_with_id(master, &ids())
        .await
        .err()
        .ok_or("keys came twice")?;
    assert!(
        matches!(again.kind(), Some(ApiErrorKind::KeysNotFound)),
        "{again}"
    );
    let odd = alice
        .get_key(slave, &KeyRequest::new(Some(1), Some(257)))
        .await
        .err()
        .ok_or(
            "257 \
        bits were given",
        )?;
    assert_eq!(odd.status().map(|s| s.as_u16()), Some(400), "{odd}");
    Ok(())
}
