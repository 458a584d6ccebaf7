//! The variables of the cluster's API and of network policy (ipamd.md §1.1, §1.5). Must not: connect to anything.

use crate::variable::{Kind, Variable};

/// This node.
pub const MY_NODE_NAME: Variable = Variable::text("MY_NODE_NAME", "", "Name of the node object.");
/// This pod.
pub const MY_POD_NAME: Variable = Variable::text(
    "MY_POD_NAME",
    "",
    "Name of the daemon's own pod, which its events are about.",
)
.nothing(NO_API);
/// API host.
pub const CLUSTER_ENDPOINT: Variable = Variable::text(
    "CLUSTER_ENDPOINT",
    "",
    "Address of the API server instead of the in-cluster one.",
)
.nothing(NO_API);
/// Client configuration.
pub const KUBECONFIG: Variable =
    Variable::text("KUBECONFIG", "", "Client configuration for the API server.").nothing(NO_API);
/// In-cluster API host.
pub const KUBERNETES_SERVICE_HOST: Variable = Variable::text(
    "KUBERNETES_SERVICE_HOST",
    "",
    "In-cluster host of the API server, set by kubelet.",
)
.nothing(NO_API);
/// In-cluster API port.
pub const KUBERNETES_SERVICE_PORT: Variable = Variable::text(
    "KUBERNETES_SERVICE_PORT",
    "",
    "In-cluster port of the API server, set by kubelet.",
)
.nothing(NO_API);
/// Pod annotation.
pub const ANNOTATE_POD_IP: Variable = Variable::strict(
    "ANNOTATE_POD_IP",
    "false",
    "Write each pod's address in the annotation `vpc.amazonaws.com/pod-ips`.",
)
.only_default("annotating pods with their addresses");
/// Network policy.
pub const NETWORK_POLICY_ENFORCING_MODE: Variable = Variable::row(
    "NETWORK_POLICY_ENFORCING_MODE",
    Kind::Text(policy_mode),
    "",
    "`none`, `strict` or `standard`, in any letter case: what the network policy agent is told when it asks for the \
     node's mode. The plugin does not call the agent for each pod: that is not built yet. With `standard`, which \
     upstream's manifest sets, a new pod is therefore open until the agent has seen it, as it is anyway until its \
     policies are known; that is reported at start. `strict` promises a pod that is closed until then, so it is refused.",
)
.refused();

const NO_API: &str = "the API server is not used yet";

/// All rows, in the order of the reference page.
pub const ROWS: &[Variable] = &[
    MY_NODE_NAME,
    MY_POD_NAME,
    CLUSTER_ENDPOINT,
    KUBECONFIG,
    KUBERNETES_SERVICE_HOST,
    KUBERNETES_SERVICE_PORT,
    ANNOTATE_POD_IP,
    NETWORK_POLICY_ENFORCING_MODE,
];

fn policy_mode(text: &str) -> Result<(), &'static str> {
    if ["", "none", "strict", "standard"]
        .iter()
        .any(|mode| mode.eq_ignore_ascii_case(text))
    {
        Ok(())
    } else {
        Err("want none, strict or standard")
    }
}
