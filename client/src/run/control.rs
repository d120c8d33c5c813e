//! What the wrapper and its keeper tell each other, one JSON object a line over a socket that only
//! they have.
//!
//! The end of the stream says something too: to the keeper, that the wrapper is gone; to the
//! wrapper, that the keeper is.

use std::{
    io::{self, Write as _},
    os::unix::net::UnixStream as StdStream,
    process::Stdio,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::UnixStream,
};

/// Longest line, in bytes. The longest that is ever sent has far fewer.
const LINE_BYTES_MAX: u64 = 4096;

/// From the wrapper to the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// Pass this signal to the process.
    Signal(i32),
    /// End the process: TERM, and KILL after the grace.
    End,
}

/// From the keeper, or from the process before it becomes the command, to the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum News {
    /// The next thing that this process does is to become the command.
    Enters,
    /// A file was not what was stated; nothing was started.
    Changed,
    /// The command could not be started; the number of the system's error.
    NotStarted(i32),
    /// The command ended with this exit code.
    Exited(i32),
    /// The command was ended by this signal.
    Signaled(i32),
    /// Something that the command started could not be killed.
    Survived,
}

/// `message` as it is sent.
pub(super) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The messages that come in.
pub(super) struct Incoming<R>(BufReader<R>);

impl<R: tokio::io::AsyncRead + Unpin> Incoming<R> {
    pub(super) fn new(stream: R) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next message; `None` at the end of the stream. What cannot be read is its end as well.
    ///
    /// Not cancel safe: whoever waits for something besides has to keep the future.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut line = Vec::new();
        let read = (&mut self.0)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await;
        match read {
            Ok(length) if length > 0 => serde_json::from_slice(&line).ok(),
            Ok(_) | Err(_) => None,
        }
    }
}

/// The two ends of a new control socket: the wrapper's, and what the keeper gets as its standard
/// input.
pub(super) fn pair() -> io::Result<(UnixStream, Stdio)> {
    let (own, keepers) = StdStream::pair()?;
    own.set_nonblocking(true)?;
    Ok((
        UnixStream::from_std(own)?,
        Stdio::from(std::os::fd::OwnedFd::from(keepers)),
    ))
}

/// Tells the wrapper. One that is gone needs no telling.
pub(super) fn tell(control: &mut StdStream, news: News) {
    if let Ok(line) = line(&news) {
        // The socket may be non-blocking; its buffer has room for so few bytes.
        let _ = control.write_all(&line);
    }
}

/// This process's end of the control socket, which it was started with as standard input. The copy is
/// closed on exec.
pub(super) fn inherited() -> io::Result<StdStream> {
    let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    Ok(StdStream::from(copy))
}
