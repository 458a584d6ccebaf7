//! ADD: everything is validated, then the daemon is asked, then the pod is wired; a failure undoes what came before it.
//! Must not: write to stdout or the log; wire anything that the daemon did not grant.

use crate::ask::{AskError, Daemon, Release, add_question, del_question};
use crate::refusal::{chain, of_question, of_reply};
use crate::wire::Kernel;
use cni::dispatch::Invocation;
use cni::error::{CniError, Code};
use cni::result::AddResult;
use datapath::pod::PodWiring;
use rpc::convert::{AddAnswer, BadReply, Placement};
use std::path::Path;

/// Wires the pod whose namespace is at `netns`.
pub fn add(
    daemon: &Daemon,
    kernel: &impl Kernel,
    call: &Invocation,
    netns: &Path,
) -> Result<AddResult, CniError> {
    if call.args.pod.is_unnamed() {
        // The host link is named after the pod: two pods without a name would take the link from each other.
        let msg =
            "CNI_ARGS has no K8S_POD_NAME or no K8S_POD_NAMESPACE: a pod is wired by its name";
        return Err(CniError::new(Code::Environment, msg));
    }
    let open = kernel.open(netns);
    let namespace = open.map_err(|error| {
        CniError::new(Code::Environment, format!("CNI_NETNS: {}", error.chain()))
    })?;
    let reply = daemon.add(&add_question(call, netns), call.config.add_timeout);
    let reply = reply.map_err(|error| of_question(&error))?;
    let placement = match AddAnswer::try_from(reply) {
        Ok(answer) => answer.placement,
        // Nothing was granted.
        Err(error @ BadReply::Failure) => return Err(of_reply(&error)),
        Err(error) => return Err(give_back(daemon, call, of_reply(&error))),
    };
    let wired = kernel.add(&wiring(call, placement), &namespace);
    let wired = wired.map_err(|error| {
        let msg = format!(
            "failed to setup network for {}: {}",
            placement.address,
            error.chain()
        );
        give_back(daemon, call, CniError::new(Code::Wiring, msg))
    })?;
    Ok(AddResult {
        pod: call.args.pod.clone(),
        host_link: wired.host_interface,
        pod_link: call.ifname.clone(),
        netns: netns.display().to_string(),
        address: placement.address,
        table: placement.table,
        device: placement.device,
    })
}

fn wiring(call: &Invocation, placement: Placement) -> PodWiring {
    PodWiring {
        pod: call.args.pod.clone(),
        veth_prefix: call.config.veth_prefix.clone(),
        container_ifname: call.ifname.clone(),
        address: placement.address,
        table: placement.table,
        mtu: call.config.mtu,
    }
}

/// The daemon learns that the pod doesn't exist; if it cannot be told now, the runtime's DEL will, or its own sweep.
fn give_back(daemon: &Daemon, call: &Invocation, failure: CniError) -> CniError {
    match daemon.del(del_question(call, Release::SetupFailed)) {
        Ok(_) => failure,
        Err(AskError::Status(status)) if rpc::reason::is_unknown_pod(&status) => failure,
        Err(error) => failure.with_details(format!(
            "the address could not be given back now: {}",
            chain(&error)
        )),
    }
}
