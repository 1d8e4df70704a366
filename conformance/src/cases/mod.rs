//! The cases, by subject. A case relies on [`crate::case_context::CaseContext`]; its impact states
//! what it may change.

mod attenuator;
mod declarations;
mod device;
pub(crate) mod encryptor;
mod events;
mod exclusive_port;
mod failover;
mod key_delivery;
mod key_roll;
mod made_up;
mod module;
mod parameters;
mod power;
mod protection;
mod random;
mod recovery;
mod switch;
mod switching;

pub(crate) use key_roll::settled;
pub(crate) use made_up::synthetic_key;
pub(crate) use parameters::different_value as another_value;
pub(crate) use switching::change;

use crate::case::Case;
use std::sync::LazyLock;

/// Returns all cases in the order of the requirements.
#[must_use]
pub fn all() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let mut all: Vec<Case> = [
            device::CASES,
            declarations::CASES,
            parameters::CASES,
            recovery::CASES,
            events::CASES,
            exclusive_port::CASES,
            switch::CASES,
            switching::CASES,
            power::CASES,
            attenuator::CASES,
            protection::CASES,
            failover::CASES,
            encryptor::CASES,
            key_roll::CASES,
            module::CASES,
            key_delivery::CASES,
            random::CASES,
        ]
        .concat();
        let order: std::collections::HashMap<&str, usize> = crate::requirement::all()
            .iter()
            .enumerate()
            .map(|(n, r)| (r.id.as_str(), n))
            .collect();
        all.sort_by_key(|c| order.get(c.requirement()).copied().unwrap_or(usize::MAX));
        all
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement;
    use std::collections::BTreeSet;

    #[test]
    fn every_requirement_has_a_case_and_every_case_a_requirement() {
        let of_cases: BTreeSet<&str> = all().iter().map(Case::requirement).collect();
        let known: BTreeSet<&str> = requirement::all().iter().map(|r| r.id.as_str()).collect();
        assert_eq!(of_cases, known);
        assert_eq!(
            known.len(),
            requirement::all().len(),
            "an id is given twice"
        );
        let ids: BTreeSet<&str> = all().iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), all().len(), "a case's id is given twice");
    }

    #[test]
    fn at_least_sixty_requirements_and_half_of_the_cases_are_negative() {
        assert!(requirement::all().len() >= 60);
        let negative = all().iter().filter(|c| c.negative).count();
        assert!(2 * negative >= all().len(), "{negative} of {}", all().len());
    }

    #[test]
    fn no_case_has_a_higher_impact_than_its_requirement() {
        for case in all() {
            let requirement = requirement::find(case.requirement()).unwrap();
            assert!(
                case.impact <= requirement.impact,
                "{}: {} > {}",
                case.id,
                case.impact,
                requirement.impact
            );
        }
    }
}
