//! The program as a process: killed, told to stop, told to reload, started wrongly, and on a full disk.

mod case;
mod disk;
mod kill;
mod refused;
mod signals;
mod token;
