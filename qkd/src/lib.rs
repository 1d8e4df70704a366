#![doc = include_str!("../README.md")]

pub use qkd_driver_kit::{
    self as driver_kit, Driver, DriverInfo, OpenContext, OpenedDevice, Registry,
};
pub use qkd_hal::{self as hal, DeviceUri, Effect, Error, ErrorKind, Result};
pub use qkd_switch_hal as switch_hal;

pub mod drivers;
pub mod prelude;

/// Returns a registry of the drivers that were selected as features.
#[must_use]
#[allow(clippy::let_and_return, reason = "each driver is a feature")]
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(feature = "adva-fsp150")]
    let registry = registry.with(drivers::adva_fsp150::driver());
    #[cfg(feature = "adva-fsp3000r7")]
    let registry = registry.with(drivers::adva_fsp3000r7::driver());
    #[cfg(feature = "agiltron")]
    let registry = registry.with(drivers::agiltron::driver());
    #[cfg(feature = "atmedia")]
    let registry = registry.with(drivers::atmedia::driver());
    #[cfg(feature = "ciena-waveserver")]
    let registry = registry.with(drivers::ciena_waveserver::driver());
    #[cfg(feature = "dicon")]
    let registry = registry.with(drivers::dicon::driver());
    #[cfg(feature = "etsi014")]
    let registry = registry.with(drivers::etsi014::driver());
    #[cfg(feature = "fs-olp")]
    let registry = registry.with(drivers::fs_olp::driver());
    #[cfg(feature = "idq-quantis")]
    let registry = registry.with(drivers::idq_quantis::driver());
    #[cfg(feature = "ieee-macsec")]
    let registry = registry.with(drivers::ieee_macsec::driver());
    #[cfg(feature = "infinera-xtm")]
    let registry = registry.with(drivers::infinera_xtm::driver());
    #[cfg(feature = "jdsu-sb")]
    let registry = registry.with(drivers::jdsu_sb::driver());
    #[cfg(feature = "leoni-eol")]
    let registry = registry.with(drivers::leoni_eol::driver());
    #[cfg(feature = "linux-macsec")]
    let registry = registry.with(drivers::linux_macsec::driver());
    #[cfg(feature = "nokia-sros-macsec")]
    let registry = registry.with(drivers::nokia_sros_macsec::driver());
    #[cfg(feature = "packetlight")]
    let registry = registry.with(drivers::packetlight::driver());
    #[cfg(feature = "polatis")]
    let registry = registry.with(drivers::polatis::driver());
    #[cfg(feature = "scte-hms")]
    let registry = registry.with(drivers::scte_hms::driver());
    #[cfg(feature = "strongswan")]
    let registry = registry.with(drivers::strongswan::driver());
    #[cfg(feature = "thorlabs-osw")]
    let registry = registry.with(drivers::thorlabs_osw::driver());
    #[cfg(feature = "veriqloud-qline")]
    let registry = registry.with(drivers::veriqloud_qline::driver());
    #[cfg(feature = "wireguard")]
    let registry = registry.with(drivers::wireguard::driver());
    registry
}
