//! The engine against rules as programs write them.

mod forward;
mod limits;
