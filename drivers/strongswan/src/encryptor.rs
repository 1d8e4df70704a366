//! The connection as an `Encryptor` with one channel.

use crate::{
    daemon::{Association, Call},
    device::StrongSwan,
    proto::Element,
};
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind, Key, KeyId, Operation, Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities,
        FailureMode, Slot, Staged, TrafficCounters,
    },
    text::printable,
};
use std::time::Duration;
use tokio::time::Instant;

/// Interval at which the associations are polled for the new one.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time that is left to a call after the daemon's own time for an exchange with the other end.
const MARGIN: Duration = Duration::from_millis(500);
/// Of a baseline: numbers of the associations when the key was staged.
const ASSOCIATIONS_BEFORE: &str = "associations";

/// Result of a search for the association of a staged key.
enum Found {
    /// This one protects traffic with the key; how it is known.
    Up(u64, String),
    /// None does; why.
    None(String),
}

/// Steps of a call that deletes: an error after the first one has an effect.
#[derive(Default)]
struct Progress {
    steps: usize,
}

impl Progress {
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        let result = result.map_err(|e| match self.steps {
            0 => e,
            _ => e.with_progress("other keys or associations were deleted before"),
        });
        self.steps += 1;
        result
    }
}

impl StrongSwan {
    fn check_channel(&self, channel: &ChannelId) -> Result<()> {
        if channel.0 == self.connection.name {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no channel `{}`; the connection of this device is `{}`",
                printable(&channel.0, 60),
                self.connection.name
            ),
        ))
    }

    fn is_own(&self, name: &str) -> bool {
        name == self.connection.name || self.connection.ppk_id_of(name).is_some()
    }

    /// Associations of the channel.
    async fn associations(&self, call: &Call<'_>) -> Result<Vec<Association>> {
        let mut all = call.associations().await?;
        all.retain(|one| self.is_own(&one.name));
        Ok(all)
    }

    /// Ids of the keys that the daemon holds for the channel, in the order of their text.
    async fn ppk_ids(&self, call: &Call<'_>) -> Result<Vec<String>> {
        let secrets = call.secrets().await?;
        let ids = secrets
            .iter()
            .filter_map(|name| self.connection.ppk_id_of(name));
        let mut ids: Vec<String> = ids.map(str::to_owned).collect();
        ids.sort();
        Ok(ids)
    }

    /// Returns the id of the key with which the channel sends: that of the newest association. An
    /// association that the other end has initiated does not name its key; then it is known if
    /// the daemon holds one key only.
    fn active_id<'a>(&self, associations: &'a [Association], ids: &'a [String]) -> Option<&'a str> {
        let newest = associations.iter().filter(|one| one.is_up());
        let newest = newest.max_by_key(|one| one.id)?;
        match (self.connection.ppk_id_of(&newest.name), ids) {
            (Some(id), _) => Some(id),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Searches the association of a staged key.
    fn find(&self, staged: &Staged, associations: &[Association], ids: &[String]) -> Found {
        let id = staged.key_id.to_string();
        if !ids.contains(&id) {
            return Found::None(format!("the daemon holds no key {id}"));
        }
        let own_name = self.connection.name_with(&id);
        if let Some(one) = associations
            .iter()
            .find(|one| one.name == own_name && one.is_up())
        {
            let evidence = format!("association {} uses PPK {id}, which this end named", one.id);
            return Found::Up(one.id, evidence);
        }
        let before: Option<Vec<&str>> = staged
            .baseline
            .get(ASSOCIATIONS_BEFORE)
            .map(|text| text.split(' ').collect());
        let is_new = |one: &Association| match &before {
            Some(before) => !before.contains(&one.id.to_string().as_str()),
            // Without a baseline, the key is known only if there is no other one.
            None => ids.len() == 1,
        };
        let candidates = associations
            .iter()
            .filter(|one| one.name == self.connection.name && one.is_up() && is_new(one));
        match candidates.max_by_key(|one| one.id) {
            Some(one) => Found::Up(
                one.id,
                format!(
                    "the other end has established association {} with a PPK since the key was \
                     staged",
                    one.id
                ),
            ),
            None => Found::None(format!(
                "no association with PPK {id} is established: activate the key at one end"
            )),
        }
    }

    /// Ends an association. One that has ended meanwhile is not an error.
    async fn terminate(&self, call: &Call<'_>, id: u64) -> Result<()> {
        let id = id.to_string();
        let timeout = call.left().saturating_sub(MARGIN).as_millis().to_string();
        let message = [
            Element::Value("ike-id", id.as_bytes()),
            Element::Value("timeout", timeout.as_bytes()),
        ];
        match call.change("terminate", &message).await {
            Err(e) if e.kind() == ErrorKind::Refused => {
                let still = call.associations().await;
                let still = still.map_err(|e| e.with_effect(Effect::Unknown))?;
                if still.iter().any(|one| one.id.to_string() == id) {
                    // The daemon may be deleting it still.
                    return Err(e.with_effect(Effect::Unknown));
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Unloads the connections of single keys, which an interrupted activation left: each answers
    /// the other end with its own key only.
    async fn unload_connections(&self, call: &Call<'_>) -> Result<()> {
        for name in call.connections().await? {
            if self.connection.ppk_id_of(&name).is_some() {
                self.unload_connection(call, &name).await?;
            }
        }
        Ok(())
    }

    async fn unload_connection(&self, call: &Call<'_>, name: &str) -> Result<()> {
        let message = [Element::Value("name", name.as_bytes())];
        call.change("unload-conn", &message).await
    }

    async fn unload(&self, call: &Call<'_>, ppk_id: &str) -> Result<()> {
        let name = self.connection.name_with(ppk_id);
        let message = [Element::Value("id", name.as_bytes())];
        call.change("unload-shared", &message).await
    }

    /// Initiates an association with the key of this id, for all children.
    async fn initiate(&self, call: &Call<'_>, name: &str) -> Result<()> {
        for child in &self.connection.children {
            let timeout = call.left().saturating_sub(MARGIN).as_millis().to_string();
            let message = [
                Element::Value("ike", name.as_bytes()),
                Element::Value("child", child.as_bytes()),
                Element::Value("timeout", timeout.as_bytes()),
            ];
            call.change("initiate", &message).await?;
        }
        Ok(())
    }

    /// Ends associations that a failed initiation left.
    async fn clean_up(&self, call: &Call<'_>, name: &str) -> Result<()> {
        for one in call.associations().await? {
            if one.name == name {
                self.terminate(call, one.id).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Encryptor for StrongSwan {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        // The daemon must answer, although the name is known.
        self.daemon.call(Operation::Channels).connections().await?;
        Ok(vec![ChannelId(self.connection.name.clone())])
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        self.check_channel(channel)?;
        let call = self.daemon.call(Operation::Channel);
        let associations = self.associations(&call).await?;
        let ids = self.ppk_ids(&call).await?;
        let newest = associations.iter().max_by_key(|one| one.id);
        let (state, word) = match (associations.iter().find(|one| one.is_up()), newest) {
            (Some(_), _) => (ChannelState::Encrypting, "ESTABLISHED with PPK".to_owned()),
            (None, Some(one)) if one.state == "CONNECTING" => {
                (ChannelState::Exchanging, one.state.clone())
            }
            (None, Some(one)) if !one.has_ppk => {
                (ChannelState::Failed, format!("{} without PPK", one.state))
            }
            (None, Some(one)) => (
                ChannelState::Exchanging,
                format!("{} without installed child", one.state),
            ),
            (None, None) => (ChannelState::Initialising, "no association".to_owned()),
        };
        let active = self.active_id(&associations, &ids);
        let slots = ids.iter().zip(1_u8..).map(|(id, number)| {
            Slot::new(
                number,
                id.parse::<KeyId>().ok(),
                active == Some(id.as_str()),
            )
        });
        let mut status = ChannelStatus::new(channel.clone(), state)
            .with_vendor_state(printable(&word, 60))
            .with_slots(slots.collect())
            .with_failure_mode(FailureMode::Unknown);
        let children = associations.iter().flat_map(|one| &one.children);
        if let Some(cipher) = children
            .filter(|c| c.is_installed)
            .find_map(|c| c.cipher.as_ref())
        {
            status = status.with_cipher(printable(cipher, 40));
        }
        Ok(status)
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.check_channel(channel)?;
        let call = self.daemon.call(Operation::Stage);
        let _turn = self.turns.lock(Instant::now() + call.left()).await?;
        let id = key.id().to_string();
        let name = self.connection.name_with(&id);
        if name.len() > usize::from(u8::MAX) {
            return Err(Error::invalid(format!(
                "the name of the connection and the key id `{id}` are too long together"
            )));
        }
        let before: Vec<String> = self
            .associations(&call)
            .await?
            .iter()
            .map(|one| one.id.to_string())
            .collect();
        // The other end may initiate: this end must know the connection, without a PPK id, which
        // would allow that one only. Loading it again changes nothing for associations that exist.
        let message = self.connection.load(&self.connection.name, None);
        call.change("load-conn", &message).await?;
        let loaded = |e: Error| e.with_progress("the connection was loaded, the key was not");
        self.unload_connections(&call).await.map_err(loaded)?;
        let message = [
            Element::Value("id", name.as_bytes()),
            Element::Value("type", b"ppk"),
            Element::Value("data", key.expose()),
            Element::List("owners", vec![id.as_bytes()]),
        ];
        let sent = call.change_secret("load-shared", &message).await;
        sent.map_err(loaded)?;
        let held = self.ppk_ids(&call).await;
        if !held
            .map_err(|e| e.with_effect(Effect::Unknown))?
            .contains(&id)
        {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ChangeNotApplied,
                "the daemon accepted the key and does not list it",
            )
            .with_effect(Effect::Unknown));
        }
        let baseline = (ASSOCIATIONS_BEFORE.to_owned(), before.join(" "));
        let evidence = format!("the daemon lists the PPK {id}");
        Ok(
            Staged::new(channel.clone(), key.id().clone(), None, evidence)
                .with_baseline([baseline].into()),
        )
    }

    /// Establishes an association with the staged key, in addition to the one in use.
    async fn activate(&self, staged: &Staged) -> Result<()> {
        self.check_channel(&staged.channel)?;
        let call = self.daemon.call(Operation::Activate);
        let _turn = self.turns.lock(Instant::now() + call.left()).await?;
        let id = staged.key_id.to_string();
        if !self.ppk_ids(&call).await?.contains(&id) {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!("the daemon holds no key {id}: stage it first"),
            ));
        }
        let name = self.connection.name_with(&id);
        let associations = self.associations(&call).await?;
        if associations
            .iter()
            .any(|one| one.name == name && one.is_up())
        {
            return self.unload_connections(&call).await;
        }
        let message = self.connection.load(&name, Some(&id));
        call.change("load-conn", &message).await?;
        let initiated = self.initiate(&call, &name).await;
        // The association keeps its settings. A connection that stays would answer the other end
        // with this key only. What fails here is done with the time of another call.
        let after = self.daemon.call(Operation::Activate);
        let unloaded = self.unload_connection(&after, &name).await;
        if let Err(error) = initiated {
            let cleaned = self.clean_up(&after, &name).await;
            let effect = match (&cleaned, &unloaded) {
                (Ok(()), Ok(())) if error.effect() == Effect::None => Effect::None,
                _ => Effect::Unknown,
            };
            return Err(error.with_effect(effect));
        }
        unloaded.map_err(|e| e.with_effect(Effect::Partial))
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        self.check_channel(&staged.channel)?;
        let end = Instant::now() + longest;
        loop {
            let call = self.daemon.call(Operation::Confirm);
            let associations = self.associations(&call).await?;
            let ids = self.ppk_ids(&call).await?;
            match self.find(staged, &associations, &ids) {
                Found::Up(_, evidence) => return Ok(Confirmation::new(staged, true, evidence)),
                Found::None(why) if Instant::now() >= end => {
                    return Ok(Confirmation::new(staged, false, why));
                }
                Found::None(_) => {}
            }
            tokio::time::sleep_until((Instant::now() + POLL_INTERVAL).min(end)).await;
        }
    }

    /// Ends the associations before the one of this key, and unloads all other keys.
    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let staged = confirmed.staged();
        self.check_channel(&staged.channel)?;
        let call = self.daemon.call(Operation::Retire);
        let _turn = self.turns.lock(Instant::now() + call.left()).await?;
        let associations = self.associations(&call).await?;
        let ids = self.ppk_ids(&call).await?;
        let current = match self.find(staged, &associations, &ids) {
            Found::Up(current, _) => current,
            Found::None(why) => {
                return Err(Error::new(
                    ErrorKind::NotReady,
                    format!("the key before is still needed: {why}"),
                ));
            }
        };
        self.counts.update(&associations);
        let mut progress = Progress::default();
        for one in associations.iter().filter(|one| one.id != current) {
            progress.note(self.terminate(&call, one.id).await)?;
        }
        let id = staged.key_id.to_string();
        for other in ids.iter().filter(|other| **other != id) {
            progress.note(self.unload(&call, other).await)?;
        }
        Ok(())
    }

    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        self.check_channel(channel)?;
        let call = self.daemon.call(Operation::Zeroize);
        let _turn = self.turns.lock(Instant::now() + call.left()).await?;
        let mut progress = Progress::default();
        // Keys first: an association that ends may be established again.
        for id in self.ppk_ids(&call).await? {
            progress.note(self.unload(&call, &id).await)?;
        }
        for one in progress.note(self.associations(&call).await)? {
            progress.note(self.terminate(&call, one.id).await)?;
        }
        Ok(())
    }

    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        self.check_channel(channel)?;
        let call = self.daemon.call(Operation::Counters);
        let (sent, received) = self.counts.update(&self.associations(&call).await?);
        let mut counters = TrafficCounters::default();
        (counters.encrypted, counters.accepted) = (Some(sent), Some(received));
        Ok(counters)
    }
}
