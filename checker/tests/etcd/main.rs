//! The whole store of etcd's KV: rules, verdicts against all orders, long histories.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests may")]

mod brute_force;
mod doctor;
mod generate;
mod naive;
mod online;
mod rules;
