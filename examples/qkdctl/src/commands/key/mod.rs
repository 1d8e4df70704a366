//! The command `qkdctl key`.

mod control;

use super::{DRY_RUN, change::ChangeResult, secret_file};
use crate::{
    cli::KeyCommand,
    interrupt::Work,
    journal::Entry,
    key_transport,
    output::{self, Output},
    session::{Device, Session},
};
use control::Action;
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{
    Error, Key, Operation, QkdModule, Result, Support,
    qkd::{KeyRequest, KeyStore, ModuleStatus, Performance},
    reading::Measured,
    units::Bits,
};
use serde::Serialize;
use serde_json::json;

/// The bits for which room is reserved where a key has the store's default size.
const MAX_DEFAULT_BITS: u64 = 8192;

pub(crate) async fn run(session: &Session, output: Output, command: KeyCommand) -> Result<u8> {
    match command {
        KeyCommand::Status { device } => status(session, output, &device).await,
        KeyCommand::Start { device, wait, yes } => {
            let wait = wait.map(Into::into);
            control::run(session, output, &device, Action::Start, wait, yes).await
        }
        KeyCommand::Stop { device, wait, yes } => {
            let wait = wait.map(Into::into);
            control::run(session, output, &device, Action::Stop, wait, yes).await
        }
        KeyCommand::Calibrate { device, yes } => {
            control::run(session, output, &device, Action::Calibrate, None, yes).await
        }
        KeyCommand::Take {
            device,
            count,
            size,
            id,
            to,
            plain_http,
            yes,
        } => {
            let uri = session.inventory.resolve(&device)?;
            key_transport::check(&uri, plain_http)?;
            let device = session.open_for(&device, yes).await?;
            let module = device.opened.module()?;
            let what = if id.is_empty() {
                output::count(count, "new key", "new keys")
            } else {
                output::count(id.len(), "key by id", "keys by id")
            };
            if !yes {
                let report = json!({
                    "result": ChangeResult::DryRun, "device": device.uri, "wanted": what,
                });
                output::print(output, "key/take", &report, || {
                    format!("would take {what}; they leave the store\n{DRY_RUN}")
                })?;
                return Ok(0);
            }
            // The file and its room come first: a key that cannot be kept is not taken.
            let keys = usize::try_from(count).unwrap_or(usize::MAX).max(id.len());
            let room = secret_file::room(keys, size.unwrap_or(MAX_DEFAULT_BITS));
            let file = secret_file::create(&to, room)?;
            let guard = session.interrupt.begin(Work::Change)?;
            let taking = async {
                if id.is_empty() {
                    let request = KeyRequest::new(count);
                    module
                        .take_keys(&if let Some(size) = size {
                            request.with_size(Bits(size))
                        } else {
                            request
                        })
                        .await
                } else {
                    module.take_keys_by_id(&id).await
                }
            };
            let operation = if id.is_empty() {
                "take-keys"
            } else {
                "take-keys-by-id"
            };
            let keys = Entry::new(&device.uri, operation, &*what)
                .run_taking(taking)
                .await?;
            secret_file::finish_keys(file, &to, &keys).map_err(|e| void(&keys, e))?;
            print_taken(output, &device, &what, &keys, &to)?;
            module.close().await?;
            Ok(guard.exit_code(0))
        }
    }
}

/// Creates the error for keys that have left the store and were not written.
fn void(keys: &[Key], error: Error) -> Error {
    let ids = keys
        .iter()
        .map(|k| k.id().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let what = format!(
        "{}; the keys left the store and are void, and so are their twins at the peer: {ids}",
        error.message()
    );
    Error::new(error.kind(), what)
        .with_effect(error.effect())
        .with_source(error)
}

fn print_taken(
    output: Output,
    device: &Device,
    what: &str,
    keys: &[Key],
    to: &std::path::Path,
) -> Result<()> {
    let taken: Vec<_> = keys
        .iter()
        .map(|k| json!({"id": k.id(), "size_bits": k.size()}))
        .collect();
    let report = json!({
        "result": ChangeResult::Applied, "device": device.uri, "wanted": what, "keys": taken,
        "file": to,
    });
    output::print(output, "key/take", &report, || {
        let mut text: String = keys
            .iter()
            .map(|k| format!("{}  {}\n", k.id(), k.size()))
            .collect();
        text.push_str(&format!(
            "{} in {}, readable by you alone\n",
            output::count(keys.len(), "key is", "keys are"),
            to.display()
        ));
        text
    })
}

#[derive(Serialize)]
struct Status {
    status: Option<ModuleStatus>,
    performance: Option<Performance>,
    key_store: Option<KeyStore>,
}

async fn read(module: &dyn QkdModule) -> Result<Status> {
    let has = |op| module.capabilities().supports(op) != Support::Unsupported;
    Ok(Status {
        status: if has(Operation::ModuleStatus) {
            Some(module.status().await?)
        } else {
            None
        },
        performance: if has(Operation::Performance) {
            Some(module.performance().await?)
        } else {
            None
        },
        key_store: if has(Operation::KeyStore) {
            Some(module.key_store().await?)
        } else {
            None
        },
    })
}

/// The state of a module, with the device's own word for it.
fn state_text(status: &ModuleStatus) -> String {
    let vendor = status
        .vendor_state
        .as_ref()
        .map_or_else(String::new, |w| format!(" (the device says `{w}`)"));
    format!("{}{vendor}", output::serde_name(status.state))
}

fn shown<T: std::fmt::Display>(
    name: &'static str,
    value: &Option<Measured<T>>,
) -> Option<(&'static str, String)> {
    value
        .as_ref()
        .map(|m| (name, format!("{}{}", m.value, output::mark(m.quality))))
}

async fn status(session: &Session, output: Output, device: &str) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let module = device.opened.module()?;
    let all = read(&*module).await?;
    output::print(output, "key/status", &all, || {
        let mut rows: Vec<(&str, String)> = Vec::new();
        if let Some(s) = &all.status {
            rows.push(("state", state_text(s)));
            rows.push(("role", output::serde_name(s.role)));
            rows.extend(s.peer.clone().map(|p| ("peer", p)));
            rows.extend(s.pairing_group.clone().map(|p| ("pairing group", p)));
        }
        if let Some(p) = &all.performance {
            rows.extend(shown("secret key rate", &p.secret_key_rate));
            rows.extend(shown("QBER", &p.qber));
            rows.extend(shown("excess noise", &p.excess_noise));
            rows.extend(shown("visibility", &p.visibility));
            rows.extend(shown("last block", &p.last_block));
        }
        if let Some(k) = &all.key_store {
            let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
            rows.push((
                "keys stored",
                format!("{} of {}", number(k.stored), number(k.capacity)),
            ));
            rows.extend(k.key_size.map(|s| {
                (
                    "key size",
                    format!(
                        "{s} (from {} to {})",
                        k.min_key_size.unwrap_or(s),
                        k.max_key_size.unwrap_or(s)
                    ),
                )
            }));
            rows.extend(
                k.max_per_request
                    .map(|n| ("keys per request", n.to_string())),
            );
        }
        output::pairs(&rows)
    })?;
    module.close().await?;
    Ok(0)
}
