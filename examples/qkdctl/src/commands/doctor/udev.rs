//! udev rules: whether those of `docs/udev` are installed.

use super::{Finding, host::Host};

const CHECK: &str = "udev rules";

/// A file, and what it should say.
pub(super) type Rules = (&'static str, &'static str);
pub(super) const QUANTIS: Rules = (
    "70-qkd-idq-quantis.rules",
    include_str!("../../../udev/70-qkd-idq-quantis.rules"),
);
pub(super) const FTDI: Rules = (
    "70-qkd-ftdi-serial.rules",
    include_str!("../../../udev/70-qkd-ftdi-serial.rules"),
);

/// Where udev looks (udev(7)); the first file of a name counts.
const FOLDERS: [&str; 5] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
];

fn found(machine: &Host, name: &str) -> Option<(String, String)> {
    FOLDERS
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find_map(|path| machine.read(&path).map(|text| (path, text)))
}

pub(super) fn installed(machine: &Host, name: &str) -> bool {
    found(machine, name).is_some()
}

pub(super) fn check(machine: &Host) -> Vec<Finding> {
    [QUANTIS, FTDI]
        .into_iter()
        .map(|(name, text)| {
            let todo = format!(
                "sudo install -m 644 docs/udev/{name} /etc/udev/rules.d/ && sudo \
                udevadm control --reload && sudo udevadm trigger"
            );
            match found(machine, name) {
                Some((path, there)) if there == text => {
                    Finding::ok(CHECK, format!("{path} is as it should be"))
                }
                Some((path, _)) => Finding::warn(
                    CHECK,
                    format!("{path} is another than that of this program"),
                    format!("compare them, or {todo}"),
                ),
                None => Finding::warn(
                    CHECK,
                    format!(
                        "{name} is not installed: without it, only \
                    root or a group may open its devices"
                    ),
                    todo,
                ),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, host::fake::Fake},
        *,
    };

    #[test]
    fn rules_are_compared_with_those_of_the_project() {
        let fake = Fake::new();
        let grades = || {
            check(&fake.machine())
                .iter()
                .map(|f| f.grade)
                .collect::<Vec<_>>()
        };
        assert_eq!(grades(), [Grade::Warn, Grade::Warn]);
        fake.file(
            "/lib/udev/rules.d/70-qkd-idq-quantis.rules",
            QUANTIS.1,
            0o644,
        );
        assert_eq!(grades(), [Grade::Ok, Grade::Warn]);
        // What an operator wrote goes before what a package brought.
        fake.file(
            "/etc/udev/rules.d/70-qkd-idq-quantis.rules",
            "# mine\n",
            0o644,
        );
        assert_eq!(grades(), [Grade::Warn, Grade::Warn]);
    }

    /// `KEY{attribute}OPERATOR"value"`, separated by commas (udev(7)), and what makes these rules
    /// do their work.
    #[test]
    fn rules_are_well_formed() {
        const KEYS: [&str; 11] = [
            "ACTION",
            "SUBSYSTEM",
            "SUBSYSTEMS",
            "ENV",
            "ATTR",
            "ATTRS",
            "MODE",
            "GROUP",
            "TAG",
            "SYMLINK",
            "KERNEL",
        ];
        for (name, text) in [QUANTIS, FTDI] {
            let rules: Vec<&str> = text
                .lines()
                .filter(|l| !l.is_empty() && !l.starts_with('#'))
                .collect();
            assert!(!rules.is_empty() && text.ends_with('\n'), "{name}");
            for rule in rules {
                for part in rule.split(", ") {
                    let (left, value) = part
                        .split_once('"')
                        .unwrap_or_else(|| panic!("{name}: {part}"));
                    assert!(
                        value.ends_with('"') && value.matches('"').count() == 1,
                        "{name}: {part}"
                    );
                    let key = left.trim_end_matches(['=', '!', '+']);
                    assert!(
                        matches!(&left[key.len()..], "==" | "!=" | "=" | "+="),
                        "{name}: {part}"
                    );
                    let bare = key.split('{').next().unwrap();
                    assert!(
                        KEYS.contains(&bare) && (bare == key || key.ends_with('}')),
                        "{name}: {part}"
                    );
                }
                assert!(
                    rule.contains(r#"TAG+="uaccess""#) && rule.contains(r#"SYMLINK+="qkd/"#),
                    "{name}"
                );
            }
        }
        assert!(
            QUANTIS
                .1
                .contains(r#"ATTR{idVendor}=="0aba", ATTR{idProduct}=="0102""#),
            "the ids of the driver"
        );
    }
}
