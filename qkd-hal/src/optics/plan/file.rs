//! The form of a plan in files and messages: readable, with its digest.

use super::{Fingerprint, Plan, Step, fingerprint::hex_digits};
use crate::{Identity, optics::Port};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, collections::BTreeSet};

/// Name and version of the form.
const FORMAT: &str = "qkd-switch-plan/1";

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    format: Cow<'a, str>,
    device: Cow<'a, Identity>,
    ports: Cow<'a, BTreeSet<Port>>,
    covered: Cow<'a, BTreeSet<Port>>,
    fingerprint: Option<Fingerprint>,
    steps: Cow<'a, [Step]>,
    /// SHA-256 over the canonical encoding, in hexadecimal digits.
    digest: Cow<'a, str>,
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Form {
            format: FORMAT.into(),
            device: Cow::Borrowed(&self.device),
            ports: Cow::Borrowed(&self.ports),
            covered: Cow::Borrowed(&self.covered),
            fingerprint: self.fingerprint,
            steps: Cow::Borrowed(&self.steps),
            digest: hex_digits(&self.digest, &mut [0; 64]).into(),
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for Plan {
    /// Refuses a plan whose digest is not that of its content: it was changed after it was made.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(d)?;
        if form.format != FORMAT {
            return Err(D::Error::custom(format!(
                "the format of the plan is `{}`; `{FORMAT}` is expected",
                crate::text::printable(&form.format, 40)
            )));
        }
        let plan = Self::new(
            super::builder::without_firmware(form.device.into_owned()),
            form.ports.into_owned(),
            form.covered.into_owned(),
            form.fingerprint,
            form.steps.into_owned(),
        );
        plan.check_steps().map_err(D::Error::custom)?;
        let mut digits = [0; 64];
        let digest = hex_digits(&plan.digest, &mut digits);
        if form.digest == digest {
            Ok(plan)
        } else {
            Err(D::Error::custom(format!(
                "the digest of the plan is {digest} and not that in the plan: the plan was changed \
                 after it was made; plan again"
            )))
        }
    }
}
