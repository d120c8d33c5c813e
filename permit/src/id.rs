//! The form of an id: the canonical lowercase form of a UUID, and no other that could mean the same.
//!
//! Deliberately absent: making one.

/// Whether `id` is a UUID in its canonical lowercase form.
///
/// # Examples
///
/// ```
/// assert!(admit_permit::is_uuid("3f2504e0-4f89-41d3-9a0c-0305e82c3301"));
/// assert!(!admit_permit::is_uuid("3F2504E0-4F89-41D3-9A0C-0305E82C3301"));
/// ```
#[must_use]
pub fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
        })
}

/// Whether `id` is a version 7 UUID in its canonical lowercase form, as the id of a decision is.
///
/// # Examples
///
/// ```
/// assert!(admit_permit::is_uuid_v7("0197f0a4-5c00-7abc-8def-0123456789ab"));
/// assert!(!admit_permit::is_uuid_v7("3f2504e0-4f89-41d3-9a0c-0305e82c3301"));
/// ```
#[must_use]
pub fn is_uuid_v7(id: &str) -> bool {
    is_uuid(id) && id.as_bytes().get(14) == Some(&b'7')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let id = "0197f0a4-5c00-7abc-8def-0123456789ab";
        assert!(is_uuid(id) && is_uuid_v7(id));
        for other in [
            "",
            "0197f0a45c007abc8def0123456789ab",
            "{0197f0a4-5c00-7abc-8def-0123456789ab}",
            "0197F0a4-5c00-7abc-8def-0123456789ab",
            "0197f0a4-5c00-7abc-cdef-0123456789ab",
            "0197f0a4-5c00-7abc-8def-0123456789a",
            "0197f0a4-5c00-7abc-8def-0123456789abc",
            "0197f0a4-5c00-7abc-8def-0123456789ag",
            "0197f0a405c00-7abc-8def-0123456789ab",
        ] {
            assert!(!is_uuid(other) && !is_uuid_v7(other), "{other}");
        }
        let random = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
        assert!(is_uuid(random) && !is_uuid_v7(random));
    }
}
