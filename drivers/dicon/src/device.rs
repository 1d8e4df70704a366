//! The two products behind the contract.

pub(crate) mod gp600;
pub(crate) mod mems;
