//! DiCon switches: the GP600 matrix in [`gp600`], MEMS 1×N modules in [`mems`].

pub mod gp600;
pub mod mems;
pub(super) mod profile;
