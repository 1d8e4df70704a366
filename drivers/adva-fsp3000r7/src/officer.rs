//! SETs with the crypto officer's password, and their results.

use crate::{
    device::Fsp3000R7,
    proto::{PASSWORD_TRIES, PasswordResult, count, decode_count, decode_password_result, oid},
};
use qkd_driver_kit::link::{
    snmp::{Oid, SetRequest},
    snmp_client::SnmpCall,
};
use qkd_hal::{Effect, Error, ErrorKind, Result};
use std::time::Duration;

/// Interval at which the result of a SET is read.
const POLL: Duration = Duration::from_millis(100);

impl Fsp3000R7 {
    /// Sets varbinds in one PDU with the officer's password, and waits until the device shows the
    /// result of this PDU. The caller holds the [`turns`](Self::turns): the device shows the last
    /// result only.
    ///
    /// # Errors
    /// `Authentication` if there is no password, if it was refused, or if one more wrong one would
    /// lock the input; `Refused`; `Timeout` with effect `Unknown` if no result is shown.
    pub(crate) async fn change(
        &self,
        call: &SnmpCall<'_>,
        operation: &'static str,
        fill: impl FnOnce(SetRequest) -> SetRequest,
    ) -> Result<()> {
        let request = fill(self.officer.request()?);
        self.check_tries_left(call).await?;
        let id = match call.try_set(operation, request).await {
            Ok(id) => id,
            // Which error-status a wrong password causes is not published.
            Err(refusal) => return Err(self.officer.judge(refusal).with_operation(operation)),
        };
        let unknown = |e: Error| e.with_operation(operation).with_effect(Effect::Unknown);
        loop {
            let names = [oid::PASSWORD_REQUEST, oid::PASSWORD_ERROR].map(Oid::from);
            let shown = call.get(&names).await.map_err(unknown)?;
            let of = count(&shown[0], "cryptoOfficerPasswordReqId").map_err(Error::from);
            let result = decode_password_result(&shown[1]).map_err(Error::from);
            if of.map_err(unknown)? == u64::from(id.unsigned_abs()) {
                match result.map_err(unknown)? {
                    PasswordResult::Ok => return Ok(()),
                    PasswordResult::Invalid | PasswordResult::Rejected => {
                        return Err(self.officer.refuse().with_operation(operation));
                    }
                    // Not checked yet.
                    PasswordResult::Undefined | PasswordResult::None => {}
                    other => return Err(refused(other).with_operation(operation)),
                }
            }
            if tokio::time::Instant::now() + POLL >= call.deadline() {
                return Err(unknown(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the device has not shown the result of request {id} \
                         (cryptoOfficerPasswordReqId); the request of another manager may have \
                         replaced it"
                    ),
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A password is not sent if it could be the last one that the device allows.
    async fn check_tries_left(&self, call: &SnmpCall<'_>) -> Result<()> {
        let column = oid::column(oid::MODULE_STATUS, oid::FAILED_LOGINS);
        for (_, value) in call.walk(&column).await? {
            let failed = decode_count(&value, "cryptoModuleStatusFailureLoginCount")?;
            if failed.is_some_and(|n| n + 1 >= u64::from(PASSWORD_TRIES)) {
                return Err(Error::new(
                    ErrorKind::Authentication,
                    format!(
                        "{} of {PASSWORD_TRIES} wrong officer's passwords were sent to the device, \
                         and one more locks its input: nothing was sent; enter the right password \
                         at the device first, which resets the count",
                        failed.unwrap_or_default()
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn refused(result: PasswordResult) -> Error {
    let why = match result {
        PasswordResult::NotInitialised => "it has no crypto officer's password: set one on it",
        PasswordResult::TooSimple => "the password or key is too simple for it",
        _ => "it did not check the password",
    };
    Error::new(
        ErrorKind::Refused,
        format!("the device did not carry out the SET: {why}"),
    )
    .with_vendor_code(result.keyword())
}
