//! How much of the files of TLS, and of what a client shows, is read.

/// Largest file of certificates, in bytes.
pub const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file of a private key, in bytes.
pub const KEY_BYTES_MAX: u64 = 16 * 1024;
/// Most certificates of the server: its own and those between it and an authority.
pub const SERVER_CHAIN_MAX: usize = 8;
/// Most authorities of clients.
pub const AUTHORITIES_MAX: usize = 256;
/// Most certificates that a client may show: its own and those between it and an authority.
pub const CLIENT_CHAIN_MAX: usize = 8;
