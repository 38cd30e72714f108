//! The program as a process: killed, told to stop, told to reload, started wrongly, and on a full disk.

mod case;
mod clock;
mod disk;
mod faults;
mod kill;
mod power;
mod refused;
mod signals;
mod taken;
mod token;
