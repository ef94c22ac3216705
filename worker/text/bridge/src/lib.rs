//! The text bridge: see bridge.h, which is the contract of every function here.

mod added;
mod border;
mod expression;
mod filters;
mod generation;
mod json;
mod limits;
mod methods;
mod python;
mod source;
mod template;
mod tokenizer;
