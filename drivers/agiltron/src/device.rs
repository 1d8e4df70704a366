//! The two products behind the contract.

pub(crate) mod ff;
pub(crate) mod self_align;
