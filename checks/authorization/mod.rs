//! Hop 8 and beside it: who may do what.

pub(crate) mod anonymous_granted_privileges;
pub(crate) mod auth_delegator_missing;
