//! `qkdctl encryptor retire`, `zeroize` and `encryption`.

use super::staged_key;
use crate::{
    cli::StagedKey,
    commands::change::{SingleChange, State, Target, check_ready},
};
use qkd_hal::{
    Encryptor, Error, ErrorKind, Operation, Result,
    encryptor::{ChannelId, ChannelState, ChannelStatus, FailureMode},
};
use qkd_keyflow::{describe, find_channel};
use std::sync::Arc;

fn state(status: ChannelStatus) -> State<ChannelStatus> {
    State {
        text: format!("channel {}: {}", status.channel, describe(&status)),
        value: status,
    }
}

/// A channel of an encryptor that is opened for one change.
pub(super) struct Channel<'a> {
    target: Target<'a>,
    encryptor: Arc<dyn Encryptor>,
    id: ChannelId,
}

impl<'a> Channel<'a> {
    pub(super) async fn open(target: Target<'a>, name: &str) -> Result<Self> {
        let encryptor = target.device.opened.encryptor()?;
        let id = find_channel(&*encryptor, Some(name)).await?;
        Ok(Self {
            target,
            encryptor,
            id,
        })
    }

    async fn read(&self) -> Result<State<ChannelStatus>> {
        self.encryptor.channel(&self.id).await.map(state)
    }

    async fn make(
        &self,
        change: SingleChange,
        before: State<ChannelStatus>,
        call: impl Future<Output = Result<()>>,
    ) -> Result<u8> {
        change
            .with_concerns(format!("channel {}", self.id))
            .make(&self.target, before, call, async || self.read().await)
            .await
    }
}

/// Deletes the key before the one that is named, which must protect traffic.
pub(super) async fn retire(channel: Channel<'_>, key: &StagedKey) -> Result<u8> {
    let encryptor = &channel.encryptor;
    let (descriptor, capabilities) = (encryptor.descriptor(), encryptor.capabilities());
    check_ready(descriptor, capabilities, Operation::Retire)?;
    check_ready(descriptor, capabilities, Operation::Confirm)?;
    let before = channel.read().await?;
    let staged = staged_key(&channel.id, key)?;
    let wanted = format!("delete the key before key {}", staged.key_id);
    let change = SingleChange::new("encryptor/retire", Operation::Retire, wanted)
        .with_warning("The deleted key can no longer serve as fallback.");
    let call = async {
        // Keep the old key as fallback unless the new one protects traffic.
        let longest = encryptor.encryptor_capabilities().confirm_timeout;
        let confirmation = encryptor.confirm(&staged, longest).await?;
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
    channel.make(change, before, call).await
}

/// Destroys all keys of a channel.
pub(super) async fn zeroize(channel: Channel<'_>) -> Result<u8> {
    let before = channel.read().await?;
    let wanted = "destroy all keys of the channel".to_owned();
    let change = SingleChange::new("encryptor/zeroize", Operation::Zeroize, wanted)
        .with_warning(without_key(before.value.failure_mode));
    let call = channel.encryptor.zeroize(&channel.id);
    channel.make(change, before, call).await
}

/// Switches encryption of a channel on or off.
pub(super) async fn encryption(channel: Channel<'_>, is_on: bool) -> Result<u8> {
    let before = channel.read().await?;
    let (word, warning) = if is_on {
        ("on", "Traffic is interrupted until a key is agreed.")
    } else {
        (
            "off",
            "TRAFFIC MAY PASS UNENCRYPTED while encryption is off.",
        )
    };
    let is_already = match before.value.state {
        ChannelState::Unknown => false,
        state => (state == ChannelState::Disabled) != is_on,
    };
    let wanted = format!("switch encryption {word}");
    let change = SingleChange::new("encryptor/encryption", Operation::SetEncryption, wanted)
        .with_warning(warning)
        .with_already(is_already);
    let call = channel.encryptor.set_encryption(&channel.id, is_on);
    channel.make(change, before, call).await
}

/// Returns the effect on traffic after the keys are destroyed.
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
