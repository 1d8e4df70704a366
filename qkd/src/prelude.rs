//! The traits and types that most controllers use.
//!
//! It holds no `Result`, which would hide the one of the standard library; write
//! [`qkd_hardware::Result`](crate::Result).

pub use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::{CredentialEntry, Credentials},
};
pub use qkd_hal::{
    Capabilities, Device, DeviceKind, DeviceUri, Effect, Encryptor, Error, ErrorKind, Event,
    EventKind, EventStream, Health, Identity, Key, KeyId, Layer, Operation, Outcome, QkdModule,
    RandomSource, Request, Support,
    encryptor::{ChannelId, Confirmation, Confirmed, Staged},
    event::StreamItem,
    qkd::KeyRequest,
    reading::{Measured, Quality},
    units::{Bits, DecibelMilliwatts},
};
pub use qkd_switch_hal::{
    ApplyReport, Attenuation, Attenuator, CrossConnect, CrossConnects, Geometry, MonitorSetting,
    OpticalSwitch, Plan, Port, PowerMeter, Protection, Scope, Step,
    protection::{GroupId, PathId},
};
