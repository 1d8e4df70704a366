//! The command `qkdctl random`.

use super::secret_file;
use crate::{
    output::{self, Output},
    progress::Progress,
    session::Session,
};
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{Effect, Result};
use serde_json::json;
use std::path::Path;
use zeroize::Zeroizing;

pub(crate) async fn run(
    session: &Session,
    output: Output,
    device: &str,
    bytes: usize,
    to: Option<&Path>,
) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let source = device.opened.random()?;
    let file = to
        .map(|path| Ok::<_, qkd_hal::Error>((secret_file::create(path, bytes)?, path)))
        .transpose()?;
    let most = source.random_capabilities().max_request.max(1);
    let mut all = Zeroizing::new(Vec::with_capacity(bytes.max(1)));
    let progress = Progress::bytes(output, bytes);
    loop {
        let part = source
            .random((bytes - all.len()).min(most))
            .await
            // Lost bytes exist nowhere else: the device delivers others.
            .map_err(|error| error.with_effect(Effect::None))?;
        all.extend_from_slice(&part);
        progress.at(all.len());
        if all.len() >= bytes {
            break;
        }
    }
    drop(progress);
    if let Some((file, path)) = file {
        secret_file::finish(file, path, &all)?;
    }
    let ones: u64 = all.iter().map(|b| u64::from(b.count_ones())).sum();
    #[expect(clippy::cast_precision_loss, reason = "a share to show")]
    let share = ones as f64 / (all.len() as f64 * 8.0);
    output::print(
        output,
        "random",
        &json!({"device": device.uri, "size_bytes": all.len(), "ones_ratio": share, "file": to}),
        || {
            let place = to.map_or_else(
                || "and forgotten; --to FILE keeps them".to_owned(),
                |p| format!("into {}, readable by you alone", p.display()),
            );
            format!(
                "{} random bytes read {place}; {:.2} % of the bits are ones",
                all.len(),
                share * 100.0
            )
        },
    )?;
    source.close().await?;
    Ok(0)
}
