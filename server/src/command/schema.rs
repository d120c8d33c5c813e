//! `admitd schema`: the JSON Schema of admission files, for editors.

/// The JSON Schema (draft 2020-12) of an admission file. What a schema cannot say (no secret, no
/// endpoint, no repeated key) is checked by `admitd validate`.
pub const ADMISSION: &str = include_str!("admission.schema.json");
