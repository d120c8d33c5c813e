//! A guard: how often a decision may ask for memory.

mod subject;
