//! `list`: profiles, requirements and cases.

use crate::{cases, profile, requirement};
use clap::Args;
use qkd_driver_kit::program::console::line;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only the requirements of this profile.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Also list the cases.
    #[arg(long)]
    cases: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let chosen = match &arguments.profile {
        Some(name) => profile::find(name)?.requirements().collect(),
        None => {
            line("Profiles:");
            for (name, profile) in profile::all() {
                line(&format!(
                    "  {name:16} {} ({} requirements)",
                    profile.title,
                    profile.requirements().count()
                ));
            }
            line("\nRequirements:");
            requirement::all().iter().collect::<Vec<_>>()
        }
    };
    for requirement in chosen {
        line(&format!(
            "  {}  {:11}  {}",
            requirement.id, requirement.impact, requirement.sentence
        ));
        if arguments.cases {
            for case in cases::all()
                .iter()
                .filter(|c| c.requirement() == requirement.id)
            {
                line(&format!(
                    "      {}{}: {}",
                    case.id,
                    if case.negative { " (negative)" } else { "" },
                    case.title
                ));
            }
        }
    }
    Ok(0)
}
