//! Ctrl-C: the first asks for the report so far, the second ends the program.

use futures::stream::{self, BoxStream, StreamExt as _};
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

    /// Listens from now on to everything that asks a program to end, and never ends it at once: whoever made something
    /// removes it first.
    pub(super) fn patient() -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut signals = signals();
        // The signals are caught from the first poll on, and a task of its own may start later.
        let early = futures::FutureExt::now_or_never(signals.next()).flatten();
        tokio::spawn(async move {
            if early.is_none() && signals.next().await.is_none() {
                std::future::pending::<()>().await;
            }
            stop.send_replace(true);
            // Each further one is swallowed.
            while signals.next().await.is_some() {}
            std::future::pending::<()>().await;
        });
        Self(stopped)
    }

    /// Knows it without waiting.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    /// Returns when the user wants to stop.
    pub(super) async fn wanted(&self) {
        if self.0.clone().wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ctrl-C, the end of the terminal, and what systems and supervisors send.
#[cfg(unix)]
fn signals() -> BoxStream<'static, ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let caught = kinds.into_iter().filter_map(|kind| signal(kind).ok());
    let each = caught.map(|signal| {
        stream::unfold(signal, |mut signal| async { signal.recv().await.map(|()| ((), signal)) }).boxed()
    });
    stream::select_all(each).boxed()
}

/// Ctrl-C.
#[cfg(not(unix))]
fn signals() -> BoxStream<'static, ()> {
    stream::unfold((), |()| async { ctrl_c().await.ok().map(|()| ((), ())) }).boxed()
}
