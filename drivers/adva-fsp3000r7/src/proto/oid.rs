//! Names of ADVA-FSPR7-MODULE-ENCRYPTION-MIB (revision of 2013-08-20).

use qkd_driver_kit::link::snmp::Oid;

/// cryptoOfficerPassword.0: the password of the crypto officer, in every SET PDU.
pub const OFFICER_PASSWORD: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 2, 1, 0];
/// cryptoOfficerPasswordError.0: the result of the last SET with a password.
pub const PASSWORD_ERROR: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 2, 2, 0];
/// cryptoOfficerPasswordReqId.0: the request id of that SET.
pub const PASSWORD_REQUEST: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 2, 3, 0];

/// cryptoModuleStatusEntry, a row for each encryption module.
pub const MODULE_STATUS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 2, 11, 1];
/// cryptoModuleStatusFailureLoginCount: wrong passwords of the officer since the last right one.
pub const FAILED_LOGINS: u32 = 2;

/// cryptoPortConfigEntry, a row for each encrypting port.
pub const PORT_CONFIG: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 3, 12, 1];
/// cryptoPortConfigAuthKey: KEY MATERIAL, never read.
pub const AUTH_KEY: u32 = 2;
/// cryptoPortConfigAuthKeyLifeTime.
pub const LIFE_TIME: u32 = 3;
/// cryptoPortConfigEncryptionOffState: enable(1) permits EncryptionOff.
pub const OFF_STATE: u32 = 4;
/// cryptoPortConfigEncryptionOff: rls(1) encrypts, oprCryptoOff(2) does not.
pub const ENCRYPTION_OFF: u32 = 5;
/// cryptoPortConfigForceKeyExchange: oprKeyExchg(2) starts a key exchange.
pub const FORCE_EXCHANGE: u32 = 6;
/// cryptoPortConfigKeyExchangeForcedClear: reset(2) ends the condition that a forced exchange
/// raises.
pub const CLEAR_FORCED: u32 = 7;

/// cryptoPortStatusEntry, with the index of the configuration row.
pub const PORT_STATUS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 3, 13, 1];
/// cryptoPortStatusFailureKeyExchangeCount: failed exchanges since the last good one.
pub const FAILURES: u32 = 3;
/// cryptoPortStatusSuccessfulKeyExchangeDateAndTime.
pub const LAST_GOOD: u32 = 4;
/// cryptoPortStatusUnsuccessfulKeyExchangeDateAndTime.
pub const LAST_BAD: u32 = 5;
/// cryptoPortStatusAuthKeyLifeTimeRemaining, in seconds.
pub const REMAINING: u32 = 6;
/// cryptoPortStatusEncryptionOffCapability: enable(1) if encryption may be switched off.
pub const OFF_CAPABILITY: u32 = 7;

/// currentEncryptionSublayerPm15minEntry: the counters of the running 15 minutes.
pub const CURRENT_15_MIN: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 4, 3, 1];
/// EncryptionRunSeconds: seconds in encrypted mode.
pub const RUN_SECONDS: u32 = 1;
/// EncryptionRunErrorSeconds.
pub const ERROR_SECONDS: u32 = 2;
/// ElapsedTime: seconds since the start of the interval.
pub const ELAPSED: u32 = 4;

/// Prefix of the notifications; the last number is that of the condition.
pub const TRAPS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 7, 5, 0];
/// neEventLogIdentityTranslation (ADVA-MIB): the entity that a notification is about.
pub const EVENT_ENTITY: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 2, 3, 2, 1, 4];
/// Column entPhysicalSerialNum (RFC 6933).
pub const SERIAL_NUMBERS: &[u32] = &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11];
/// Column ifDescr (RFC 2863).
pub const IF_DESCR: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1, 2];

/// An instance of a column.
#[must_use]
pub fn of(entry: &[u32], column: u32, index: u32) -> Oid {
    Oid::from(entry).child(&[column, index])
}

/// A column.
#[must_use]
pub fn column(entry: &[u32], column: u32) -> Oid {
    Oid::from(entry).child(&[column])
}
