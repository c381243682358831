//! Hop 2: from the Service to the pods.

pub(crate) mod service_port_name_unresolved;
pub(crate) mod service_selector_matches_nothing;
