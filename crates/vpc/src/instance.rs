//! Instances: launch with a primary ENI, termination, description. Must not: model what runs on one.

use crate::attachment::Attachment;
use crate::eni::InterfaceView;
use crate::error::{Code, Error, not_found, value};
use crate::request::{Answer, CreateInterface, RunInstances, Tags};
use crate::vpc::Vpc;
use model::card::{DeviceIndex, NetworkCard};
use model::id::{AttachmentId, InstanceId, SubnetId, VpcId};
use model::limits::InstanceLimits;
use model::time::Instant;
use std::net::Ipv4Addr;

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// For example `m5.large`.
    pub instance_type: String,
    /// What the type allows.
    pub limits: InstanceLimits,
    /// Whether it runs.
    pub state: InstanceState,
    /// VPC of the primary ENI.
    pub vpc: VpcId,
    /// Subnet of the primary ENI.
    pub subnet: SubnetId,
    /// Availability zone.
    pub zone: String,
    /// Primary address of the primary ENI.
    pub private_address: Ipv4Addr,
    /// The role whose credentials IMDS serves.
    pub role: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Whether an instance runs. An ended one stays listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// `running` (16)
    Running,
    /// `terminated` (48)
    Terminated,
}

/// An instance as DescribeInstances shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// The instance.
    pub instance: Instance,
    /// Its ENIs as describes see them now.
    pub interfaces: Vec<InterfaceView>,
}

impl Vpc {
    /// What launch made is visible everywhere at once: the guest boots later than every lag.
    pub(crate) fn run_instance(
        &mut self,
        now: Instant,
        run: RunInstances,
    ) -> Result<Answer, Error> {
        let limits = self.type_of(&run.instance_type);
        let limits = limits.ok_or_else(|| {
            value(format!(
                "Invalid value '{}' for InstanceType.",
                run.instance_type
            ))
        })?;
        crate::tag::check(&run.tags)?;
        let create = CreateInterface {
            groups: run.groups,
            primary: run.private_address,
            description: "Primary network interface".to_owned(),
            ..CreateInterface::in_subnet(run.subnet)
        };
        let mut interface = self.new_interface(&create)?;
        let id: InstanceId = self.fresh("i-");
        interface.attachment = Some(Attachment {
            id: self.fresh::<AttachmentId>("eni-attach-"),
            instance: id.clone(),
            index: DeviceIndex(0),
            card: NetworkCard(0),
            delete_on_termination: true,
            attached_at: now,
            detached_at: None,
        });
        let instance = Instance {
            id: id.clone(),
            instance_type: run.instance_type,
            limits,
            state: InstanceState::Running,
            vpc: interface.vpc.clone(),
            subnet: interface.subnet.clone(),
            zone: interface.zone.clone(),
            private_address: interface
                .primary()
                .expect("a standard ENI has a primary address"),
            role: run.role,
            tags: run.tags,
        };
        self.place(now, interface, [now; 4]);
        let view = self.instance_view(now, &instance);
        self.instances.insert(id, instance);
        Ok(Answer::Instances(vec![view]))
    }

    pub(crate) fn terminate(
        &mut self,
        now: Instant,
        instances: &[InstanceId],
    ) -> Result<Answer, Error> {
        for id in instances {
            self.instance_or_refuse(id)?;
        }
        for id in instances {
            self.instances.get_mut(id).expect("checked above").state = InstanceState::Terminated;
            let bound: Vec<_> = self
                .attached_to(id)
                .filter_map(|eni| Some((eni.id.clone(), eni.attachment.clone()?)))
                .collect();
            for (eni, attachment) in bound {
                if attachment.delete_on_termination {
                    self.remove(now, &eni);
                } else {
                    self.change(now, &eni, |interface| interface.attachment = None);
                }
            }
        }
        Ok(Answer::Done)
    }

    pub(crate) fn describe_instances(
        &self,
        now: Instant,
        ids: &[InstanceId],
    ) -> Result<Answer, Error> {
        for id in ids {
            self.instance_or_refuse(id)?;
        }
        let wanted = self
            .instances
            .values()
            .filter(|instance| ids.is_empty() || ids.contains(&instance.id));
        Ok(Answer::Instances(
            wanted
                .map(|instance| self.instance_view(now, instance))
                .collect(),
        ))
    }

    fn instance_view(&self, now: Instant, instance: &Instance) -> InstanceView {
        let bound = |view: &InterfaceView| {
            view.interface
                .attachment
                .as_ref()
                .is_some_and(|attachment| attachment.instance == instance.id)
        };
        InstanceView {
            instance: instance.clone(),
            interfaces: self.described(now).filter(bound).collect(),
        }
    }

    pub(crate) fn instance_or_refuse(&self, id: &InstanceId) -> Result<&Instance, Error> {
        self.instances
            .get(id)
            .ok_or_else(|| not_found(Code::InstanceNotFound, "instance ID", id))
    }

    /// The limits of an instance that exists.
    pub(crate) fn limits_of(&self, id: &InstanceId) -> &InstanceLimits {
        &self.instances[id].limits
    }

    fn type_of(&self, name: &str) -> Option<InstanceLimits> {
        let young = self.young_types.get(name).cloned();
        young.or_else(|| InstanceLimits::of(name))
    }

    pub(crate) fn describe_instance_types(&self, names: &[String]) -> Result<Answer, Error> {
        let young = self.young_types.keys().cloned();
        let known = InstanceLimits::known_types().map(str::to_owned);
        let all: Vec<String> = known.chain(young).collect();
        let wanted = if names.is_empty() { &all } else { names };
        let limits = |name: &String| {
            let found = self.type_of(name).ok_or_else(|| {
                let text = format!("The following supplied instance types do not exist: [{name}]");
                Error::new(Code::InvalidInstanceType, text)
            })?;
            Ok((name.clone(), found))
        };
        Ok(Answer::InstanceTypes(
            wanted.iter().map(limits).collect::<Result<_, Error>>()?,
        ))
    }
}
