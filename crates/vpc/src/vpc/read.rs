//! What tests, oracles and doors may read and set. Must not: carry a request out.

use super::{Network, Vpc};
use crate::bucket::Buckets;
use crate::eni::Interface;
use crate::fault::Faults;
use crate::group::Group;
use crate::history::History;
use crate::instance::Instance;
use crate::lag::Lag;
use crate::request::Action;
use crate::subnet::Subnet;
use model::id::{EniId, InstanceId, SubnetId};
use model::limits::InstanceLimits;
use std::collections::BTreeSet;

impl Vpc {
    /// Every ENI as it really is, in order of id.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.enis.values().filter_map(History::truth)
    }

    /// An ENI as it really is.
    pub fn interface(&self, id: &EniId) -> Option<&Interface> {
        self.enis.get(id).and_then(History::truth)
    }

    /// Every instance, ended ones too.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// An instance.
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// Every subnet.
    pub fn subnets(&self) -> impl Iterator<Item = &Subnet> {
        self.subnets.values()
    }

    /// A subnet.
    pub fn subnet(&self, id: &SubnetId) -> Option<&Subnet> {
        self.subnets.get(id)
    }

    /// Every security group.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Every VPC.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// What goes wrong with calls.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// How long things take.
    pub fn lag_mut(&mut self) -> &mut Lag {
        &mut self.lag
    }

    /// EC2's throttling, off unless switched on.
    pub fn buckets_mut(&mut self) -> &mut Buckets {
        &mut self.buckets
    }

    /// Actions that instances' roles may not do.
    pub fn denied_mut(&mut self) -> &mut BTreeSet<Action> {
        &mut self.denied
    }

    /// Offers an instance type that is not in the built-in table, as EC2 does with every new one.
    pub fn offer_type(&mut self, name: &str, limits: InstanceLimits) {
        self.young_types.insert(name.to_owned(), limits);
    }

    /// The Region's quota of ENIs, 5000 unless changed.
    pub fn set_interface_quota(&mut self, quota: usize) {
        self.interface_quota = quota;
    }
}
