//! The fault matrix over all emulators: every cell holds, and the page in `docs/` is up to date.

use qkd_conformance::{Dut, faults};
use std::path::Path;

#[test]
fn every_cell_of_the_fault_matrix_holds_and_its_page_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let duts = crate::emulated()
        .iter()
        .map(|f| Dut::read(f).unwrap())
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let cells = runtime
        .block_on(faults::run(&qkd_hardware::registry(), duts))
        .unwrap();
    let wrong: Vec<_> = cells.iter().flat_map(|c| &c.wrong).collect();
    let text = faults::markdown(&cells);
    let page = root.join("docs/fault-matrix.md");
    if std::env::var_os("QKD_UPDATE").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{} cells do not hold:\n{}",
        wrong.len(),
        wrong
            .iter()
            .map(|w| w.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    );
    assert!(cells.iter().filter(|c| c.trials > 0).count() > 500);
    assert!(
        std::fs::read_to_string(&page).unwrap_or_default() == text,
        "docs/fault-matrix.md is of another run: QKD_UPDATE=1 writes it"
    );
}
