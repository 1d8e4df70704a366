//! Vendors: one folder for each, with its wire protocols, its profiles and their settings.
//!
//! A protocol is without sockets, in front of a model. It is written from public facts alone and
//! shares no code with a driver. What the protocols of several vendors share is in
//! [`wire`](crate::wire), what their profiles share in [`profile`](crate::profile).
//!
//! | module | content |
//! |---|---|
//! | [`adva_fsp150`] | ADVA FSP 150 with ConnectGuard, SNMP, at an end of a pair |
//! | [`adva_fsp3000r7`] | ADVA FSP 3000R7, SNMP, at an end of a pair with passwords |
//! | [`agiltron`] | FF and SelfAlign switches, bytes on a serial line |
//! | [`atmedia`] | atmedia encryptors, SNMP, read only |
//! | [`ciena_waveserver`] | Ciena Waveserver, SNMP, at an end of a pair that a key authenticates at intervals |
//! | [`dicon`] | GP600 matrices, MEMS modules |
//! | [`etsi014`] | key management entities, ETSI GS QKD 014 |
//! | [`fs_olp`] | FS.com and Glsun OLP cards in a chassis, SNMP |
//! | [`idq_quantis`] | ID Quantique Quantis, USB |
//! | [`ieee_macsec`] | any device with MACsec and MKA (IEEE 802.1AE, 802.1X), SNMP, read only |
//! | [`infinera_xtm`] | Infinera XTM, SNMP, at an end of a pair of IKE peers |
//! | [`jdsu_sb`] | JDS Uniphase SB switches, RS-232 |
//! | [`leoni_eol`] | LEONI eol switches, RS-232 |
//! | [`linux_macsec`] | Linux kernels with MACsec at the ends of a pair, netlink, in memory only |
//! | [`nokia`] | Nokia SR OS MACsec, SNMP, at an end of a two-slot pair |
//! | [`packetlight`] | PacketLight, SNMP, at an end of a forced re-initialisation pair |
//! | [`polatis`] | Polatis matrices: SCPI, TL1, SNMP |
//! | [`scte_hms`] | ANSI/SCTE 85-4, SNMP: an A/B or 2×2 switch with failover |
//! | [`strongswan`] | strongSwan daemons, VICI, at the ends of an IKEv2 pair |
//! | [`thorlabs_osw`] | Thorlabs OSW switches, USB serial |
//! | [`veriqloud_qline`] | Veriqloud Qline: the servers of Alice and Bob |
//! | [`wireguard`] | WireGuard userspace devices, UAPI |
//! | [`wpa_supplicant`] | wpa_supplicants with MKA at the ends of a pair, control interface |
//!
//! A new vendor is a folder, its module below and its entry in `PROFILES`.

pub mod adva_fsp150;
pub mod adva_fsp3000r7;
pub mod agiltron;
pub mod atmedia;
pub mod ciena_waveserver;
pub mod dicon;
pub mod etsi014;
pub mod fs_olp;
pub mod idq_quantis;
pub mod ieee_macsec;
pub mod infinera_xtm;
pub mod jdsu_sb;
pub mod leoni_eol;
pub mod linux_macsec;
pub mod nokia;
pub mod packetlight;
pub mod polatis;
pub mod scte_hms;
pub mod strongswan;
pub mod thorlabs_osw;
pub mod veriqloud_qline;
pub mod wireguard;
pub mod wpa_supplicant;

use crate::profile::Profile;

/// The profiles of each vendor.
pub(crate) const PROFILES: &[&[Profile]] = &[
    adva_fsp150::profile::PROFILES,
    adva_fsp3000r7::profile::PROFILES,
    agiltron::profile::PROFILES,
    atmedia::profile::PROFILES,
    ciena_waveserver::profile::PROFILES,
    dicon::profile::PROFILES,
    etsi014::profile::PROFILES,
    fs_olp::profile::PROFILES,
    idq_quantis::profile::PROFILES,
    ieee_macsec::profile::PROFILES,
    infinera_xtm::profile::PROFILES,
    jdsu_sb::profile::PROFILES,
    leoni_eol::profile::PROFILES,
    nokia::profile::PROFILES,
    packetlight::profile::PROFILES,
    polatis::profile::PROFILES,
    scte_hms::profile::PROFILES,
    linux_macsec::profile::PROFILES,
    wpa_supplicant::profile::PROFILES,
    strongswan::profile::PROFILES,
    thorlabs_osw::profile::PROFILES,
    veriqloud_qline::profile::PROFILES,
    wireguard::profile::PROFILES,
];
