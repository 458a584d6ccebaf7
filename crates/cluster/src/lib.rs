//! Kubernetes objects: node, ENIConfig, CNINode, NodeClass, events. Not built yet: this room is empty, nothing links it.
//!
//! Will own: watching and patching those objects, the only crate that sees kube. Must not: decide what they mean for the
//! node. Driven by: `ipamd`.
