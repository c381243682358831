//! Faults: what breaks clusters in the field, made on a cluster that works. Whether a fault shows, and where, is for the
//! caller to wait for; how it is cured, for the caller to try.

mod dns;
mod host;
mod identity;
mod kubelet;
mod network;
mod policy;

pub use network::{Firewall, Refusal};
pub use policy::NetworkPolicy;
