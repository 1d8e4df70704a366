//! `list`: profiles, requirements and cases.

use crate::{cases, profile, requirement};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only the requirements of this profile.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The cases too.
    #[arg(long)]
    cases: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let chosen = match &arguments.profile {
        Some(name) => profile::find(name)?.requirements().collect(),
        None => {
            println!("Profiles:");
            for (name, profile) in profile::all() {
                println!(
                    "  {name:16} {} ({} requirements)",
                    profile.title,
                    profile.requirements().count()
                );
            }
            println!("\nRequirements:");
            requirement::all().iter().collect::<Vec<_>>()
        }
    };
    for requirement in chosen {
        println!(
            "  {}  {:11}  {}",
            requirement.id, requirement.impact, requirement.sentence
        );
        if arguments.cases {
            for case in cases::all()
                .iter()
                .filter(|c| c.requirement() == requirement.id)
            {
                println!(
                    "      {}{}: {}",
                    case.id,
                    if case.negative { " (negative)" } else { "" },
                    case.title
                );
            }
        }
    }
    Ok(0)
}
