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
/// Of a baseline: numbers of their children. An association that the daemon rekeys has another
/// number, and takes its children along with the key before.
const CHILDREN_BEFORE: &str = "children";
/// Times that `retire` ends associations: one that ends while it is rekeyed leaves another one.
const RETIRE_ROUNDS: usize = 4;
/// Ids that strongSwan reads as any identity (`identification_create_from_string`).
const ANY_IDENTITY: [&str; 6] = ["%any", "%any6", "0.0.0.0", "*", "::", "0::0"];

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
    /// The result of a step.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        let result = self.keep(result);
        self.steps += 1;
        result
    }

    /// A result after the steps so far.
    fn keep<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| match self.steps {
            0 => e,
            _ => e.with_progress("other keys or associations were deleted before"),
        })
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

    /// Returns the id of the key with which the channel sends: that of the association
    /// with the newest child. An association that is rekeyed has a new number, and its children
    /// have the old ones. An association that the other end has initiated does not name its key; then it is known if
    /// the daemon holds one key only.
    fn active_id<'a>(&self, associations: &'a [Association], ids: &'a [String]) -> Option<&'a str> {
        let newest = associations.iter().filter(|one| one.is_up());
        let newest = newest.max_by_key(|one| one.installed().map(|child| child.id).max())?;
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
        if let Some(one) = newest_up(associations, &own_name) {
            // A process that ended in the middle of `activate` has not initiated all children.
            if let Some(child) = self.missing(one).first() {
                return Found::None(format!(
                    "association {} uses PPK {id} and does not carry the child `{}`: activate the \
                     key again",
                    one.id,
                    printable(child, 60)
                ));
            }
            let evidence = format!("association {} uses PPK {id}, which this end named", one.id);
            return Found::Up(one.id, evidence);
        }
        let numbers = |of: &str| -> Option<Vec<&str>> {
            staged
                .baseline
                .get(of)
                .map(|text| text.split(' ').collect())
        };
        let (before, children) = (numbers(ASSOCIATIONS_BEFORE), numbers(CHILDREN_BEFORE));
        let children = children.unwrap_or_default();
        let is_new = |one: &Association| match &before {
            Some(before) => {
                let mut of_before = one.children.iter().map(|child| child.id.to_string());
                !before.contains(&one.id.to_string().as_str())
                    && !of_before.any(|child| children.contains(&child.as_str()))
            }
            // Without a baseline, the key is known only if there is no other one.
            None => ids.len() == 1,
        };
        // The other end initiates one child after the other.
        let carries_all = |one: &Association| {
            let others = associations.iter().filter(|other| other.id != one.id);
            let mut needed = others
                .filter(|o| o.is_up())
                .flat_map(Association::installed);
            needed.all(|child| one.carries(&child.name))
        };
        let candidates = associations.iter().filter(|one| {
            one.name == self.connection.name && one.is_up() && is_new(one) && carries_all(one)
        });
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

    /// Children of the connection whose traffic an association does not carry.
    fn missing(&self, association: &Association) -> Vec<&str> {
        let children = self.connection.children.iter().map(String::as_str);
        children
            .filter(|child| !association.carries(child))
            .collect()
    }

    /// Ends an association. One that has ended meanwhile is not an error.
    async fn terminate(&self, call: &Call<'_>, id: u64) -> Result<()> {
        let id = id.to_string();
        let timeout = daemon_timeout(call);
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

    /// Initiates an association of the connection of this name, for these children.
    async fn initiate(&self, call: &Call<'_>, name: &str, children: &[&str]) -> Result<()> {
        for child in children {
            let timeout = daemon_timeout(call);
            let message = [
                Element::Value("ike", name.as_bytes()),
                Element::Value("child", child.as_bytes()),
                Element::Value("timeout", timeout.as_bytes()),
            ];
            call.change("initiate", &message).await?;
        }
        Ok(())
    }

    /// Ends associations that a failed initiation left; those of before stay.
    async fn clean_up(&self, call: &Call<'_>, name: &str, before: &[Association]) -> Result<()> {
        for one in call.associations().await? {
            if one.name == name && !before.iter().any(|other| other.id == one.id) {
                self.terminate(call, one.id).await?;
            }
        }
        Ok(())
    }
}

/// Milliseconds that the daemon may take for an exchange with the other end. Never zero: the daemon
/// would wait for any time.
fn daemon_timeout(call: &Call<'_>) -> String {
    let left = call.left().saturating_sub(MARGIN).as_millis();
    left.max(1).to_string()
}

fn newest_up<'a>(associations: &'a [Association], name: &str) -> Option<&'a Association> {
    let up = associations
        .iter()
        .filter(|one| one.name == name && one.is_up());
    up.max_by_key(|one| one.id)
}

fn numbers(all: impl Iterator<Item = u64>) -> String {
    let all: Vec<String> = all.map(|number| number.to_string()).collect();
    all.join(" ")
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
        let slots = ids.iter().zip(1..=u8::MAX).map(|(id, number)| {
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
        if ANY_IDENTITY.contains(&id.as_str()) {
            return Err(Error::invalid(format!(
                "the daemon takes the key id `{id}` for any identity; use a key with another id"
            )));
        }
        let before = self.associations(&call).await?;
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
        let children = before.iter().flat_map(|one| &one.children);
        let baseline = [
            (
                CHILDREN_BEFORE.to_owned(),
                numbers(children.map(|child| child.id)),
            ),
            (
                ASSOCIATIONS_BEFORE.to_owned(),
                numbers(before.iter().map(|one| one.id)),
            ),
        ];
        let evidence = format!("the daemon lists the PPK {id}");
        Ok(
            Staged::new(channel.clone(), key.id().clone(), None, evidence)
                .with_baseline(baseline.into()),
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
        let present = newest_up(&associations, &name);
        let missing = match present {
            Some(one) => self.missing(one),
            None => self
                .connection
                .children
                .iter()
                .map(String::as_str)
                .collect(),
        };
        if present.is_some() && missing.is_empty() {
            return self.unload_connections(&call).await;
        }
        let message = self.connection.load(&name, Some(&id));
        call.change("load-conn", &message).await?;
        let initiated = self.initiate(&call, &name, &missing).await;
        // The association keeps its settings. A connection that stays would answer the other end
        // with this key only. What fails here is done with the time of another call.
        let after = self.daemon.call(Operation::Activate);
        let unloaded = self.unload_connection(&after, &name).await;
        if let Err(error) = initiated {
            let cleaned = self.clean_up(&after, &name, &associations).await;
            // Children that an association of before has got meanwhile stay.
            let is_clean = present.is_none() || missing.len() == 1;
            let effect = match (&cleaned, &unloaded) {
                (Ok(()), Ok(())) if error.effect() == Effect::None && is_clean => Effect::None,
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
        let id = staged.key_id.to_string();
        let ids = self.ppk_ids(&call).await?;
        let mut progress = Progress::default();
        for _ in 0..RETIRE_ROUNDS {
            let associations = progress.keep(self.associations(&call).await)?;
            let current = match self.find(staged, &associations, &ids) {
                Found::Up(current, _) => current,
                Found::None(why) => {
                    return progress.keep(Err(Error::new(
                        ErrorKind::NotReady,
                        format!("the key before is still needed: {why}"),
                    )));
                }
            };
            self.counts.update(&associations);
            let others = associations.iter().map(|one| one.id);
            let others: Vec<u64> = others.filter(|one| *one != current).collect();
            if others.is_empty() {
                for other in ids.iter().filter(|other| **other != id) {
                    progress.note(self.unload(&call, other).await)?;
                }
                return Ok(());
            }
            for one in others {
                progress.note(self.terminate(&call, one).await)?;
            }
        }
        progress.keep(Err(Error::new(
            ErrorKind::NotReady,
            "associations of the key before are established again and again",
        )))
    }

    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        self.check_channel(channel)?;
        let call = self.daemon.call(Operation::Zeroize);
        let _turn = self.turns.lock(Instant::now() + call.left()).await?;
        // Keys first: an association that ends may be established again. What can be destroyed is
        // destroyed although another step fails: the first error is the result.
        let mut results = Vec::new();
        for id in self.ppk_ids(&call).await? {
            results.push(self.unload(&call, &id).await);
        }
        match self.associations(&call).await {
            Ok(all) => {
                for one in all {
                    results.push(self.terminate(&call, one.id).await);
                }
            }
            Err(e) => results.push(Err(e)),
        }
        let any_done = results.iter().any(Result::is_ok);
        let first: Result<()> = results.into_iter().collect();
        first.map_err(|e| match any_done {
            true => e.with_progress("other keys or associations were deleted"),
            false => e,
        })
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
