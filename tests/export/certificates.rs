//! A receiver's certificate, and the authority that vouches for it.

use crate::authority::{Authority, FUTURE, Issued};

/// An authority, and a server of the name `localhost` that it vouches for.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) server: String,
    pub(crate) server_key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let Issued { certificate, key } = authority.issue("localhost", FUTURE);
        Self {
            authority: authority.certificate,
            server: certificate,
            server_key: key,
        }
    }
}
