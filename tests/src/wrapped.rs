//! The plugin behind a program that becomes it, so that strace can hold it at an exact place while the runtime believes to
//! start the plugin. Driven by `chaos` and `containerd`. Must not: change what the plugin does.

use crate::stage::PLUGIN;
use lab::node::Node;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The plugin itself, while another program has its place.
const REAL: &str = "aws-cni.real";

/// What the runtime starts as the plugin of a node.
pub struct Wrapped<'n>(&'n Node);

impl<'n> Wrapped<'n> {
    /// Puts a program that becomes the plugin at once in its place.
    ///
    /// # Panics
    /// When the node has no plugin.
    pub fn new(node: &'n Node) -> Self {
        let folder = node.folder().join("opt-cni/bin");
        fs::rename(folder.join(PLUGIN), folder.join(REAL)).expect("the node has the plugin");
        let wrapped = Self(node);
        wrapped.by(&[]);
        wrapped
    }

    /// The next calls are started by this command.
    ///
    /// # Panics
    /// When the node's plugins can't be written.
    pub fn by(&self, command: &[String]) {
        let folder = self.0.folder().join("opt-cni/bin");
        let words = command.iter().map(|word| format!("'{word}' "));
        let line: String = words.collect();
        let text = format!("#!/bin/sh\nexec {line}/opt/cni/bin/{REAL}\n");
        // A whole file appears at once: a script that runs is never written to.
        let partial = folder.join("partial");
        let written = fs::write(&partial, text)
            .and_then(|()| fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(partial, folder.join(PLUGIN)));
        written.expect("the node's plugins can be written");
    }
}
