//! Compiles `proto/` into client, server and descriptor set without `protoc`. Must not: write outside `OUT_DIR`.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 3] = ["cni_backend.proto", "agent.proto", "refusal.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", folder.display());
    let descriptors = protox::compile(FILES, [&folder])?;
    std::fs::write(out.join("rpc.fds"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
