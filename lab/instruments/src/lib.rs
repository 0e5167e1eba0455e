//! What the experiments of the laboratory share: a server for one experiment, and the reasons for
//! which an experiment ends early.
//!
//! Nothing here measures or draws: that is each experiment's own business.

mod failure;
mod own_server;

pub use failure::Failure;
pub use own_server::OwnServer;
