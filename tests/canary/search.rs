//! The search for a text in everything that was produced, also where it was encoded on the way.

use std::{fs, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Shortest canary: a shorter text could be there by chance, in some encoding.
const CANARY_BYTES_MIN: usize = 14;

/// What was produced, by where it stood.
#[derive(Default)]
pub(crate) struct Haystack(Vec<(String, Vec<u8>)>);

impl Haystack {
    pub(crate) fn add(&mut self, place: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.push((place.into(), content.into()));
    }

    /// Every file below `folder`, with its name.
    pub(crate) fn add_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let place = path.display().to_string();
            self.add("a name of a file", place.clone());
            if path.is_dir() {
                self.add_folder(&path);
            } else {
                self.add(place, fs::read(&path).unwrap());
            }
        }
    }

    /// Whether `text` stands, as it is, in a place whose name has `part`.
    pub(crate) fn has(&self, part: &str, text: &str) -> bool {
        let mut places = self.0.iter().filter(|(place, _)| place.contains(part));
        places.any(|(_, content)| contains(content, text.as_bytes()))
    }

    /// Where `canary` is, and in which form.
    pub(crate) fn find(&self, canary: &str) -> Vec<String> {
        assert!(canary.len() >= CANARY_BYTES_MIN, "{canary}");
        let mut found = Vec::new();
        for (place, content) in &self.0 {
            let lowered = content.to_ascii_lowercase();
            for (form, text) in forms(canary) {
                // Base64 has a meaning of case; every other form has none.
                let is_there = if form == "base64" {
                    contains(content, &text)
                } else {
                    contains(&lowered, &text.to_ascii_lowercase())
                };
                let at = format!("{form} in {place}");
                if is_there && !found.contains(&at) {
                    found.push(at);
                }
            }
        }
        found
    }
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else {
        return true;
    };
    let mut from = content;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        from = from.get(at + 1..).unwrap();
        if from.starts_with(rest) {
            return true;
        }
    }
    false
}

/// `canary` as it is, and as it would be behind an encoding.
fn forms(canary: &str) -> Vec<(&'static str, Vec<u8>)> {
    let each = |form: &dyn Fn(u8) -> String| -> Vec<u8> {
        canary.bytes().map(form).collect::<String>().into_bytes()
    };
    let mut forms = vec![
        ("itself", canary.as_bytes().to_vec()),
        ("hexadecimal", each(&|byte| format!("{byte:02x}"))),
        ("percent", each(&|byte| format!("%{byte:02x}"))),
        ("escaped", each(&|byte| format!("\\u{byte:04x}"))),
        ("bytes", numbers(canary.as_bytes())),
        ("reversed", canary.bytes().rev().collect()),
    ];
    // In base64 a text looks in three ways, by what stands before it; its ends mix with their
    // neighbors and are left out.
    for before in 0..3_usize {
        let text = [vec![0; before], canary.as_bytes().to_vec()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let first = (before * 8).div_ceil(6);
            let last = text.len() * 8 / 6;
            let inner = encoded.get(first..last).unwrap();
            forms.push(("base64", inner.as_bytes().to_vec()));
        }
    }
    forms
}

/// The bytes as a program prints a list of them.
fn numbers(bytes: &[u8]) -> Vec<u8> {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    numbers.join(", ").into_bytes()
}

#[test]
fn the_search_finds_what_is_there() {
    let canary = "zq7canary000selfcheck";
    let upper = canary.to_uppercase();
    let standard = base64::engine::general_purpose::STANDARD;
    let encoded: [(&str, Vec<u8>); 12] = [
        ("itself", format!("before {canary} behind").into()),
        ("itself", format!("{upper}_API_KEY").into()),
        ("itself", [b"\xff\0", canary.as_bytes()].concat()),
        ("hexadecimal", crate::hex(canary).into()),
        ("hexadecimal", crate::hex(canary).to_uppercase().into()),
        (
            "percent",
            canary
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect::<String>()
                .into(),
        ),
        ("base64", standard.encode(canary).into()),
        ("base64", standard.encode(format!("1{canary}9")).into()),
        ("base64", standard.encode(format!("12{canary}98")).into()),
        (
            "base64",
            URL_SAFE_NO_PAD.encode(format!("123{canary}?>~")).into(),
        ),
        ("bytes", format!("{:?}", canary.as_bytes()).into()),
        ("reversed", canary.chars().rev().collect::<String>().into()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    for (form, content) in encoded {
        let file = below.join("file");
        fs::write(&file, &content).unwrap();
        let mut haystack = Haystack::default();
        haystack.add_folder(folder.path());
        let found = haystack.find(canary);
        assert_eq!(found, [format!("{form} in {}", file.display())]);
        assert!(haystack.find("zq7canary001selfcheck").is_empty());
        fs::remove_file(file).unwrap();
    }
    fs::write(below.join(format!("a-{canary}")), "").unwrap();
    let mut haystack = Haystack::default();
    haystack.add_folder(folder.path());
    assert_eq!(haystack.find(canary), ["itself in a name of a file"]);
}
