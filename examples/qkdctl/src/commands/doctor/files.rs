//! The files of this program: credentials and inventory.

use super::Finding;
use crate::inventory::Inventory;
use qkd_driver_kit::{Registry, credentials::Credentials};
use qkd_hal::DeviceUri;
use std::{os::unix::fs::PermissionsExt, path::Path};

const CREDENTIALS: &str = "credentials";
const INVENTORY: &str = "inventory";

pub(super) fn check(
    credentials: Option<&Path>,
    inventory: Option<&Path>,
    registry: &Registry,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = match credentials {
        None => {
            findings.push(Finding::ok(
                CREDENTIALS,
                "there is no file; entries may come from the environment",
            ));
            Credentials::from_environment()
        }
        Some(path) => match Credentials::from_file(path) {
            Ok(known) => {
                findings.push(Finding::ok(
                    CREDENTIALS,
                    format!("{} can be read, by its owner only", path.display()),
                ));
                known
            }
            Err(e) => {
                findings.push(Finding::fail(
                    CREDENTIALS,
                    e.message(),
                    format!("chmod 600 {}, or correct it", path.display()),
                ));
                return findings
                    .into_iter()
                    .chain(of_inventory(inventory, registry, None))
                    .collect();
            }
        },
    };
    findings.extend(of_inventory(inventory, registry, Some(&known)));
    findings
}

/// Checks that the content of the inventory is valid, and that only this user can write it.
fn of_inventory(
    path: Option<&Path>,
    registry: &Registry,
    credentials: Option<&Credentials>,
) -> Vec<Finding> {
    let Some(path) = path else {
        return vec![Finding::ok(
            INVENTORY,
            "there is no file; devices are named by their URIs",
        )];
    };
    let inventory = match Inventory::read(path) {
        Ok(inventory) => inventory,
        Err(e) => return vec![Finding::fail(INVENTORY, e.message(), "correct it")],
    };
    let mut findings = Vec::new();
    if std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o022 != 0) {
        findings.push(Finding::warn(
            INVENTORY,
            format!(
                "others may write {}, and so choose which devices you change",
                path.display()
            ),
            format!("chmod go-w {}", path.display()),
        ));
    }
    for (name, device) in &inventory.devices {
        let Ok(uri) = device.uri.parse::<DeviceUri>() else {
            continue;
        };
        if let Err(e) = registry.driver(uri.driver()) {
            findings.push(Finding::fail(
                INVENTORY,
                format!("device `{name}`: {}", e.message()),
                "correct its URI; qkdctl drivers lists the drivers",
            ));
        }
        if let (Some(entry), Some(credentials)) = (uri.parameter("credentials"), credentials)
            && credentials.entry(entry).is_err()
        {
            findings.push(Finding::fail(
                INVENTORY,
                format!("device `{name}` uses the credentials `{entry}`, which do not exist"),
                "add them to the credentials file",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            INVENTORY,
            format!(
                "{} names {} devices",
                path.display(),
                inventory.devices.len()
            ),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };

    #[test]
    fn files_are_right_or_it_is_said_what_is_wrong() {
        let fake = Fake::new();
        let registry = qkd_hardware::registry();
        let (credentials, inventory) = (
            fake.0.path().join("credentials.toml"),
            fake.0.path().join("inventory.toml"),
        );
        let found = || check(Some(&credentials), Some(&inventory), &registry);
        let grades = || found().iter().map(|f| f.grade).collect::<Vec<_>>();
        assert!(
            check(None, None, &registry)
                .iter()
                .all(|f| f.grade == Grade::Ok)
        );

        fake.file("credentials.toml", "[noc]\ncommunity = 'hunter22'\n", 0o644)
            .file("inventory.toml", "", 0o644);
        assert_eq!(
            grades(),
            [Grade::Fail, Grade::Ok],
            "others may read the credentials"
        );
        fake.file("credentials.toml", "[noc]\ncommunity = 'hunter22'\n", 0o600);
        assert_eq!(grades(), [Grade::Ok, Grade::Ok]);
        fake.file(
            "inventory.toml",
            "[devices.a]\nuri = 'polatis+tcp://h'\n",
            0o666,
        );
        assert_eq!(
            grades(),
            [Grade::Ok, Grade::Warn],
            "others may write the inventory"
        );
        fake.file(
            "inventory.toml",
            "[devices.a]\nuri = 'nobody+tcp://h'\n[devices.b]\nuri = \
            'packetlight+snmp://h?credentials=nco'\n",
            0o644,
        );
        assert_eq!(
            grades(),
            [Grade::Ok, Grade::Fail, Grade::Fail],
            "{:#?}",
            found()
        );
        fake.file(
            "inventory.toml",
            "[devices.b]\nuri = 'packetlight+snmp://h?credentials=noc'\n",
            0o644,
        );
        assert_eq!(grades(), [Grade::Ok, Grade::Ok]);
        fake.file("inventory.toml", "devices = 3", 0o644);
        assert_eq!(grades(), [Grade::Ok, Grade::Fail]);
        assert!(!format!("{:?}", found()).contains("hunter22"));
    }
}
