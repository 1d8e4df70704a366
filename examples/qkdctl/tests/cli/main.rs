//! The program from end to end: as a child process, over pipes and on terminals, against emulators
//! on their real wires.

#![allow(clippy::unwrap_used)]

mod bench;
mod conform;
mod devices;
mod doctor;
mod documents;
mod encryptor_shapes;
mod encryptors;
mod hostile;
mod interrupted;
mod keys;
mod locks;
mod pairs;
mod protection;
mod readme;
mod rolls;
mod schemas;
mod signals;
mod switches;
mod terminal;
mod unwritable;
mod verbs;
mod watch;
