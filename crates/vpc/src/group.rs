//! Security groups: who has one, what one lets in. Must not: follow packets (`route` does).

use crate::eni::Interface;
use crate::error::{Code, Error, not_found};
use crate::request::Answer;
use crate::vpc::Vpc;
use ipnetwork::Ipv4Network;
use model::id::{SecurityGroupId, VpcId};
use std::net::Ipv4Addr;

/// Groups one ENI can have.
const PER_INTERFACE: usize = 5;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A security group. Egress is unrestricted, as EC2's default is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Unique in the VPC.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it lets in.
    pub ingress: Vec<Rule>,
}

/// An ingress rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// IP protocol number; all when `None` (`-1` on the wire).
    pub protocol: Option<u8>,
    /// First and last port, for TCP and UDP only; all when `None`.
    pub ports: Option<(u16, u16)>,
    /// From where.
    pub source: Source,
}

/// From where a rule lets packets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Source addresses in this range.
    Cidr(Ipv4Network),
    /// ENIs that have this group.
    Group(SecurityGroupId),
}

impl Rule {
    /// Everything from anywhere.
    pub fn everything() -> Self {
        let anywhere = Ipv4Network::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length");
        Self {
            protocol: None,
            ports: None,
            source: Source::Cidr(anywhere),
        }
    }

    /// `from` is none when the packet came from beyond the VPC.
    pub(crate) fn allows(&self, from: Option<&Interface>, packet: &crate::Packet) -> bool {
        let protocol = self.protocol.is_none_or(|wanted| wanted == packet.protocol);
        let has_ports = matches!(packet.protocol, TCP | UDP);
        let ports = match self.ports {
            Some((first, last)) if has_ports => packet
                .dst_port
                .is_some_and(|port| (first..=last).contains(&port)),
            Some(_) | None => true,
        };
        let source = match &self.source {
            Source::Cidr(range) => range.contains(packet.src),
            Source::Group(group) => from.is_some_and(|eni| eni.groups.contains(group)),
        };
        protocol && ports && source
    }
}

impl Vpc {
    pub(crate) fn create_group(
        &mut self,
        vpc: VpcId,
        name: String,
        description: String,
    ) -> Result<Answer, Error> {
        if !self.networks.contains_key(&vpc) {
            return Err(not_found(Code::VpcNotFound, "vpc ID", &vpc));
        }
        if self
            .groups
            .values()
            .any(|group| group.vpc == vpc && group.name == name)
        {
            let text = format!("The security group '{name}' already exists for VPC '{vpc}'");
            return Err(Error::new(Code::GroupDuplicate, text));
        }
        Ok(Answer::Group(self.new_group(vpc, name, description)))
    }

    pub(crate) fn new_group(
        &mut self,
        vpc: VpcId,
        name: String,
        description: String,
    ) -> SecurityGroupId {
        let id: SecurityGroupId = self.fresh("sg-");
        self.groups.insert(
            id.clone(),
            Group {
                id: id.clone(),
                vpc,
                name,
                description,
                ingress: vec![],
            },
        );
        id
    }

    pub(crate) fn authorize(
        &mut self,
        id: &SecurityGroupId,
        rules: Vec<Rule>,
    ) -> Result<Answer, Error> {
        for rule in &rules {
            if let Source::Group(source) = &rule.source
                && !self.groups.contains_key(source)
            {
                return Err(not_found(Code::GroupNotFound, "security group", source));
            }
        }
        let group = self.group_or_refuse(id)?;
        if rules.iter().any(|rule| group.ingress.contains(rule)) {
            return Err(Error::new(
                Code::PermissionDuplicate,
                "the specified rule already exists",
            ));
        }
        group.ingress.extend(rules);
        Ok(Answer::Done)
    }

    pub(crate) fn revoke(&mut self, id: &SecurityGroupId, rules: &[Rule]) -> Result<Answer, Error> {
        let group = self.group_or_refuse(id)?;
        if !rules.iter().all(|rule| group.ingress.contains(rule)) {
            let text = "The specified rule does not exist in this security group.";
            return Err(Error::new(Code::PermissionNotFound, text));
        }
        group.ingress.retain(|rule| !rules.contains(rule));
        Ok(Answer::Done)
    }

    /// The groups an ENI gets: those named, or the VPC's default group.
    pub(crate) fn groups_for(
        &self,
        vpc: &VpcId,
        named: &[SecurityGroupId],
    ) -> Result<Vec<SecurityGroupId>, Error> {
        if named.is_empty() {
            return Ok(vec![self.networks[vpc].default_group.clone()]);
        }
        if named.len() > PER_INTERFACE {
            let text =
                format!("The maximum number of security groups per interface is {PER_INTERFACE}.");
            return Err(Error::new(
                Code::SecurityGroupsPerInterfaceLimitExceeded,
                text,
            ));
        }
        for id in named {
            let found = self
                .groups
                .get(id)
                .ok_or_else(|| not_found(Code::GroupNotFound, "security group", id))?;
            if found.vpc != *vpc {
                let text =
                    format!("Security group {id} and the interface belong to different networks.");
                return Err(Error::new(Code::InvalidParameter, text));
            }
        }
        Ok(named.to_vec())
    }

    fn group_or_refuse(&mut self, id: &SecurityGroupId) -> Result<&mut Group, Error> {
        self.groups
            .get_mut(id)
            .ok_or_else(|| not_found(Code::GroupNotFound, "security group", id))
    }
}
