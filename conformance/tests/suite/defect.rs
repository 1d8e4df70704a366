//! A defect found as by a vendor's test engineer: a defective device at an address, and only the
//! report to find the defect.

use qkd_conformance::{Dut, RunOptions, Suite, Verdict, report, result::Outcome};
use qkd_emulators::{profile::Options, profiles};

#[test]
fn a_defect_is_found_from_the_report_alone() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        // From its thirteenth reply on, the device omits half of each. Only this line knows it.
        let options = Options {
            faults: vec!["truncate@after=12".to_owned()],
            ..Options::default().seeded(5)
        };
        let hidden = profiles::start("polatis-16x16", &options).await.unwrap();
        let text = format!(
            "name = 'rack 3'\nprofile = 'matrix-switch'\nuri = '{}'\ndeadline = '300ms'\n",
            hidden.ready().uri
        );
        let suite = Suite::new(qkd_hardware::registry());
        let ready = suite
            .ready(Dut::parse(&text).unwrap(), None, None)
            .await
            .unwrap();
        let only = [
            "DEV-01", "DEV-02", "DEV-07", "DEV-08", "DEV-14", "SWI-02", "SWI-03", "SWI-04",
        ]
        .map(str::to_owned)
        .to_vec();
        suite
            .run(
                &[ready],
                &RunOptions {
                    only,
                    ..RunOptions::default()
                },
                &(),
            )
            .await
    });
    assert_eq!(
        results.verdict(),
        Verdict::DoesNotConform,
        "{:?}",
        results.runs[0]
            .cases()
            .map(|c| (&c.id, c.outcome, &c.why))
            .collect::<Vec<_>>()
    );
    let folder = tempfile::tempdir().unwrap();
    report::write_all(&results, folder.path()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("report.html"))
        .unwrap()
        .replace("&#x2f;", "/");
    // The page shows: bytes arrived and were not a complete reply; the transcript contains the
    // request, and the complete reply to the same request before.
    assert!(
        page.contains("Does not conform")
            && page.contains("bytes arrived, which are not a complete reply")
    );
    for failed in results.runs[0]
        .cases()
        .filter(|c| c.outcome == Outcome::Fail)
    {
        assert!(
            page.contains(&failed.id),
            "{} is not on the page",
            failed.id
        );
        assert!(!failed.transcript.is_empty(), "{}: no evidence", failed.id);
    }
    assert!(
        page.contains("*idn?"),
        "the transcript shows what was asked"
    );
}
