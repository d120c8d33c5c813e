//! What somebody can do to a log who can write its directory: with the hashes made anew, and with a
//! key of his own where he has not that of the log.

use std::path::Path;

use admit_server::audit::{
    chain::{GENESIS, compose},
    keys::SigningKey,
    verify::checkpoint_message,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::recording::{lines, rewrite, segments};

/// The parts of a line that follow its links, without the hash.
fn members(line: &str) -> String {
    let (_, rest) = line.split_once("\"prev\":\"").unwrap();
    let (_, rest) = rest.split_once("\",").unwrap();
    let (members, _) = rest.rsplit_once(",\"hash\":\"").unwrap();
    members.to_owned()
}

/// One line behind `prev`, with a hash of its own; the line and the hash.
pub(crate) fn line_behind(prev: &str, line: &str, seq: Option<u64>) -> (String, String) {
    let object: Value = serde_json::from_str(line).unwrap();
    let entry_type = object["type"].as_str().unwrap();
    let mut bytes = Vec::new();
    let hash = compose(&mut bytes, entry_type, seq, prev, members(line).as_bytes());
    bytes.pop();
    (String::from_utf8(bytes).unwrap(), hash)
}

/// The hash that a line ends with.
pub(crate) fn hash_of(line: &str) -> String {
    let (_, end) = line.rsplit_once("\"hash\":\"").unwrap();
    end.trim_end_matches("\"}").to_owned()
}

/// Edits the log by `edit` and makes every hash anew. Checkpoints are signed by a new key.
pub(crate) fn rewrite_history(dir: &Path, edit: impl Fn(&str) -> String) {
    rewrite_lines(dir, |line| Some(edit(line)));
}

/// The same with all checkpoints taken out: nothing tells that the key was not there.
pub(crate) fn rewrite_unsigned(dir: &Path, edit: impl Fn(&str) -> String) {
    rewrite_lines(dir, |line| {
        let is_checkpoint = line.starts_with("{\"type\":\"checkpoint\"");
        (!is_checkpoint).then(|| edit(line))
    });
}

fn rewrite_lines(dir: &Path, edit: impl Fn(&str) -> Option<String>) {
    let own = TempDir::new().unwrap();
    let key = SigningKey::load_or_make(&own.path().join("key")).unwrap();
    let mut prev = GENESIS.to_owned();
    for segment in segments(dir) {
        let mut forged = Vec::new();
        for (line, _) in lines(&segment) {
            let Some(mut line) = edit(&line) else {
                continue;
            };
            let object: Value = serde_json::from_str(&line).unwrap();
            if object["type"] == "checkpoint" {
                let stream_id = object["stream_id"].as_str().unwrap();
                let last_seq = object["last_seq"].as_u64().unwrap();
                let message = checkpoint_message(stream_id, last_seq, &prev);
                for (name, value) in [("key", key.public()), ("signature", key.sign(&message))] {
                    let former = object[name].as_str().unwrap();
                    line = line.replace(former, &value);
                }
            }
            let (line, hash) = line_behind(&prev, &line, object["seq"].as_u64());
            forged.push(line);
            prev = hash;
        }
        rewrite(&segment, &forged);
    }
}
