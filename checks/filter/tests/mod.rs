//! The engine against rules as programs write them.

mod forward;
mod installed;
mod kernel;
mod limits;
mod pared;
