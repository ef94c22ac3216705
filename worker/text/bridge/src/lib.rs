//! The text bridge: see bridge.h, which is the contract of every function here.

mod border;
mod generation;
mod json;
mod template;
mod tokenizer;
