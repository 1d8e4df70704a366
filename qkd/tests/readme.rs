//! The repository's README, this crate's README and this crate's features say the same.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, path::Path};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The text of the first block whose fence begins so.
fn block<'a>(page: &'a str, fence: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("```{fence}"))
        .unwrap_or_else(|| panic!("there is no block {fence}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0
}

/// The example of this crate's README is compiled as a doctest; that of the repository is the same
/// text. It is compared here because a package cannot hold a file outside its folder.
#[test]
fn both_readmes_show_the_same_example() {
    let (root, own) = (file("../README.md"), file("README.md"));
    for fence in ["rust", "toml"] {
        assert_eq!(block(&root, fence), block(&own, fence), "block {fence}");
    }
}

#[test]
fn every_driver_of_the_repository_is_a_feature_in_the_readme() {
    let (manifest, readme) = (file("Cargo.toml"), file("README.md"));
    let features: BTreeSet<String> = manifest
        .lines()
        .filter_map(|l| l.split_once(" = [\"dep:qkd-driver-"))
        .map(|(name, _)| name.to_owned())
        .collect();
    let folders: BTreeSet<String> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers"))
            .unwrap()
            .map(|e| e.unwrap())
            .filter(|e| e.file_type().unwrap().is_dir())
            .map(|e| e.file_name().into_string().unwrap())
            .filter(|name| !["kit", "template"].contains(&name.as_str()))
            .collect();
    assert_eq!(features, folders);
    let listed = manifest
        .split_once("all-drivers = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .unwrap()
        .0;
    let opened: BTreeSet<String> = qkd_hardware::registry()
        .drivers()
        .map(|d| d.info().name.to_owned())
        .collect();
    for feature in &features {
        assert!(
            listed.contains(&format!("\"{feature}\"")),
            "{feature}: not in all-drivers"
        );
        assert!(
            readme.contains(&format!("`{feature}`")),
            "{feature}: not in the README"
        );
        assert!(opened.contains(feature), "{feature}: not in the registry");
    }
}
