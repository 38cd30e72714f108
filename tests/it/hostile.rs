//! Hostile input by the thousand, and floods against the real program.

mod floods;
mod limits;
mod smoke;
mod targets;
