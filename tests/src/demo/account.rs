//! What EC2 itself says, asked as nobody on a node can ask. Driven by the demo's other parts. Must not: change anything
//! (`sabotage` does).

use anyhow::{Context, bail};
use lab::scene::Scene;
use lab::vpc::{Answer, DescribeInterfaces, InterfaceView, Request};
use model::card::{DeviceIndex, NetworkCard, RouteTable};
use model::id::{EniId, InstanceId};
use model::mac::Mac;
use std::net::Ipv4Addr;

/// An ENI that is attached to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eni {
    /// Its id.
    pub id: EniId,
    /// By which the node's link is known.
    pub mac: Mac,
    /// 0 is the primary ENI.
    pub index: DeviceIndex,
    /// The ENI's own address.
    pub primary: Ipv4Addr,
    /// Addresses for pods.
    pub secondary: Vec<Ipv4Addr>,
}

impl Eni {
    /// The table that its pods' traffic must leave through.
    pub fn table(&self) -> RouteTable {
        RouteTable::of(NetworkCard(0), self.index)
    }
}

/// The ENIs of an instance, in order of device index.
pub fn enis(scene: &Scene, instance: &InstanceId) -> anyhow::Result<Vec<Eni>> {
    let mut enis = Vec::new();
    for view in describe(scene)? {
        let eni = view.interface;
        let bound = eni
            .attachment
            .as_ref()
            .filter(|bound| bound.instance == *instance);
        let Some(index) = bound.map(|bound| bound.index) else {
            continue;
        };
        let primary = eni
            .primary()
            .with_context(|| format!("{} has no primary address", eni.id))?;
        let secondary = eni.addresses.iter().filter(|address| !address.primary);
        enis.push(Eni {
            secondary: secondary.map(|address| address.address).collect(),
            id: eni.id,
            mac: eni.mac,
            index,
            primary,
        });
    }
    enis.sort_by_key(|eni| eni.index);
    Ok(enis)
}

/// ENIs that nothing has: the whole account is the demo's.
pub fn unattached(scene: &Scene) -> anyhow::Result<Vec<EniId>> {
    let views = describe(scene)?.into_iter();
    Ok(views
        .filter(|view| view.interface.attachment.is_none())
        .map(|view| view.interface.id)
        .collect())
}

fn describe(scene: &Scene) -> anyhow::Result<Vec<InterfaceView>> {
    match scene.request(Request::DescribeInterfaces(DescribeInterfaces::default())) {
        Ok(Answer::Interfaces { interfaces, .. }) => Ok(interfaces),
        Ok(_) => bail!("EC2 answered another question than DescribeNetworkInterfaces"),
        Err(error) => bail!("EC2 refuses DescribeNetworkInterfaces: {error}"),
    }
}
