//! `admitd demo`
