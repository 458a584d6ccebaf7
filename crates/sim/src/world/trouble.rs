//! What goes wrong around the node: IMDS, the subnet, the quota, and people who take things away.
//! Must not: touch the machine, or decide when (the plan does).

use super::{Happening, World};
use crate::plan::Action;
use model::time::{Duration, Instant};
use std::net::Ipv4Addr;
use vpc::imds::{Lie, Refusal};
use vpc::{Caller, CreateInterface, Interface, Request, Wanted};

/// The account's quota of ENIs when nobody uses it up.
const QUOTA: usize = 5000;

impl World<'_> {
    /// A step of the surroundings.
    pub(super) fn trouble(&mut self, action: Action, pick: u32) {
        match action {
            Action::ImdsLies(millis) => self.imds_lies(pick, self.until(millis)),
            Action::ImdsRefuses(millis) => self.imds_refuses(pick, self.until(millis)),
            Action::CrowdSubnet(left) => self.crowd_subnet(left),
            Action::EmptySubnet => self.empty_subnet(),
            Action::QuotaUsed(millis) => {
                let used = self.vpc.interfaces().count();
                self.vpc.set_interface_quota(used);
                let until = self.until(millis);
                self.queue.push(until, Happening::QuotaFree);
            }
            Action::OperatorUnassigns => self.operator_unassigns(pick),
            Action::OperatorDetaches => self.operator_detaches(pick),
            Action::AddPods(_)
            | Action::RemovePods(_)
            | Action::ReplaceSandbox
            | Action::VanishPod
            | Action::KillClient
            | Action::AskAgain
            | Action::DeleteWaiting
            | Action::Kill(_)
            | Action::Terminate(_)
            | Action::Reboot
            | Action::DiskFails(_)
            | Action::CheckpointFails(_)
            | Action::WallStep(_)
            | Action::Rest => {}
        }
    }

    fn until(&self, millis: u32) -> Instant {
        self.now.after(Duration::from_millis(millis.into()))
    }

    pub(super) fn quota_free(&mut self) {
        self.vpc.set_interface_quota(QUOTA);
    }

    /// Everything around the node is as it should be again.
    pub(super) fn end_trouble(&mut self) {
        self.vpc.stop_lying();
        self.quota_free();
        self.empty_subnet();
    }

    fn imds_lies(&mut self, pick: u32, until: Instant) {
        let instance = self.instance.clone();
        if pick.is_multiple_of(6) {
            self.vpc.freeze_imds(self.now, &instance, until);
            return;
        }
        let Some(eni) = chosen(&self.attached(), pick / 6) else {
            return;
        };
        let (id, some) = (eni.id.clone(), pick as usize / 60);
        let address = eni.addresses[some % eni.addresses.len().max(1)].address;
        let lie = match pick % 6 {
            1 => Lie::HiddenInterface(id),
            2 => Lie::ExtraInterface(Box::new(self.made_up(&eni, pick))),
            3 => Lie::HiddenAddress(id, address),
            4 => Lie::ExtraAddress(id, self.somebody_elses(pick)),
            _ => Lie::NoFields(id),
        };
        self.vpc.lie_to(&instance, lie, until);
    }

    /// An ENI that never was, or is not ours: as if attached next to one of ours.
    fn made_up(&self, like: &Interface, pick: u32) -> Interface {
        let mut eni = like.clone();
        eni.id = format!("eni-0{pick:016x}").parse().expect("digits");
        eni.mac.0[4] ^= 0xa5;
        if let Some(attachment) = &mut eni.attachment {
            attachment.index.0 = attachment.index.0.saturating_add(1);
        }
        for known in &mut eni.addresses {
            known.address = self.somebody_elses(pick);
        }
        eni
    }

    /// An address of the subnet that this instance need not have.
    fn somebody_elses(&self, pick: u32) -> Ipv4Addr {
        let cidr = self.subnet.record.cidr;
        let offset = 4 + pick % (cidr.size() - 5);
        Ipv4Addr::from(u32::from(cidr.network()) + offset)
    }

    fn imds_refuses(&mut self, pick: u32, until: Instant) {
        let refusal = match pick % 5 {
            0 => Refusal::new("/api/token", 401).times(1 + pick % 7),
            1 => Refusal::new("/latest/", 429).retry_after(5).until(until),
            2 => Refusal::new("/security-group-ids", 404).until(until),
            3 => Refusal::new("/subnet-id", 404).until(until),
            _ => Refusal::new("/latest/", 503).until(until),
        };
        self.vpc.faults_mut().refuse(refusal);
    }

    /// Somebody else takes addresses of the subnet until so many are left.
    fn crowd_subnet(&mut self, left: u32) {
        for _ in 0..8 {
            let Some(view) = self.vpc.subnet(&self.subnet.record.id) else {
                return;
            };
            let spare = view.available().saturating_sub(left);
            let Some(secondary) = spare.checked_sub(1) else {
                return;
            };
            let create = CreateInterface {
                wanted: Wanted::Count(secondary.min(200)),
                ..CreateInterface::in_subnet(self.subnet.record.id.clone())
            };
            let create = Request::CreateNetworkInterface(create);
            let Ok(vpc::Answer::Interface(view)) = self.operator(create) else {
                return;
            };
            self.reached.mark("subnet crowded by others");
            self.neighbours.push(view.interface.id);
        }
    }

    fn empty_subnet(&mut self) {
        for eni in std::mem::take(&mut self.neighbours) {
            if self
                .operator(Request::DeleteNetworkInterface { eni: eni.clone() })
                .is_err()
            {
                self.neighbours.push(eni);
            }
        }
    }

    fn operator_unassigns(&mut self, pick: u32) {
        let Some(eni) = chosen(&self.attached(), pick) else {
            return;
        };
        let secondary: Vec<Ipv4Addr> = eni
            .addresses
            .iter()
            .filter(|known| !known.primary)
            .map(|known| known.address)
            .collect();
        // Those that pods use are worth more.
        let used: Vec<Ipv4Addr> = secondary
            .iter()
            .copied()
            .filter(|address| self.oracle.claimant(*address).is_some())
            .collect();
        let Some(address) = chosen(&used, pick / 7).or_else(|| chosen(&secondary, pick / 7)) else {
            return;
        };
        let unassign = Request::UnassignPrivateIpAddresses {
            eni: eni.id.clone(),
            addresses: vec![address],
            prefixes: vec![],
        };
        if self.operator(unassign).is_ok() {
            self.reached.mark("address taken away by an operator");
            self.oracle.taken(self.now, address, Some(&eni.id));
        }
    }

    fn operator_detaches(&mut self, pick: u32) {
        let secondary: Vec<Interface> = self
            .attached()
            .into_iter()
            .filter(|eni| eni.attachment.as_ref().is_some_and(|a| !a.is_primary()))
            .collect();
        let Some(eni) = chosen(&secondary, pick) else {
            return;
        };
        let Some(attachment) = eni.attachment.as_ref().map(|bound| bound.id.clone()) else {
            return;
        };
        let force = false;
        if self
            .operator(Request::DetachNetworkInterface { attachment, force })
            .is_ok()
        {
            self.reached.mark("ENI taken away by an operator");
            for known in &eni.addresses {
                self.oracle.taken(self.now, known.address, Some(&eni.id));
            }
            self.taken_enis.insert(eni.id);
            self.devices_changed();
        }
    }

    /// The instance's ENIs as they are, in order of id.
    fn attached(&self) -> Vec<Interface> {
        let bound = |eni: &&Interface| {
            eni.attachment
                .as_ref()
                .is_some_and(|a| a.instance == self.instance && a.detached_at.is_none())
        };
        self.vpc.interfaces().filter(bound).cloned().collect()
    }

    fn operator(&mut self, request: Request) -> Result<vpc::Answer, vpc::Error> {
        let done = self.vpc.request(self.now, &Caller::Operator, request);
        if let Err(error) = &done {
            self.trace
                .line(self.now, format_args!("an operator is refused: {error}"));
        }
        done
    }
}

fn chosen<T: Clone>(among: &[T], pick: u32) -> Option<T> {
    let index = (pick as usize).checked_rem(among.len())?;
    among.get(index).cloned()
}
