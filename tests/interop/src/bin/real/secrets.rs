//! Copies of a key in the memory of a process that holds only a driver: counted while the process
//! holds the key, and after the roll. The memory is read through `/proc`, as a program that writes a
//! core dump does: the small system of a virtual machine has no debugger.

use crate::real::keys;
use base64::{Engine, engine::general_purpose::STANDARD};
use qkd_hal::{Key, KeyId, encryptor::Staged};
use qkd_hardware::OpenContext;
use qkd_keyflow::{EncryptorPair, End};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
};
use zeroize::Zeroizing;

/// Mappings that have no memory of the process.
const NOT_MEMORY: [&str; 3] = ["[vvar]", "[vvar_vclock]", "[vsyscall]"];

/// The subcommand of the process that is read. It reads a key with its id and size, rolls one end with it,
/// and waits: with the key, and without it.
pub(crate) fn hold(uri: &str, channel: &str) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    // Not by `std::io::stdin`, which has a buffer of its own.
    let mut input = File::open("/dev/stdin").map_err(|e| e.to_string())?;
    let mut read = |bytes: &mut [u8]| input.read_exact(bytes).map_err(|e| e.to_string());
    let (mut id, mut size) = ([0; 16], [0]);
    read(&mut id)?;
    read(&mut size)?;
    let mut key = Zeroizing::new(vec![0; size[0].into()]);
    read(&mut key)?;
    let id = KeyId::from_bytes(&id).ok_or("no key id")?;
    let text = |e: qkd_hal::Error| e.to_string();
    runtime.block_on(async {
        let registry = qkd_hardware::registry();
        let opened = registry
            .open(uri, &OpenContext::new())
            .await
            .map_err(text)?;
        let encryptor = opened.encryptor().map_err(text)?;
        let key = Key::new(id, key);
        let staged = encryptor.stage(&channel.into(), &key).await.map_err(text)?;
        say("holding", &mut read)?;
        drop(key);
        let declared = encryptor.encryptor_capabilities();
        if declared.activation.is_commanded() {
            encryptor.activate(&staged).await.map_err(text)?;
        }
        let confirmation = encryptor
            .confirm(&staged, declared.confirm_timeout)
            .await
            .map_err(text)?;
        let confirmed = confirmation.confirmed().map_err(text)?;
        if declared.staging.keeps_previous() {
            encryptor.retire(&confirmed).await.map_err(text)?;
        }
        say("done", &mut read)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a word, and waits for a byte.
fn say(word: &str, read: &mut impl FnMut(&mut [u8]) -> Result<(), String>) -> Result<(), String> {
    println!("{word}");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    read(&mut [0])
}

/// The forms in which a copy of a key would be found.
fn forms(key: &[u8]) -> [Vec<u8>; 4] {
    let hex = |upper: bool| {
        let digits = if upper {
            hex::encode_upper(key)
        } else {
            hex::encode(key)
        };
        digits.into_bytes()
    };
    [
        key.to_vec(),
        hex(false),
        hex(true),
        STANDARD.encode(key).into_bytes(),
    ]
}

/// Counts the copies of a key in the memory of a process, which waits.
fn copies(process: &Child, key: &[u8]) -> Result<usize, String> {
    let folder = format!("/proc/{}", process.id());
    let text = |e: std::io::Error| format!("the memory of the process cannot be read: {e}");
    let memory = File::open(format!("{folder}/mem")).map_err(text)?;
    let maps = fs::read_to_string(format!("{folder}/maps")).map_err(text)?;
    let forms = forms(key);
    let mut found = 0;
    for map in maps.lines() {
        let words: Vec<&str> = map.split_whitespace().collect();
        let is_memory = words.last().is_some_and(|name| !NOT_MEMORY.contains(name));
        let is_readable = words.get(1).is_some_and(|rights| rights.starts_with('r'));
        if !is_memory || !is_readable {
            continue;
        }
        let (start, end) = range(map).ok_or_else(|| format!("`{map}` is not a mapping"))?;
        let mut bytes = vec![0; usize::try_from(end - start).map_err(|e| e.to_string())?];
        memory.read_exact_at(&mut bytes, start).map_err(text)?;
        found += forms.iter().map(|form| count(&bytes, form)).sum::<usize>();
    }
    Ok(found)
}

/// Start and end of a mapping.
fn range(map: &str) -> Option<(u64, u64)> {
    let (start, end) = map.split(' ').next()?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}

/// The number of places at which bytes contain a form of the key.
fn count(bytes: &[u8], form: &[u8]) -> usize {
    let Some((first, rest)) = form.split_first() else {
        return 0;
    };
    // By its first byte, because a comparison at each place of some 100 MB takes long.
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| b == first) {
        at += next + 1;
        found += usize::from(bytes[at..].starts_with(rest));
    }
    found
}

/// A process that has staged a key at one end, and waits. It is killed with this value.
pub(crate) struct Holder {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    pub(crate) fn start(uri: &str, channel: &str, key: &Key) -> Result<Self, String> {
        let program = crate::own_program()?;
        let mut process = Command::new(program)
            .args(["hold", uri, channel])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the process has no pipes".to_owned());
        };
        let mut new = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        new.send(key.id().as_bytes())?;
        let size = u8::try_from(key.expose().len()).map_err(|e| e.to_string())?;
        new.send(&[size])?;
        new.send(key.expose())?;
        new.expect("holding")?;
        Ok(new)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.input.write_all(bytes).map_err(|e| e.to_string())
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(|e| e.to_string())?;
        if line.trim() == word {
            Ok(())
        } else {
            Err(format!(
                "the process printed `{}` and not `{word}`",
                line.trim()
            ))
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Rolls a pair, its near end in a process of its own, and looks for the key there.
pub(crate) async fn run(
    pair: &EncryptorPair,
    source: &keys::KeySource,
    uri: &str,
) -> Result<String, String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let size = pair
        .readiness()
        .await
        .and_then(|r| r.ready())
        .map_err(text)?;
    let [key, twin] = source.take(size.key_size()).await.map_err(text)?;
    let far = pair.end(End::Far);
    let mut holder = Holder::start(uri, &pair.end(End::Near).channel().0, &key)?;
    let held = copies(&holder.process, key.expose())?;
    if held == 0 {
        return Err("the key is not found in a process that holds it".to_owned());
    }
    let staged = far
        .encryptor()
        .stage(far.channel(), &twin)
        .await
        .map_err(text)?;
    holder.send(b"1")?;
    if far.encryptor().encryptor_capabilities().activate_both {
        far.encryptor().activate(&staged).await.map_err(text)?;
    }
    holder.expect("done")?;
    let left = copies(&holder.process, key.expose())?;
    finish_far(pair, &staged).await.map_err(text)?;
    if left > 0 {
        return Err(format!("{left} copies of the key are left after the roll"));
    }
    Ok(format!(
        "{held} copies of the key while it is held, none after the roll"
    ))
}

/// Confirms and retires at the far end, whose handle is in this process.
async fn finish_far(pair: &EncryptorPair, staged: &Staged) -> qkd_hal::Result<()> {
    let far = pair.end(End::Far).encryptor();
    let declared = far.encryptor_capabilities();
    let longest = declared.confirm_timeout;
    let confirmed = far.confirm(staged, longest).await?.confirmed()?;
    if declared.staging.keeps_previous() {
        far.retire(&confirmed).await?;
    }
    Ok(())
}
