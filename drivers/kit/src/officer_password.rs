//! The password of the crypto officer, which some encryptors require in each SET PDU that touches
//! their encryption.
//!
//! Such devices lock their input after a few wrong passwords. A password that was refused is
//! therefore not sent again through the same handle.

use crate::{
    context::OpenContext,
    link::{
        snmp::{Oid, SetRequest, Value},
        snmp_client::SetError,
    },
};
use qkd_hal::{DeviceUri, Error, ErrorKind, Result};
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};
use zeroize::Zeroizing;

/// Field of an entry of the credentials file.
pub const FIELD: &str = "officer_password";

/// The password of the crypto officer of one device.
pub struct OfficerPassword {
    /// The password, or why there is none.
    password: std::result::Result<Zeroizing<String>, String>,
    object: Oid,
    tries: Option<u8>,
    refused: AtomicBool,
}

impl OfficerPassword {
    /// Reads the password from the credentials that the URI names. Without one, a device can be
    /// read only.
    ///
    /// `object`: the instance that carries the password. `tries`: how many wrong passwords the
    /// device allows before it locks its input; `None` if that is not published.
    #[must_use]
    pub fn new(context: &OpenContext, uri: &DeviceUri, object: Oid, tries: Option<u8>) -> Self {
        let password = context
            .credentials(uri)
            .and_then(|entry| Ok(Zeroizing::new(entry.require(FIELD)?.to_owned())))
            .map_err(|e| e.message().to_owned());
        Self {
            password,
            object,
            tries,
            refused: AtomicBool::new(false),
        }
    }

    /// A SET request that begins with the password.
    ///
    /// # Errors
    /// `Authentication` if there is no password, or if the device has refused it before.
    pub fn request(&self) -> Result<SetRequest> {
        if self.refused.load(Ordering::Relaxed) {
            return Err(self.error());
        }
        let password = self.password.as_ref().map_err(|why| {
            Error::new(
                ErrorKind::Authentication,
                format!("a change needs the crypto officer's password: {why}"),
            )
        })?;
        let value = Value::text(password.as_bytes());
        Ok(SetRequest::new().with_secret(self.object.clone(), value))
    }

    /// The device has refused the password: [`request`](Self::request) fails from now on.
    pub fn refuse(&self) -> Error {
        self.refused.store(true, Ordering::Relaxed);
        self.error()
    }

    /// The error of a SET that began with the password. If the agent refused the password, or did
    /// not name what it refused, the password is not sent again.
    pub fn judge(&self, refusal: SetError) -> Error {
        if refusal.is_answer && refusal.varbind.is_none_or(|number| number == 1) {
            self.refuse().with_source(refusal.error)
        } else {
            refusal.error
        }
    }

    fn error(&self) -> Error {
        let limit = match self.tries {
            Some(tries) => format!("it locks its input after {tries} wrong ones"),
            None => "how many wrong ones it allows is not published".to_owned(),
        };
        Error::new(
            ErrorKind::Authentication,
            format!(
                "the device refused the crypto officer's password, and {limit}: it is not sent \
                 again; correct `{FIELD}` in the credentials and open the device anew"
            ),
        )
    }
}

impl fmt::Debug for OfficerPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficerPassword")
            .field("given", &self.password.is_ok())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{CredentialEntry, Credentials};

    fn password(entry: CredentialEntry) -> OfficerPassword {
        let uri: DeviceUri = "x+mem://device?credentials=noc".parse().unwrap();
        let credentials = Credentials::from_environment().with(entry);
        let context = OpenContext::new().with_credentials(credentials);
        OfficerPassword::new(&context, &uri, Oid::from([1, 3]), Some(3))
    }

    #[test]
    fn a_refused_password_is_not_sent_again() {
        let officer = password(CredentialEntry::new("noc").with(FIELD, "correct horse"));
        let request = officer.request().unwrap();
        assert!(request.is_secret(0));
        assert_eq!(request.binds()[0].value, Value::text("correct horse"));
        let error = officer.refuse();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.message().contains("after 3 wrong ones"), "{error}");
        let again = officer.request().unwrap_err();
        assert_eq!(again.message(), error.message());
        assert!(!format!("{officer:?} {error:?}").contains("horse"));
    }

    #[test]
    fn a_missing_password_is_named() {
        let officer = password(CredentialEntry::new("noc").with("user", "noc"));
        let error = officer.request().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(
            error.message().contains("`noc` have no `officer_password`"),
            "{error}"
        );
    }
}
