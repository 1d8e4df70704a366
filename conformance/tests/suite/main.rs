//! The suite's own test: each requirement fails its mutant, and passes the honest emulator.

#![allow(clippy::unwrap_used)]

mod assumptions;
mod bundle;
mod defect;
mod faulty_devices;
mod hostile;
mod limits;
mod matrix;
mod mutant;
mod mutants;
mod real_devices;
mod resume;
mod running;
mod unwritable;

/// The files of emulators in memory: those of `conformance/duts/` itself.
fn emulated() -> Vec<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("duts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}
