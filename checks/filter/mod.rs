//! The packet filter of a machine, and what it lets through.

use serde::{Deserialize, Serialize};

/// The rules that forwarded and incoming packets meet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filters {}

/// What has been programmed for Services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceRules {}
