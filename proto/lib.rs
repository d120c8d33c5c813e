//! The contract of Admit: the messages and services of `admit.v1`, generated from `proto/`.
//!
//! Deliberately absent: any code of our own. What the messages mean is decided in `admit-policy`;
//! how they become domain values, in `admit-server`'s `wire` module.

#![forbid(unsafe_code)]

/// Messages and services of the package `admit.v1`.
pub mod v1 {
    tonic::include_proto!("admit.v1");
}

/// The serialized `FileDescriptorSet` of the contract, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/admit_descriptor.bin"));
