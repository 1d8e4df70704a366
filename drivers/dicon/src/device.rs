//! Implementation of the contract for the two products.

pub(crate) mod gp600;
pub(crate) mod mems;
