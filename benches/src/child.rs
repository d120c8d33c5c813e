//! The processes that are measured, and their end.
//!
//! Deliberately absent: what they are; see who starts them.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use crate::pin;

/// A process that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts a server on `core` that writes its address to standard output, in a line of its own.
    ///
    /// # Errors
    ///
    /// When it does not start, or says no address.
    pub(crate) fn serving(
        command: &mut Command,
        core: Option<usize>,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = pin::on(core, || command.spawn())?;
        let mut process = Self(child.context("a server cannot be started")?);
        let stdout = process.0.stdout.take().context("a server without output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .context("a server that says no address")?;
        Ok((process, address))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of the loopback interface that nobody listened at a moment ago.
///
/// # Errors
///
/// When there is none.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
