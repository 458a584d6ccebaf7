//! The operator's tool: status, explain, doctor, plan, max-pods, migrate, cleanup. Not built yet: this room is empty.
//!
//! Will own: questions to a running daemon and to the node's files and kernel. Must not: change what it was not asked to.
