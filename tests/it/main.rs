//! The built program and the repository around it, from outside.

mod cli_contract;
mod config;
mod config_map;
mod corpus;
mod forgotten;
mod formats;
mod gate;
mod gate_replay;
mod generated;
mod hostile;
mod hosts;
mod http;
mod in_cluster;
#[cfg(unix)]
mod probe;
mod program;
#[cfg(unix)]
mod proofs;
mod reading;
mod replay;
mod rules;
mod tree;
mod waiting;
mod xmllint;
mod xsd;
