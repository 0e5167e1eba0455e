//! What is read, and what must hold of it.

pub(crate) mod access;
pub(crate) mod conversation;
pub(crate) mod headers;
pub(crate) mod template;
pub(crate) mod words;
