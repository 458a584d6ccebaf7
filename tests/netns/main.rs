//! The real plugin, the real daemon, a real kernel, real packets: pods on nodes that are namespaces.
//!
//! Needs root. One module per claim. Must not: look into a program; what counts is what kernel, fabric and EC2 show.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod add;
mod alone;
mod bad_input;
mod datapath_kernel;
mod del;
mod fabric;
mod full_disk;
mod growth;
mod life_of_a_packet;
mod logs;
mod nat;
mod nft_program;
mod node_port;
mod node_port_clients;
mod outside;
mod raw;
mod restart;
mod sandboxes;
mod waiting;
mod way_out;
