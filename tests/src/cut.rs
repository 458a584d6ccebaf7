//! A node that cannot reach EC2: its own packet filter stands between. Driven by tests. Must not: touch another door.

use lab::node::EC2;
use lab::scene::Scene;

/// What becomes of every packet for EC2 until it is lifted: `drop`, or `reject with tcp reset`.
///
/// # Panics
/// When the node's packet filter refuses.
#[track_caller]
pub fn cut(scene: &Scene, node: usize, verdict: &str) {
    let (address, port) = (EC2.ip(), EC2.port());
    let rules = format!(
        "table ip cut {{
           chain out {{
             type filter hook output priority 0;
             ip daddr {address} tcp dport {port} {verdict}
           }}
         }}"
    );
    filter(scene, node, &rules);
}

/// Lets them pass again.
///
/// # Panics
/// When nothing was cut.
#[track_caller]
pub fn lift(scene: &Scene, node: usize) {
    filter(scene, node, "delete table ip cut");
}

#[track_caller]
fn filter(scene: &Scene, node: usize, rules: &str) {
    let run = || lab::command::run(&["nft", "-f", "-"], rules);
    let said = scene.node(node).run(run).expect("the node is there");
    said.unwrap_or_else(|error| panic!("{error}"));
}
