//! What an autoscaler asks for: the specification as the controller reads it.

mod spec;

pub use spec::{HpaSpec, MetricRef, MetricSpec, MetricTarget, ObjectRef};
