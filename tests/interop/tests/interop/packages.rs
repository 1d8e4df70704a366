//! The crates that are for others can be published: their manifests are complete, and they include
//! no file from outside their folder, which a package would not hold.

use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// Crates that are not published.
const PRIVATE: [&str; 4] = [
    "qkd-benches",
    "qkd-driver-template",
    "qkd-interop",
    "qkd-usbfs",
];

fn metadata() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn published() -> Vec<Value> {
    let mut packages = metadata();
    let private: BTreeSet<String> = packages
        .iter()
        .filter(|p| p["publish"] == Value::Array(Vec::new()))
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(private.iter().collect::<Vec<_>>(), PRIVATE);
    packages.retain(|p| !private.contains(p["name"].as_str().unwrap()));
    packages
}

fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

#[test]
fn published_crates_have_complete_manifests() {
    for package in published() {
        let name = package["name"].as_str().unwrap();
        for field in ["description", "license", "readme", "rust_version"] {
            assert!(package[field].is_string(), "{name} has no {field}");
        }
        for field in ["keywords", "categories"] {
            let values = package[field].as_array().unwrap();
            assert!((1..=5).contains(&values.len()), "{name}: {field}");
        }
        let readme = folder(&package).join(package["readme"].as_str().unwrap());
        assert!(readme.is_file(), "{name}: {}", readme.display());
        assert_eq!(
            package["metadata"]["docs"]["rs"]["all-features"], true,
            "{name}"
        );
        for dependency in package["dependencies"].as_array().unwrap() {
            let (on, version) = (&dependency["name"], &dependency["req"]);
            assert_ne!(version, "*", "{name}: the dependency {on} has no version");
            assert!(
                !PRIVATE.contains(&on.as_str().unwrap()),
                "{name} depends on {on}, which is not published"
            );
        }
    }
}

/// The path without `.` and `..`. Symbolic links stay: a package holds the file in their place.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn published_crates_include_files_of_their_own_folder_only() {
    let mut included = 0;
    for package in published() {
        let (folder, mut files) = (folder(&package), Vec::new());
        sources(&folder.join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for (_, rest) in ["include_str!(\"", "include_bytes!(\"", "include!(\""]
                .iter()
                .flat_map(|call| {
                    text.match_indices(call)
                        .map(|(at, c)| text.split_at(at + c.len()))
                })
            {
                let name = rest.split('"').next().unwrap();
                let target = without_dots(&file.parent().unwrap().join(name));
                assert!(
                    target.starts_with(&folder) && target.is_file(),
                    "{} includes {name}: link it into {}",
                    file.display(),
                    folder.display()
                );
                included += 1;
            }
        }
    }
    assert!(included > 30, "{included} files are included");
}
