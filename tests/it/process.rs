//! The program as a process: killed, told to stop, told to reload or left to find out, started wrongly, on a full disk, and with webhooks under way.

mod case;
mod clock;
mod disk;
mod faults;
mod guest;
mod kill;
mod power;
mod refused;
mod shadow;
mod signals;
#[cfg(feature = "workbench")]
mod signed;
mod taken;
mod token;
mod watch;
mod webhooks;
