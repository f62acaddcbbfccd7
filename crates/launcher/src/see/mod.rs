//! Seeing what an event loop did.

#![allow(dead_code)] // Until the reporter is here.

mod history;
mod report;
#[cfg(test)]
mod synthetic;
mod timeline;
mod words;
