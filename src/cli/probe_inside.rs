//! `probe-inside`: what runs in the pod of a probe. Hidden: nobody calls it but the manifest that `probe` makes.

use clap::Args;

use super::check::runtime;
use crate::exit::Exit;
use crate::probe::inside;
use crate::probe::task::{KubeletTask, Task};
use crate::ui::Ui;

/// Where the kubelet reads what a container said last.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Dial what the arguments say with the identity of this pod, and say what came of it
#[derive(Debug, Args)]
pub(super) struct InsideArgs {
    /// A kubelet
    #[arg(long, value_name = "NODE,ADDRESS,PORT[,PATH]")]
    kubelet: Vec<KubeletTask>,
    /// An API server
    #[arg(long, value_name = "ADDRESS:PORT")]
    api: Vec<String>,
    /// metrics-server's Service
    #[arg(long, value_name = "ADDRESS:PORT")]
    service: Option<String>,
    /// Show the token of this pod to kubelets that its CA verifies
    #[arg(long)]
    token: bool,
    /// The time for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u64,
}

pub(super) fn run(args: &InsideArgs, ui: Ui) -> Exit {
    let task = Task {
        kubelets: args.kubelet.clone(),
        api: args.api.clone(),
        service: args.service.clone(),
        token: args.token,
        seconds: args.seconds.clamp(1, 600),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return failure.tell(ui),
    };
    let said = runtime.block_on(inside::look(&task));
    // A resolver that hangs must not hold up the end.
    runtime.shutdown_background();
    say(&said, ui)
}

/// Leaves a message for the kubelet. The log says it too, for whoever runs this by hand.
pub(super) fn say(said: &str, ui: Ui) -> Exit {
    let told = ui.out(&format!("{said}\n"));
    match std::fs::write(TERMINATION_LOG, said) {
        Ok(()) => Exit::Clean,
        Err(_) if told.is_ok() => Exit::Undecided,
        Err(_) => Exit::Bug,
    }
}
