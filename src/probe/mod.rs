//! Looking from within: pods in metrics-server's place, with its identity and on its nodes, and pods that look at the
//! machines beneath. Both live for seconds.
//!
//! The only part of the program that changes anything in a cluster, on a path of its own: [`client`] can make, list and
//! remove pods and namespaces of probes, and [`guard`] lets nothing else leave.
//!
//! | file        | what it does                                                             |
//! |-------------|--------------------------------------------------------------------------|
//! | `plan`      | in whose place, on which nodes, what is dialled                          |
//! | `nodes`     | the sample of nodes                                                      |
//! | `labels`    | which of metrics-server's labels a probe carries                         |
//! | `manifest`  | the pod                                                                  |
//! | `run`       | the names of a run, and when it is dead                                  |
//! | `guard`     | what may leave                                                           |
//! | `client`    | the way to the API server                                                |
//! | `errand`    | what pods are sent out for: what differs between the two kinds           |
//! | `machine`   | the pods that look at machines                                           |
//! | `carry`     | a run: make, wait, read                                                  |
//! | `cleanup`   | removing, also what earlier runs have left                               |
//! | `task`      | what the pod is told                                                     |
//! | `inside`    | the program in the pod                                                   |
//! | `message`   | what it says when it ends, in 4096 bytes                                 |
//! | `report`    | what it saw, as a recording holds it                                     |

pub mod carry;
pub mod cleanup;
pub mod client;
pub mod errand;
pub mod guard;
pub mod inside;
pub mod labels;
pub mod machine;
pub mod manifest;
pub mod message;
pub mod nodes;
pub mod plan;
pub mod report;
pub mod run;
pub mod task;
