//! The engine against rules as programs write them.

mod forward;
mod kernel;
mod limits;
