//! `qkd-conform`: the conformance suite, with the drivers of this repository.

fn main() -> std::process::ExitCode {
    qkd_conformance::main(qkd_hardware::registry())
}
