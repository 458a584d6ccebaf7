//! DEL: the daemon is told, and what names the pod's address on the host is removed; no error keeps from the next step.
//! Must not: remove a link (the runtime's removal of the namespace takes it), need the daemon, a namespace or a prevResult;
//! take from another pod what its own prevResult names.

use crate::ask::{AskError, Daemon, Release, del_question};
use crate::refusal::chain;
use crate::wire::Kernel;
use cni::dispatch::Invocation;
use cni::error::{CniError, Code};
use cni::previous::Wired;
use datapath::error::ApplyError;
use datapath::pod::Deleted;
use model::card::RouteTable;
use rpc::wire::DelNetworkReply;
use std::net::Ipv4Addr;

/// What a DEL did.
#[derive(Debug)]
pub struct Report {
    /// What the runtime is told.
    pub outcome: Result<(), CniError>,
    /// Addresses whose rules and route are gone.
    pub removed: Vec<Ipv4Addr>,
    /// What an operator may want to know although the DEL succeeded.
    pub notes: Vec<String>,
}

/// Removes what the ADD of the same container made.
pub fn del(daemon: &Daemon, kernel: &impl Kernel, call: &Invocation) -> Report {
    let mut report = Report {
        outcome: Ok(()),
        removed: Vec::new(),
        notes: Vec::new(),
    };
    match daemon.del(del_question(call, Release::PodDeleted)) {
        Ok(reply) if reply.success => remove_released(kernel, &reply, &mut report),
        Ok(_) => {
            remove_previous(kernel, call, &mut report);
            // Only a daemon that still holds the address says so; a later DEL may free it.
            let msg = "failed to process delete request: the node daemon answered Success=false";
            report.outcome = Err(CniError::new(Code::TryAgain, msg));
        }
        // Removing by prevResult now could hit the address's next holder.
        Err(AskError::Status(status)) if rpc::reason::is_unknown_pod(&status) => {}
        Err(error) => {
            report.notes.push(format!(
                "{}; the daemon frees the address by itself",
                chain(&error)
            ));
            remove_previous(kernel, call, &mut report);
        }
    }
    report
}

fn remove_released(kernel: &impl Kernel, reply: &DelNetworkReply, report: &mut Report) {
    let released = reply.released();
    if released.len() < reply.ip_allocation_metadata.len() {
        report.notes.push(format!(
            "of {} released allocations {} have an IPv4 address and no VLAN; the others are not wired by this plugin",
            reply.ip_allocation_metadata.len(),
            released.len()
        ));
    }
    for placement in released {
        if let Err(error) = remove(kernel, placement.address, placement.table, report) {
            report.outcome = Err(CniError::new(Code::Unwiring, error));
        }
    }
}

/// The runtime calls no DEL again after this one, so it succeeds whatever could not be removed.
fn remove_previous(kernel: &impl Kernel, call: &Invocation, report: &mut Report) {
    let wired = match &call.config.previous {
        None => {
            return report
                .notes
                .push("no prevResult: nothing was removed on the host".to_owned());
        }
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(previous)) => previous.wired(&call.args.pod, &call.ifname),
    };
    match wired {
        Err(error) => report
            .notes
            .push(format!("{error}: nothing was removed on the host")),
        Ok(wired) => {
            for attachment in wired {
                remove_remembered(kernel, &attachment, report);
            }
        }
    }
}

/// A result may be old: its address may be another pod's by now, which the daemon, had it answered, would have said.
fn remove_remembered(kernel: &impl Kernel, wired: &Wired, report: &mut Report) {
    let Wired {
        address,
        table,
        ref host_link,
    } = *wired;
    match kernel.del_of(address, table, host_link) {
        Ok(Deleted::Removed) => report.removed.push(address),
        Ok(Deleted::TakenOver) => report.notes.push(format!(
            "{address} is not routed to {host_link}: another pod has it, nothing of it was removed"
        )),
        Err(error) => report.notes.push(failed(address, &error)),
    }
}

fn remove(
    kernel: &impl Kernel,
    address: Ipv4Addr,
    table: RouteTable,
    report: &mut Report,
) -> Result<(), String> {
    match kernel.del(address, table) {
        Ok(()) => {
            report.removed.push(address);
            Ok(())
        }
        Err(error) => Err(failed(address, &error)),
    }
}

fn failed(address: Ipv4Addr, error: &ApplyError) -> String {
    format!(
        "failed on tear down pod network of {address}: {}",
        error.chain()
    )
}
