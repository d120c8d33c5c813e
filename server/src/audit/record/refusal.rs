//! The record of calls that were refused because of who made them: how many, how, and why.
//!
//! Deliberately absent: whatever a call or its connection states. There is no place for a host, for a name
//! in a certificate, for an address, for a user id, or for any part of a request.

use serde::{Deserialize, Serialize};

use super::{RefusalCause, Rpc, Via};

/// Calls of one caller that were refused for one cause, before anything of them was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When the first of them was refused, RFC 3339.
    pub since: String,
    /// When the last of them was refused, RFC 3339.
    pub until: String,
    /// The operator's name for who called; none when no caller was recognized.
    pub caller: Option<String>,
    /// How it was connected.
    pub via: Via,
    /// What it called; none when that is no call of the contract.
    pub rpc: Option<Rpc>,
    /// Why that was refused.
    pub cause: RefusalCause,
    /// How many calls were refused.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::{Serialize, de::DeserializeOwned};

    use super::*;
    use crate::caller;

    /// Asserts that each word of the domain stands in the log as `expected`, and is read as itself.
    fn stand_as<Word, Kept, const N: usize>(all: [Word; N], expected: [&str; N])
    where
        Word: Copy + Debug + PartialEq + From<Kept>,
        Kept: From<Word> + Serialize + DeserializeOwned,
    {
        for (word, text) in all.into_iter().zip(expected) {
            let kept = serde_json::to_string(&Kept::from(word)).unwrap();
            assert_eq!(kept, format!("\"{text}\""));
            let read: Kept = serde_json::from_str(&kept).unwrap();
            assert_eq!(Word::from(read), word);
        }
        assert!(serde_json::from_str::<Kept>("\"other\"").is_err());
    }

    #[test]
    fn every_word_stands_in_the_log_as_in_metrics() {
        stand_as::<_, Via, 3>(caller::Via::ALL, caller::Via::ALL.map(caller::Via::as_str));
        let causes = caller::RefusalCause::ALL.map(caller::RefusalCause::as_str);
        stand_as::<_, RefusalCause, 6>(caller::RefusalCause::ALL, causes);
        // A call has its name of the contract elsewhere.
        stand_as::<_, Rpc, 5>(
            caller::Rpc::ALL,
            [
                "admit",
                "check-evidence",
                "get-policy",
                "watch-policy",
                "get-permit-keys",
            ],
        );
    }

    #[test]
    fn an_entry_has_these_members_and_no_other() {
        for (rpc, word) in [
            (Some(Rpc::CheckEvidence), "\"check-evidence\""),
            (None, "null"),
        ] {
            let entry = crate::audit::record::Entry::Refused(Refusal {
                since: "2027-01-01T00:00:00Z".into(),
                until: "2027-01-01T00:00:09Z".into(),
                caller: None,
                via: Via::Tls,
                rpc,
                cause: RefusalCause::UnknownCaller,
                count: 7,
            });
            let text = format!(
                r#"{{"type":"refused","since":"2027-01-01T00:00:00Z","until":"2027-01-01T00:00:09Z","caller":null,"via":"tls","rpc":{word},"cause":"unknown-caller","count":7}}"#
            );
            assert_eq!(serde_json::to_string(&entry).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<crate::audit::record::Entry>(&text).unwrap(),
                entry
            );
            assert!(entry.is_numbered());
        }
    }
}
