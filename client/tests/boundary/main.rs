//! The border to the server: what the library and the command make of every kind of answer.
//!
//! The modules say `cfg(test)` so that clippy knows their functions for parts of tests.

#[cfg(feature = "command")]
#[cfg(test)]
mod check;
#[cfg(feature = "command")]
#[cfg(test)]
mod drill;
#[cfg(feature = "command")]
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod following;
#[cfg(test)]
mod library;
#[cfg(feature = "command")]
#[cfg(test)]
mod permit;
#[cfg(feature = "command")]
#[cfg(test)]
mod permit_launch;
#[cfg(feature = "command")]
#[cfg(test)]
mod reading;
#[cfg(feature = "command")]
#[cfg(test)]
mod scene;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tls;

#[cfg(test)]
#[path = "../../../tests/authority/mod.rs"]
mod authority;
