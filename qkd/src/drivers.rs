//! The crates of the drivers that were selected as features.
//!
//! A controller does not need them: [`registry`](crate::registry) has all of them. They are for a
//! [`Registry`](crate::Registry) with some of them, and for drivers that build on another one.

#[cfg(feature = "adva-fsp150")]
pub use qkd_driver_adva_fsp150 as adva_fsp150;
#[cfg(feature = "adva-fsp3000r7")]
pub use qkd_driver_adva_fsp3000r7 as adva_fsp3000r7;
#[cfg(feature = "agiltron")]
pub use qkd_driver_agiltron as agiltron;
#[cfg(feature = "atmedia")]
pub use qkd_driver_atmedia as atmedia;
#[cfg(feature = "ciena-waveserver")]
pub use qkd_driver_ciena_waveserver as ciena_waveserver;
#[cfg(feature = "dicon")]
pub use qkd_driver_dicon as dicon;
#[cfg(feature = "etsi014")]
pub use qkd_driver_etsi014 as etsi014;
#[cfg(feature = "fs-olp")]
pub use qkd_driver_fs_olp as fs_olp;
#[cfg(feature = "idq-quantis")]
pub use qkd_driver_idq_quantis as idq_quantis;
#[cfg(feature = "ieee-macsec")]
pub use qkd_driver_ieee_macsec as ieee_macsec;
#[cfg(feature = "infinera-xtm")]
pub use qkd_driver_infinera_xtm as infinera_xtm;
#[cfg(feature = "jdsu-sb")]
pub use qkd_driver_jdsu_sb as jdsu_sb;
#[cfg(feature = "leoni-eol")]
pub use qkd_driver_leoni_eol as leoni_eol;
#[cfg(feature = "linux-macsec")]
pub use qkd_driver_linux_macsec as linux_macsec;
#[cfg(feature = "nokia-sros-macsec")]
pub use qkd_driver_nokia_sros_macsec as nokia_sros_macsec;
#[cfg(feature = "packetlight")]
pub use qkd_driver_packetlight as packetlight;
#[cfg(feature = "polatis")]
pub use qkd_driver_polatis as polatis;
#[cfg(feature = "scte-hms")]
pub use qkd_driver_scte_hms as scte_hms;
#[cfg(feature = "strongswan")]
pub use qkd_driver_strongswan as strongswan;
#[cfg(feature = "thorlabs-osw")]
pub use qkd_driver_thorlabs_osw as thorlabs_osw;
#[cfg(feature = "veriqloud-qline")]
pub use qkd_driver_veriqloud_qline as veriqloud_qline;
#[cfg(feature = "wireguard")]
pub use qkd_driver_wireguard as wireguard;
