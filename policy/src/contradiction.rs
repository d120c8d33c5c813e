//! Contradictions between documents, each valid by itself.
//!
//! They are shown to the operator and never decide a launch: the gates do that from the documents.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    document::{
        admission::{Admission, Role},
        decision_record::{Branch, DecisionRecord, NamedPair},
        work_item::WorkItem,
    },
    finding::{Finding, FindingCode, Place},
};

/// The work item that owns admission.
const ADMISSION_ITEM: &str = "CTO-WORK-020";
/// The work item that owns the local provider route.
const LOCAL_ROUTE_ITEM: &str = "CTO-WORK-022";
const BLOCKED: &str = "blocked";
const VALIDATED: &str = "validated";

/// Documents that are each valid by themselves.
pub(crate) struct Documents<'a> {
    /// The one valid decision record.
    pub(crate) record: Option<&'a DecisionRecord>,
    /// The valid admissions that do not conflict.
    pub(crate) admissions: Vec<&'a Admission>,
    pub(crate) work_items: &'a [WorkItem],
}

/// Every contradiction among `documents`.
pub(crate) fn find(documents: &Documents<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    duplicate_items(documents.work_items, &mut findings);
    for item in documents.work_items {
        local_route(item, documents, &mut findings);
        validated_admission(item, documents, &mut findings);
    }
    if let Some(record) = documents.record {
        for admission in &documents.admissions {
            against_record(admission, record, &mut findings);
        }
    }
    findings
}

fn finding(code: FindingCode, place: &Place, message: String) -> Finding {
    Finding {
        code,
        place: place.clone(),
        message,
        excerpt: None,
    }
}

fn duplicate_items(items: &[WorkItem], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for item in items {
        if let Some(first) = seen.get(item.id.as_str()) {
            let message = format!(
                "{} stands in `{}` line {} too",
                item.id, first.path, first.line
            );
            findings.push(finding(
                FindingCode::WorkItemDuplicate,
                &item.place,
                message,
            ));
        } else {
            seen.insert(&item.id, &item.place);
        }
    }
}

/// The local provider route stays blocked while the branch is another one.
fn local_route(item: &WorkItem, documents: &Documents<'_>, findings: &mut Vec<Finding>) {
    let Some(status) = item.status.as_deref() else {
        return;
    };
    let is_local = documents
        .record
        .is_some_and(|record| record.branch == Branch::LocalProviderRequired);
    if item.id == LOCAL_ROUTE_ITEM && status != BLOCKED && !is_local {
        let message = format!(
            "{} is not `{BLOCKED}` while the branch is not `{}`",
            item.id,
            Branch::LocalProviderRequired.as_str()
        );
        let code = FindingCode::WorkItemBranchContradiction;
        findings.push(finding(code, &item.status_place, message));
    }
}

/// Admission is not validated without an admission.
fn validated_admission(item: &WorkItem, documents: &Documents<'_>, findings: &mut Vec<Finding>) {
    if item.id == ADMISSION_ITEM
        && item.status.as_deref() == Some(VALIDATED)
        && documents.admissions.is_empty()
    {
        let message = format!("{} is `{VALIDATED}` without a valid admission", item.id);
        let code = FindingCode::WorkItemAdmissionContradiction;
        findings.push(finding(code, &item.status_place, message));
    }
}

fn against_record(admission: &Admission, record: &DecisionRecord, findings: &mut Vec<Finding>) {
    let Some(own_class) = record.branch.own_class() else {
        let message = format!(
            "the decision record decides nothing, and {} is admitted",
            admission.pair.value
        );
        let code = FindingCode::AdmissionWithoutDecision;
        findings.push(finding(code, &admission.pair.place, message));
        return;
    };
    let named = |pair: &Option<NamedPair>| {
        pair.as_ref()
            .is_some_and(|named| named.pair == admission.pair.value)
    };
    let expected_role = if named(&record.primary) {
        Role::Primary
    } else if named(&record.fallback) {
        Role::Fallback
    } else {
        let message = format!(
            "the decision record does not select {}",
            admission.pair.value
        );
        let code = FindingCode::AdmissionNotSelected;
        findings.push(finding(code, &admission.pair.place, message));
        return;
    };
    let code = FindingCode::AdmissionRoleContradiction;
    if admission.role.value != expected_role {
        let message = "the decision record gives this pair the other role".into();
        findings.push(finding(code, &admission.role.place, message));
    } else if admission.role.value == Role::Primary && admission.provider_class.value != own_class {
        let message = "this is not the provider class of the branch".into();
        findings.push(finding(code, &admission.provider_class.place, message));
    }
}
