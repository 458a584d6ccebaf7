//! The account of a scene before anybody sees it: network, subnets, the nodes' security group, surroundings.
//! Driven by `builder`. Must not: start instances.

use super::SceneError;
use super::builder::{SceneBuilder, SubnetPlan};
use crate::outside;
use ipnetwork::Ipv4Network;
use model::id::{SecurityGroupId, SubnetId, VpcId};
use model::time::Instant;
use vpc::{Answer, Caller, Neighbour, Outside, Request, Rule, Side, Source, Vpc};

/// The account while nobody else sees it.
pub(super) struct Account {
    pub(super) vpc: Vpc,
}

impl Account {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            vpc: Vpc::new(seed),
        }
    }

    pub(super) fn make_network(
        &mut self,
        plan: &SceneBuilder,
    ) -> Result<(Vec<(String, SubnetId)>, SecurityGroupId), SceneError> {
        let vpc = self.make(
            Request::CreateVpc { cidr: plan.cidr },
            |answer| match answer {
                Answer::Vpc(id) => Some(id),
                _ => None,
            },
        )?;
        for cidr in &plan.more_cidrs {
            let associate = Request::AssociateVpcCidrBlock {
                vpc: vpc.clone(),
                cidr: *cidr,
            };
            self.make(associate, |_| Some(()))?;
        }
        if plan.outside {
            self.vpc.surround(surroundings(&vpc, plan.cidr));
        }
        let mut subnets = Vec::new();
        for SubnetPlan { name, cidr, zone } in &plan.subnets {
            let tags = vpc::Tags::from([("Name".to_owned(), name.clone())]);
            let create = Request::CreateSubnet {
                vpc: vpc.clone(),
                cidr: *cidr,
                zone: zone.clone(),
                tags,
            };
            let id = self.make(create, |answer| match answer {
                Answer::Subnet(view) => Some(view.record.id),
                _ => None,
            })?;
            subnets.push((name.clone(), id));
        }
        Ok((subnets, self.make_group(vpc)?))
    }

    /// The nodes' group, which lets in what its members send.
    fn make_group(&mut self, vpc: VpcId) -> Result<SecurityGroupId, SceneError> {
        let (name, description) = ("nodes".to_owned(), "Nodes of the lab".to_owned());
        let create = Request::CreateSecurityGroup {
            vpc,
            name,
            description,
        };
        let group = self.make(create, |answer| match answer {
            Answer::Group(id) => Some(id),
            _ => None,
        })?;
        let members = Rule {
            protocol: None,
            ports: None,
            source: Source::Group(group.clone()),
        };
        let allow = Request::AuthorizeSecurityGroupIngress {
            group: group.clone(),
            rules: vec![members],
        };
        self.make(allow, |_| Some(()))?;
        Ok(group)
    }

    fn make<T>(
        &mut self,
        request: Request,
        read: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, SceneError> {
        let action = request.action().name();
        let refused = |error: String| SceneError::Refused { action, error };
        let answer = self.vpc.request(Instant(0), &Caller::Operator, request);
        let answer = answer.map_err(|error| refused(error.to_string()))?;
        read(answer).ok_or_else(|| refused("an answer to another question".to_owned()))
    }
}

/// A peer that knows all of the VPC, premises that know its first range.
fn surroundings(vpc: &VpcId, first: Ipv4Network) -> Outside {
    let neighbour = |side, knows| Neighbour {
        ranges: outside::ranges(side),
        knows,
    };
    Outside::of(vpc.clone())
        .with(Side::Peer, neighbour(Side::Peer, None))
        .with(Side::Premises, neighbour(Side::Premises, Some(vec![first])))
}
