use super::{
    archive::{self, File},
    *,
};
use crate::report::sample;
use ed25519_dalek::SigningKey;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::{path::Path, process::Command};
use tar::{EntryType, Header};

const DAY: &str = "2026-09-02T08:00:00Z";

fn key_of(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn results() -> String {
    let mut results = sample::results();
    for case in results
        .runs
        .iter_mut()
        .flat_map(|r| &mut r.requirements)
        .flat_map(|r| &mut r.cases)
    {
        case.transcript.truncate(3);
    }
    serde_json::to_string(&results).unwrap()
}

fn made() -> Vec<u8> {
    write(&results(), &key_of(1), DAY).unwrap()
}

/// Returns the bundle after a change of its files.
fn with(change: impl FnOnce(&mut Vec<File<'static>>)) -> Vec<u8> {
    let made = made();
    let mut files: Vec<File<'static>> = archive::read(&made)
        .unwrap()
        .into_iter()
        .map(|f| File::new(f.path, f.content.into_owned()))
        .collect();
    change(&mut files);
    let mut out = Vec::new();
    archive::write(&files, &mut out).unwrap();
    out
}

fn at<'a>(files: &'a mut [File<'static>], path: &str) -> &'a mut File<'static> {
    files.iter_mut().find(|f| f.path == path).unwrap()
}

/// Changes the files and signs the result with this key, as a dishonest signer could.
fn signed_anew(key: &SigningKey, change: impl FnOnce(&mut Vec<File<'static>>)) -> Vec<u8> {
    with(|files| {
        change(files);
        let mut manifest: Manifest =
            serde_json::from_slice(&at(files, MANIFEST_FILE).content).unwrap();
        manifest.files = files
            .iter()
            .filter(|f| !f.path.starts_with("manifest"))
            .map(ManifestEntry::of)
            .collect();
        let text = serde_json::to_vec(&manifest).unwrap();
        at(files, SIGNATURE_FILE).content = key.sign(&text).to_bytes().to_vec().into();
        at(files, MANIFEST_FILE).content = text.into();
    })
}

fn refusal(bundle: &[u8]) -> String {
    verify(bundle, Some(&key_of(1).verifying_key()))
        .unwrap_err()
        .join("\n")
}

#[test]
fn a_bundle_is_valid_and_describes_itself() {
    let verified = verify(&made(), Some(&key_of(1).verifying_key())).unwrap();
    assert!(verified.made_again);
    assert_eq!(
        (verified.manifest.signed.as_str(), verified.results),
        (DAY, Results::parse(&results()).unwrap())
    );
    assert_eq!(
        verified.fingerprint,
        key::fingerprint(&key_of(1).verifying_key()).unwrap()
    );
    assert_eq!(verified.manifest.drivers[0].version, "0.1.0");
    let paths: Vec<_> = verified
        .manifest
        .files
        .iter()
        .map(|f| f.path.as_str())
        .collect();
    for path in [
        "results.json",
        "report.html",
        "junit.xml",
        "matrix.md",
        "transcripts/1-script-alert-1-script/SWI-01-one.jsonl",
        "transcripts/2-sound-emulated/opening.jsonl",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    // The same content gives the same bytes.
    assert_eq!(made(), made());
    assert!(verify(&made(), None).is_ok(), "the key inside fits");
}

#[test]
fn each_change_is_refused_and_named() {
    let flip = |path: &'static str| {
        refusal(&with(|files| {
            let file = at(files, path);
            let middle = file.content.len() / 2;
            file.content.to_mut()[middle] ^= 1;
        }))
    };
    for path in [
        "results.json",
        "report.html",
        "junit.xml",
        "matrix.md",
        "transcripts/1-script-alert-1-script/SWI-01-one.jsonl",
    ] {
        assert!(
            flip(path).contains(&format!("{path} was changed: its SHA-256")),
            "{}",
            flip(path)
        );
    }
    for path in [MANIFEST_FILE, SIGNATURE_FILE] {
        assert!(
            flip(path).contains("the signature is invalid"),
            "{}",
            flip(path)
        );
    }
    assert!(flip(KEY_FILE).contains(KEY_FILE), "{}", flip(KEY_FILE));
    let says = |bundle: Vec<u8>, what: &str| {
        assert!(refusal(&bundle).contains(what), "{}", refusal(&bundle))
    };
    says(
        with(|f| at(f, "matrix.md").content.to_mut().push(b' ')),
        "matrix.md was changed: it has",
    );
    says(
        with(|f| f.push(File::new("extra.txt", b"x".to_vec()))),
        "extra.txt is in the bundle, and was not signed",
    );
    says(
        with(|f| f.retain(|f| f.path != "junit.xml")),
        "junit.xml was signed, and is missing",
    );
    says(
        with(|f| f.retain(|f| f.path != SIGNATURE_FILE)),
        "manifest.sig is missing",
    );
    says(
        with(|f| f.retain(|f| f.path != MANIFEST_FILE)),
        "manifest.json is missing",
    );
    says(
        with(|f| at(f, "junit.xml").path = "junit2.xml".into()),
        "junit.xml was signed, and is missing\njunit2.xml is in the bundle, and was not signed",
    );
    says(with(|f| f.swap(2, 3)), "contradicts results.json");
    says(
        with(|f| f.push(File::new("junit.xml", b"x".to_vec()))),
        "`junit.xml` occurs twice",
    );
    says(
        write(&results(), &key_of(2), DAY).unwrap(),
        "did not sign it; the bundle contains another key",
    );
    says(made()[..made().len() / 2].to_vec(), "truncated within");
    says([made(), vec![0; 512]].concat(), "belong to no file");
    says(vec![7; 4096], "not a bundle");
    says(Vec::new(), "not a bundle");
}

#[test]
fn a_false_signature_is_detected() {
    let says = |bundle: Vec<u8>, what: &str| {
        assert!(refusal(&bundle).contains(what), "{}", refusal(&bundle))
    };
    let key = key_of(1);
    let better = |text: &[u8]| {
        String::from_utf8_lossy(text)
            .replace("Does not conform", "Conforms")
            .into_bytes()
            .into()
    };
    says(
        signed_anew(&key, |f| {
            let page = at(f, "report.html");
            page.content = better(&page.content);
        }),
        "report.html is signed, but differs from the file that results.json gives",
    );
    says(
        signed_anew(&key, |f| f.push(File::new("extra.txt", b"x".to_vec()))),
        "extra.txt is signed, but results.json does not give such a file",
    );
    says(
        signed_anew(&key, |f| f.retain(|f| f.path != "junit.xml")),
        "junit.xml is missing, but results.json gives such a file",
    );
    says(
        signed_anew(&key, |f| {
            at(f, KEY_FILE).content = key::public_pem(&key_of(2).verifying_key())
                .unwrap()
                .into_bytes()
                .into()
        }),
        "is not the key that signed",
    );
    says(
        signed_anew(&key, |f| {
            let results = at(f, report::RESULTS);
            results.content = String::from_utf8_lossy(&results.content)
                .replace("2026-09-01T12", "2026-09-01T13")
                .into_bytes()
                .into();
        }),
        "contradicts results.json",
    );
    // Reports of another version are not generated again, and this is reported.
    let mut other = Results::parse(&results()).unwrap();
    other.suite.version = "9.9.9".to_owned();
    let bundle = write(&serde_json::to_string(&other).unwrap(), &key, DAY).unwrap();
    assert!(
        !verify(&bundle, Some(&key.verifying_key()))
            .unwrap()
            .made_again
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let one = |name: &[u8], kind: EntryType, size: u64| {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        [header.as_bytes().as_slice(), &[b'x'; 512], &[0; 1024]].concat()
    };
    for (name, kind, what) in [
        (
            b"/etc/passwd".as_slice(),
            EntryType::Regular,
            "not the name of a file within",
        ),
        (b"../x", EntryType::Regular, "not the name of a file within"),
        (
            b"a/../../x",
            EntryType::Regular,
            "not the name of a file within",
        ),
        (b"a//x", EntryType::Regular, "not the name of a file within"),
        (b"./x", EntryType::Regular, "not the name of a file within"),
        (b"a\\x", EntryType::Regular, "not the name of a file within"),
        (b"", EntryType::Regular, "not the name of a file within"),
        (b"\xff", EntryType::Regular, "not text"),
        (b"x", EntryType::Symlink, "not a plain file"),
        (b"x", EntryType::Link, "not a plain file"),
        (b"x", EntryType::Directory, "not a plain file"),
        (b"x", EntryType::Fifo, "not a plain file"),
        (b"x", EntryType::GNULongName, "not a plain file"),
        (b"x", EntryType::XHeader, "not a plain file"),
        (b"x", EntryType::GNUSparse, "not a plain file"),
    ] {
        assert!(
            refusal(&one(name, kind, 512)).contains(what),
            "{name:?} {kind:?}: {}",
            refusal(&one(name, kind, 512))
        );
    }
    // A size that is announced and not there takes no memory.
    let measured = refusal(&one(b"x", EntryType::Regular, 8 << 30));
    assert!(measured.contains("truncated within"), "{measured}");
    assert!(refusal(&vec![0; MAX_ARCHIVE_BYTES + 1]).contains("the most that is read"));
}

#[test]
fn thousands_of_mutations_are_all_refused() {
    let (made, trusted) = (made(), key_of(1).verifying_key());
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..3000 {
        let mut bundle = made.clone();
        let place = random.random_range(0..bundle.len());
        match round % 5 {
            0 => bundle[place] ^= 1 << random.random_range(0..8),
            1 => bundle.truncate(place),
            2 => drop(bundle.drain(place..(place + random.random_range(1..2000)).min(made.len()))),
            3 => {
                let mut noise = vec![0; random.random_range(1..600)];
                random.fill_bytes(&mut noise);
                bundle.splice(place..place, noise);
            }
            // A block of a header, which lie at multiples of 512.
            _ => {
                let header = place / 512 * 512 + random.random_range(0..512);
                bundle[header.min(made.len() - 1)] =
                    bundle[header.min(made.len() - 1)].wrapping_add(random.random_range(1..=255));
            }
        }
        if bundle != made {
            let wrong = verify(&bundle, Some(&trusted)).expect_err("a mutation was accepted");
            assert!(
                wrong.iter().all(|w| w.len() > 10),
                "round {round}: {wrong:?}"
            );
        }
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn openssl_reads_our_keys_and_verifies_our_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = key::generate().unwrap();
    key::save_private(&key, &path("lab.key")).unwrap();
    key::save_public(&key.verifying_key(), &path("lab.pub")).unwrap();
    let bundle = write(&results(), &key, DAY).unwrap();
    for file in archive::read(&bundle)
        .unwrap()
        .iter()
        .filter(|f| f.path.starts_with("manifest"))
    {
        std::fs::write(path(&file.path), &file.content).unwrap();
    }
    let verified = openssl(
        folder.path(),
        &[
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "lab.pub",
            "-rawin",
            "-in",
            "manifest.json",
            "-sigfile",
            "manifest.sig",
        ],
    );
    assert!(verified.contains("Verified Successfully"), "{verified}");
    // The private key is one for it too, and belongs to the public one.
    assert_eq!(
        openssl(folder.path(), &["pkey", "-in", "lab.key", "-pubout"]),
        std::fs::read_to_string(path("lab.pub")).unwrap()
    );
    // The fingerprint is what it prints.
    openssl(
        folder.path(),
        &[
            "pkey", "-pubin", "-in", "lab.pub", "-outform", "DER", "-out", "lab.der",
        ],
    );
    assert!(
        openssl(folder.path(), &["dgst", "-sha256", "lab.der"])
            .contains(&key::fingerprint(&key.verifying_key()).unwrap())
    );
    // A key of its making signs bundles here.
    openssl(
        folder.path(),
        &["genpkey", "-algorithm", "ed25519", "-out", "other.key"],
    );
    openssl(
        folder.path(),
        &["pkey", "-in", "other.key", "-pubout", "-out", "other.pub"],
    );
    std::fs::set_permissions(
        path("other.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let other = key::read_private(&path("other.key")).unwrap();
    let bundle = write(&results(), &other, DAY).unwrap();
    assert!(
        verify(
            &bundle,
            Some(&key::read_public(&path("other.pub")).unwrap())
        )
        .is_ok()
    );
}

#[test]
fn a_private_key_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.key");
    let key = key::generate().unwrap();
    key::save_private(&key, &path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(key::read_private(&path).unwrap(), key);
    assert!(
        key::save_private(&key, &path)
            .unwrap_err()
            .contains("not overwritten")
    );
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(
        key::read_private(&path)
            .unwrap_err()
            .contains("others may read it")
    );
    let secret = std::fs::read_to_string(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, secret.replace('M', "N")).unwrap();
    let error = key::read_private(&path).unwrap_err();
    assert!(
        error.contains("does not contain an Ed25519 private key")
            && !secret.lines().any(|line| error.contains(line)),
        "{error}"
    );
}

#[test]
fn no_two_cases_have_one_file() {
    let names: BTreeSet<_> = crate::cases::all()
        .iter()
        .map(|case| plain(case.id))
        .collect();
    assert_eq!(names.len(), crate::cases::all().len());
    assert!(!names.contains("opening"));
}
