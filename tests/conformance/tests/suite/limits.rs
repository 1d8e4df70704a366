//! Devices that allow less than others, and conform.

use qkd_conformance::{Dut, Request, Suite, result::Outcome};
use std::path::Path;

#[test]
fn a_kme_that_gives_one_key_at_a_time_conforms() {
    let file = "../../duts/limits/etsi014-one-key.toml";
    let dut = Dut::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        let suite = Suite::new(qkd_drivers_all::registry());
        let ready = suite.ready(dut, None, None).await.unwrap();
        suite.run(&[ready], &Request::default(), &()).await
    });
    let run = &results.runs[0];
    let failed: Vec<_> = run
        .cases()
        .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
        .map(|c| format!("{}: {}", c.id, c.why))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let passed = |id: &str| {
        run.cases()
            .any(|c| c.id == id && c.outcome == Outcome::Pass)
    };
    for id in [
        "QKD-09/count-and-size",
        "QKD-11/pairing",
        "QKD-12/order",
        "QKD-18/too-many",
        "QKD-20/lost",
        "QKD-23/side-by-side",
        "QKD-25/spent",
        "QKD-26/random",
    ] {
        assert!(passed(id), "{id} has not passed");
    }
}
