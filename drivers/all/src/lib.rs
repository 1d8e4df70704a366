//! The one list of drivers. A new driver is one folder and one line here.
//!
//! Each driver is a Cargo feature, and brings the links that it needs: somebody who only wants one
//! switch over TCP builds no libusb, TLS or SNMP.
//! ```
//! let registry = qkd_drivers_all::registry();
//! assert!(registry.drivers().count() > 0);
//! ```

use qkd_driver_kit::Registry;

/// All drivers that this program was built with.
#[must_use]
#[allow(clippy::let_and_return, reason = "each driver is a feature")]
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(feature = "polatis")]
    let registry = registry.with(qkd_driver_polatis::driver());
    #[cfg(feature = "agiltron")]
    let registry = registry.with(qkd_driver_agiltron::driver());
    #[cfg(feature = "jdsu-sb")]
    let registry = registry.with(qkd_driver_jdsu_sb::driver());
    #[cfg(feature = "dicon")]
    let registry = registry.with(qkd_driver_dicon::driver());
    #[cfg(feature = "thorlabs-osw")]
    let registry = registry.with(qkd_driver_thorlabs_osw::driver());
    #[cfg(feature = "leoni-eol")]
    let registry = registry.with(qkd_driver_leoni_eol::driver());
    #[cfg(feature = "scte-hms")]
    let registry = registry.with(qkd_driver_scte_hms::driver());
    #[cfg(feature = "fs-olp")]
    let registry = registry.with(qkd_driver_fs_olp::driver());
    #[cfg(feature = "idq-quantis")]
    let registry = registry.with(qkd_driver_idq_quantis::driver());
    #[cfg(feature = "etsi014")]
    let registry = registry.with(qkd_driver_etsi014::driver());
    #[cfg(feature = "packetlight")]
    let registry = registry.with(qkd_driver_packetlight::driver());
    #[cfg(feature = "nokia-sros-macsec")]
    let registry = registry.with(qkd_driver_nokia_sros_macsec::driver());
    #[cfg(feature = "veriqloud-qline")]
    let registry = registry.with(qkd_driver_veriqloud_qline::driver());
    registry
}
