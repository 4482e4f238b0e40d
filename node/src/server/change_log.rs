//! Every change of the store as a line of the log, at level debug.

use tokio::sync::mpsc;

use super::driver::Ask;
use crate::replica::Notice;

/// Notices that wait to be logged.
const NOTICES_MAX: usize = 64;

/// Logs changes for as long as the node runs. Changes that come faster than they can be logged are
/// left out, which the log says.
pub(super) async fn run(asks: mpsc::Sender<Ask>) {
    loop {
        let (sender, mut notices) = mpsc::channel(NOTICES_MAX);
        if asks.send(Ask::Subscribe { notices: sender }).await.is_err() {
            return;
        }
        while let Some(Notice::Changes(changes)) = notices.recv().await {
            for change in changes.iter() {
                tracing::debug!("applied {change}");
            }
        }
        if asks.is_closed() {
            return;
        }
        tracing::debug!("some changes are not logged: they came faster than they could be");
    }
}
