//! A vendor's own conformance binary.
fn main() -> std::process::ExitCode {
    qkd_conformance::main(qkd_hardware::Registry::new().with(outside::Acme))
}
