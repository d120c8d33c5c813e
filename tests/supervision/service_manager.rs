//! A service manager, as far as the daemon can tell: a socket that notifications arrive at.

use std::{os::unix::net::UnixDatagram as StdUnixDatagram, time::Duration};

use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::daemon::PATIENCE;

/// Longest notification that is read, in bytes.
const NOTIFICATION_BYTES_MAX: usize = 4096;

/// The manager's end of the notification socket.
pub(crate) struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = StdUnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket: UnixDatagram::from_std(socket).unwrap(),
            folder,
        }
    }

    /// What a service gets in its environment.
    pub(crate) fn env(&self, watchdog: Duration) -> Vec<(String, String)> {
        let socket = self.folder.path().join("notify");
        vec![
            ("NOTIFY_SOCKET".into(), socket.to_str().unwrap().into()),
            ("WATCHDOG_USEC".into(), watchdog.as_micros().to_string()),
        ]
    }

    /// The next notification.
    pub(crate) async fn next(&self) -> String {
        let mut bytes = [0; NOTIFICATION_BYTES_MAX];
        let length = self.socket.recv(&mut bytes).await.unwrap();
        String::from_utf8(bytes.get(..length).unwrap().to_vec()).unwrap()
    }

    /// Waits for a notification that has this line; that notification.
    pub(crate) async fn told(&self, line: &str) -> String {
        self.told_within(PATIENCE, line).await
    }

    /// The same with a patience of its own.
    pub(crate) async fn told_within(&self, patience: Duration, line: &str) -> String {
        let found = async {
            loop {
                let notification = self.next().await;
                if notification.lines().any(|said| said == line) {
                    return notification;
                }
            }
        };
        let found = tokio::time::timeout(patience, found).await;
        found.unwrap_or_else(|_| panic!("`{line}` was not said"))
    }
}
