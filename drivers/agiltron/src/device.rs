//! Implementation of the contract for the two products.

pub(crate) mod ff;
pub(crate) mod self_align;
