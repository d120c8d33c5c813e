//! The policy in force as the server describes it, verified and safe to show.

use admit_proto::v1::{Finding, Pair, PairState, Policy, WorkItem};

use crate::{
    answer::{digest, shown_place, verified_reasons},
    failure::AskError,
    shown::{TEXT_CHARS_MAX, is_code, shown},
};

/// Most pairs, findings and work items that the contract allows, of each.
const ENTRIES_MAX: usize = 1000;

/// `policy` with every text bounded and printable, and every state that is not known as revoked.
pub(crate) fn verified(policy: Policy) -> Result<Policy, AskError> {
    digest(&policy.digest)?;
    let is_too_long = [
        policy.pairs.len(),
        policy.findings.len(),
        policy.work_items.len(),
    ]
    .into_iter()
    .any(|length| length > ENTRIES_MAX);
    if is_too_long {
        return Err(AskError::Malformed("its policy has too many entries"));
    }
    Ok(Policy {
        read_failure: shown(&policy.read_failure, TEXT_CHARS_MAX),
        pairs: policy
            .pairs
            .into_iter()
            .map(verified_pair)
            .collect::<Result<_, _>>()?,
        findings: policy
            .findings
            .into_iter()
            .map(verified_finding)
            .collect::<Result<_, _>>()?,
        work_items: policy.work_items.iter().map(shown_work_item).collect(),
        ..policy
    })
}

fn verified_pair(pair: Pair) -> Result<Pair, AskError> {
    let reasons = verified_reasons(pair.reasons)?;
    let state = match PairState::try_from(pair.state) {
        Ok(PairState::Admitted) if reasons.is_empty() => PairState::Admitted,
        Ok(PairState::Admitted) => {
            return Err(AskError::Malformed(
                "it admits a pair and has reasons against it",
            ));
        }
        Ok(PairState::Unspecified | PairState::Revoked) | Err(_) => PairState::Revoked,
    };
    Ok(Pair {
        provider: shown(&pair.provider, TEXT_CHARS_MAX),
        model: shown(&pair.model, TEXT_CHARS_MAX),
        state: state.into(),
        reasons,
        places: pair.places.iter().map(shown_place).collect(),
        expire_time: pair.expire_time,
    })
}

fn verified_finding(finding: Finding) -> Result<Finding, AskError> {
    if !is_code(&finding.code) {
        return Err(AskError::Malformed("it has a finding without a code"));
    }
    Ok(Finding {
        message: shown(&finding.message, TEXT_CHARS_MAX),
        help: shown(&finding.help, TEXT_CHARS_MAX),
        place: finding.place.as_ref().map(shown_place),
        excerpt: shown(&finding.excerpt, TEXT_CHARS_MAX),
        ..finding
    })
}

fn shown_work_item(item: &WorkItem) -> WorkItem {
    let text = |text: &String| shown(text, TEXT_CHARS_MAX);
    WorkItem {
        id: text(&item.id),
        title: text(&item.title),
        status: text(&item.status),
        blocked_by: item.blocked_by.iter().map(text).collect(),
        place: item.place.as_ref().map(shown_place),
    }
}

#[cfg(test)]
mod tests {
    use admit_proto::v1::Reason;

    use super::*;

    #[test]
    fn every_text_is_made_safe() {
        let nasty = || "a\u{1b}]0;x\u{7}".to_owned();
        let policy = Policy {
            digest: "0a".repeat(32),
            read_failure: nasty(),
            pairs: vec![Pair {
                provider: nasty(),
                model: nasty(),
                state: 7,
                ..Pair::default()
            }],
            findings: vec![Finding {
                code: "key-missing".into(),
                message: nasty(),
                help: nasty(),
                excerpt: nasty(),
                ..Finding::default()
            }],
            work_items: vec![WorkItem {
                id: nasty(),
                title: nasty(),
                status: nasty(),
                blocked_by: vec![nasty()],
                place: None,
            }],
            ..Policy::default()
        };
        let verified = verified(policy).unwrap();
        assert_eq!(verified.pairs[0].state(), PairState::Revoked);
        let texts = [
            &verified.read_failure,
            &verified.pairs[0].provider,
            &verified.pairs[0].model,
            &verified.findings[0].message,
            &verified.findings[0].help,
            &verified.findings[0].excerpt,
            &verified.work_items[0].id,
            &verified.work_items[0].title,
            &verified.work_items[0].status,
            &verified.work_items[0].blocked_by[0],
        ];
        for text in texts {
            assert_eq!(text, "a\\u{1b}]0;x\\u{7}");
        }
    }

    #[test]
    fn what_has_not_its_form_is_malformed() {
        let with_digest = Policy {
            digest: "0a".into(),
            ..Policy::default()
        };
        let with_finding = Policy {
            findings: vec![Finding::default()],
            ..Policy::default()
        };
        let with_pair = Policy {
            pairs: vec![Pair {
                state: PairState::Admitted.into(),
                reasons: vec![Reason {
                    code: "review-due".into(),
                    ..Reason::default()
                }],
                ..Pair::default()
            }],
            ..Policy::default()
        };
        let with_entries = Policy {
            pairs: vec![Pair::default(); ENTRIES_MAX + 1],
            ..Policy::default()
        };
        for policy in [with_digest, with_finding, with_pair, with_entries] {
            assert!(matches!(verified(policy), Err(AskError::Malformed(_))));
        }
        assert!(verified(Policy::default()).is_ok());
    }
}
