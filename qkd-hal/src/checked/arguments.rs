//! The check of arguments, before a driver is called.

use crate::{
    Device, Encryptor, Error, ErrorKind, RandomSource, Request, Result,
    parameter::{self, ParameterSpec},
    qkd::KeyRequest,
};
use std::collections::HashSet;

/// Checks a request of any device.
///
/// # Errors
/// `NotFound`, `InvalidInput`; `Unsupported` for a parameter that cannot be read or written.
pub(super) fn of_device<T: Device + ?Sized>(device: &T, request: &Request<'_>) -> Result<()> {
    let accessible = |name: &str, access: fn(&ParameterSpec) -> bool, other: &str| {
        let spec = parameter::find(device.parameters(), name)?;
        if access(spec) {
            return Ok(spec);
        }
        let what = format!("`{name}` can only be {other}");
        Err(Error::new(ErrorKind::Unsupported, what))
    };
    match request {
        Request::GetParameter { name } => accessible(name, |p| p.readable, "written").map(drop),
        Request::SetParameter { name, value } => {
            accessible(name, |p| p.writable, "read")?.check(value)
        }
        _ => Ok(()),
    }
}

/// Checks a request of a QKD module.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn of_module(request: &Request<'_>) -> Result<()> {
    match request {
        Request::TakeKeys { request } => check_key_request(request),
        Request::TakeKeysById { ids } if ids.is_empty() => {
            Err(Error::invalid("no key id was given"))
        }
        Request::TakeKeysById { ids } => {
            let mut asked = HashSet::with_capacity(ids.len());
            match ids.iter().find(|id| !asked.insert(*id)) {
                None => Ok(()),
                Some(twice) => Err(Error::invalid(format!("key id {twice} is given twice"))),
            }
        }
        _ => Ok(()),
    }
}

fn check_key_request(request: &KeyRequest) -> Result<()> {
    if request.count == 0 {
        return Err(Error::invalid("0 keys were asked for; ask for at least 1"));
    }
    match request.size {
        Some(size) if size.0 == 0 || size.to_bytes().is_none() => Err(Error::invalid(format!(
            "a key of {size} was asked for; the size shall be a multiple of 8"
        ))),
        _ => Ok(()),
    }
}

/// Checks a request of an encryptor.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn of_encryptor<T: Encryptor + ?Sized>(
    encryptor: &T,
    request: &Request<'_>,
) -> Result<()> {
    let Request::Stage { key, .. } = request else {
        return Ok(());
    };
    let Some(form) = &encryptor.encryptor_capabilities().key else {
        return Err(Error::unsupported(
            request.operation().name(),
            "this device takes no key",
        ));
    };
    match key.key() {
        Some(key) => form.check(key),
        None => form.check_label(key.id(), key.size(), key.role()),
    }
}

/// Checks a request of a random source.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn of_random<T: RandomSource + ?Sized>(source: &T, request: &Request<'_>) -> Result<()> {
    let most = source.random_capabilities().max_request;
    match request {
        Request::Random { length } if *length == 0 || *length > most => Err(Error::invalid(
            format!("{length} bytes were asked for; ask for 1 to {most}"),
        )),
        _ => Ok(()),
    }
}
