//! The receiver of spans, which comes and goes.

use crate::{
    ledger::{Came, Ledger},
    receiver::{Fault, Receiver, seq},
};

/// One round of so many ticks, and those at its end in which the receiver is down.
const ROUND_TICKS: usize = 20;
const DOWN_TICKS: usize = 5;

/// Takes note of the spans that have arrived, and lets the receiver vanish or come back.
pub(crate) fn come_and_go(receiver: &mut Receiver, ledger: &Ledger, tick: usize) {
    note(receiver, ledger);
    let is_down = tick % ROUND_TICKS >= ROUND_TICKS - DOWN_TICKS;
    if is_down && receiver.is_up() {
        receiver.crash();
        ledger.count(Came::ReceiverDown);
    } else if !is_down && !receiver.is_up() {
        receiver.come_back();
        let taken_but = Fault::TakenBut(tonic::Code::Unavailable);
        receiver.ledger(|ledger| ledger.faults = [taken_but].into());
    }
}

/// The receiver is there, and stays.
pub(crate) fn come_back(receiver: &mut Receiver, ledger: &Ledger) {
    note(receiver, ledger);
    receiver.ledger(|ledger| ledger.faults.clear());
    if !receiver.is_up() {
        receiver.come_back();
    }
}

/// The spans move from one ledger to the other, so that the test itself stays small.
fn note(receiver: &Receiver, ledger: &Ledger) {
    let taken = receiver.ledger(|found| {
        found.calls.clear();
        std::mem::take(&mut found.taken)
    });
    ledger.spans_arrived(taken.iter().map(seq));
}
