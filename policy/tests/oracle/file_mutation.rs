//! Whole documents that come, go or change places.

use crate::{
    mutation::{Mutation, each},
    world::{Admission, AdmissionForm, RecordForm, World},
};

/// Every change of the set of files.
pub(crate) fn of_the_files() -> Vec<Mutation> {
    let twin = |change: fn(&mut Admission)| {
        move |world: &mut World| {
            let first = world.policy.admissions.first().cloned();
            world.policy.admissions.extend(first.map(|mut twin| {
                change(&mut twin);
                twin
            }));
        }
    };
    let items = "## CTO-WORK-022 - route\n\nStatus: validated.\n";
    [
        each("no record", [()], |w, ()| w.policy.records.clear()),
        each("second record", [()], |w, ()| {
            let first = w.policy.records.first().cloned();
            w.policy.records.extend(first);
        }),
        each("second record, not valid", [()], |w, ()| {
            let first = w.policy.records.first().cloned();
            w.policy.records.extend(first.map(|mut record| {
                record.form = RecordForm::Unreadable;
                record
            }));
        }),
        each("no admissions", [()], |w, ()| w.policy.admissions.clear()),
        each("first admission gone", [()], |w, ()| {
            w.policy.admissions = w.policy.admissions.iter().skip(1).cloned().collect();
        }),
        each("admissions reversed", [()], |w, ()| {
            w.policy.admissions.reverse();
        }),
        each("same admission twice", [()], move |w, ()| twin(|_| {})(w)),
        each("second admission, revoked", [()], move |w, ()| {
            twin(|file| file.status = Some("revoked"))(w);
        }),
        each("second admission, not valid", [()], move |w, ()| {
            twin(|file| file.form = AdmissionForm::UnknownField)(w);
        }),
        each("second admission, unreadable", [()], move |w, ()| {
            twin(|file| file.form = AdmissionForm::Unreadable)(w);
        }),
        each("second admission, of another pair", [()], move |w, ()| {
            twin(|file| file.model = Some("other"))(w);
        }),
        each("work items", [items], |w, v| w.policy.work_items = Some(v)),
    ]
    .concat()
}
