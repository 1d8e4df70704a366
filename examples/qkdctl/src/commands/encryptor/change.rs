//! `qkdctl encryptor retire`, `zeroize` and `encryption`.

use crate::{
    commands::change::{SingleChange, State, check_ready},
    output::Output,
    roll,
    session::Session,
};
use qkd_hal::{
    Encryptor, Error, ErrorKind, KeyId, Operation, Result,
    encryptor::{ChannelId, ChannelState, ChannelStatus, FailureMode, Staged},
};

fn state(status: ChannelStatus) -> State<ChannelStatus> {
    State {
        text: format!("channel {}: {}", status.channel, roll::describe(&status)),
        value: status,
    }
}

async fn read(encryptor: &dyn Encryptor, channel: &ChannelId) -> Result<State<ChannelStatus>> {
    encryptor.channel(channel).await.map(state)
}

/// Deletes the key before the one that is named, which must protect traffic.
pub(super) async fn retire(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    (id, slot): (KeyId, Option<u8>),
    yes: bool,
) -> Result<u8> {
    let device = session.open_for(device, yes).await?;
    let encryptor = device.opened.as_encryptor()?;
    let channel = roll::channel(&*encryptor, Some(channel)).await?;
    let (descriptor, capabilities) = (encryptor.descriptor(), encryptor.capabilities());
    check_ready(descriptor, capabilities, Operation::Retire)?;
    check_ready(descriptor, capabilities, Operation::Confirm)?;
    let before = read(&*encryptor, &channel).await?;
    let staged = Staged::new(channel.clone(), id, slot, "named on the command line");
    let change = SingleChange {
        yes,
        command: "encryptor/retire",
        operation: Operation::Retire,
        target: format!("channel {channel}"),
        wanted: format!("delete the key before key {}", staged.key_id),
        warning: "The deleted key is no fallback any more.".to_owned(),
        is_already: false,
    };
    let call = async {
        // Keep the old key as fallback unless the new one protects traffic.
        let confirmation = encryptor.confirm(&staged).await?;
        if !confirmation.is_confirmed() {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!(
                    "key {} is not confirmed to protect traffic, so the key before it was kept: {}",
                    staged.key_id,
                    confirmation.evidence()
                ),
            )
            .with_device(descriptor.uri.as_str())
            .with_operation(Operation::Retire.name()));
        }
        encryptor.retire(&confirmation.confirmed()?).await
    };
    change
        .carry_out(session, output, &device, before, call, async |_| {
            read(&*encryptor, &channel).await
        })
        .await
}

/// Destroys all keys of a channel.
pub(super) async fn zeroize(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    yes: bool,
) -> Result<u8> {
    let device = session.open_for(device, yes).await?;
    let encryptor = device.opened.as_encryptor()?;
    let channel = roll::channel(&*encryptor, Some(channel)).await?;
    let before = read(&*encryptor, &channel).await?;
    let change = SingleChange {
        yes,
        command: "encryptor/zeroize",
        operation: Operation::Zeroize,
        target: format!("channel {channel}"),
        wanted: "destroy all keys of the channel".to_owned(),
        warning: without_key(before.value.failure_mode).to_owned(),
        is_already: false,
    };
    change
        .carry_out(
            session,
            output,
            &device,
            before,
            encryptor.zeroize(&channel),
            async |_| read(&*encryptor, &channel).await,
        )
        .await
}

/// Switches encryption of a channel on or off.
pub(super) async fn encryption(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    is_on: bool,
    yes: bool,
) -> Result<u8> {
    let device = session.open_for(device, yes).await?;
    let encryptor = device.opened.as_encryptor()?;
    let channel = roll::channel(&*encryptor, Some(channel)).await?;
    let before = read(&*encryptor, &channel).await?;
    let change = SingleChange {
        yes,
        command: "encryptor/encryption",
        operation: Operation::SetEncryption,
        target: format!("channel {channel}"),
        wanted: format!("switch encryption {}", if is_on { "on" } else { "off" }),
        warning: if is_on {
            "Traffic is interrupted until a key is agreed."
        } else {
            "TRAFFIC MAY PASS UNENCRYPTED while encryption is off."
        }
        .to_owned(),
        is_already: match before.value.state {
            ChannelState::Unknown => false,
            state => (state == ChannelState::Disabled) != is_on,
        },
    };
    change
        .carry_out(
            session,
            output,
            &device,
            before,
            encryptor.set_encryption(&channel, is_on),
            async |_| read(&*encryptor, &channel).await,
        )
        .await
}

/// What happens to traffic once the keys are gone.
fn without_key(mode: FailureMode) -> &'static str {
    match mode {
        FailureMode::Block => "Traffic stops until new keys are staged at both ends.",
        FailureMode::AllowClear => {
            "TRAFFIC MAY PASS UNENCRYPTED until new keys are staged at both ends."
        }
        _ => {
            "Traffic stops until new keys are staged at both ends, or passes unencrypted: \
             the failure mode of this device is not known."
        }
    }
}
