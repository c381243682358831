//! Ctrl-C: the first asks for the report so far, the second ends the program.

use tokio::signal::ctrl_c;
use tokio::sync::watch;

use crate::exit::Exit;

/// Knows whether the user wants to stop.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on.
    pub(super) async fn listen() -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut first = Box::pin(ctrl_c());
        // The signal is caught from the first poll on, and a task of its own may start later.
        let early = tokio::select! {
            biased;
            received = &mut first => Some(received),
            () = std::future::ready(()) => None,
        };
        tokio::spawn(async move {
            let mut received = match early {
                Some(received) => received,
                None => first.await,
            };
            // Where signals cannot be received, the default of the system stays in force.
            while received.is_ok() {
                if stop.send_replace(true) {
                    std::process::exit(Exit::Interrupted.code().into());
                }
                received = ctrl_c().await;
            }
            std::future::pending::<()>().await;
        });
        Self(stopped)
    }

    /// Returns when the user wants to stop.
    pub(super) async fn wanted(&self) {
        if self.0.clone().wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
