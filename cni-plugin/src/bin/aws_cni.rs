//! `aws-cni`: what the container runtime starts for each pod. Must not: contain anything but the wiring of the library.

use cni_plugin::{AwsCni, ask::Daemon, wire::Host};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    cni::dispatch::run(&AwsCni::new(Daemon::at(Path::new(rpc::socket::PATH)), Host))
}
