//! The plugin against a daemon of the test's making on a real socket, and a kernel that only remembers.

mod adding;
mod codes;
mod deleting;
mod fixture;
mod logging;
