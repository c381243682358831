//! The built program and the repository around it, from outside.

mod cli_contract;
mod forgotten;
mod generated;
mod hostile;
mod program;
mod replay;
mod rules;
mod tree;
