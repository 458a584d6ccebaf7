//! prevResult: what an ADD of ours or of upstream's printed, read back to find what to remove when the daemon cannot say.
//! Must not: remove anything, or fail a DEL (its caller logs what is unusable and goes on).

use crate::fields::Fields;
use crate::result::marker;
use ipnetwork::IpNetwork;
use model::card::{DeviceIndex, NetworkCard, RouteTable};
use model::pod::PodName;
use serde_json::Value;
use std::net::Ipv4Addr;

/// Interfaces and addresses of a result of version 0.3.0 or later. Older results have neither and read as empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviousResult {
    interfaces: Vec<Interface>,
    addresses: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Interface {
    name: String,
    mac: String,
    sandbox: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    interface: Option<u64>,
    address: IpNetwork,
}

/// An address of a pod, the table its ENI uses and the link on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wired {
    /// The address.
    pub address: Ipv4Addr,
    /// The table.
    pub table: RouteTable,
    /// The host's end of the pod's link; empty when the result names none.
    pub host_link: String,
}

/// Why a previous result says nothing about what to remove.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePrevious {
    /// Not of the shape of any version.
    #[error("prevResult has {0}")]
    Shape(String),
    /// No marker entry of this pod: somebody else's result.
    #[error("prevResult has no interface {0}")]
    NoMarker(String),
    /// The pod sits on a branch ENI.
    #[error("prevResult is of a pod on a branch ENI (VLAN {0}), which this plugin does not wire")]
    Branch(String),
    /// The marker's device is not a number.
    #[error("prevResult has device number {0:?}")]
    Device(String),
    /// The pod link's table is not a number.
    #[error("prevResult has routing table {0:?}")]
    Table(String),
}

impl PreviousResult {
    /// Reads the shapes of 0.3.0 to 1.1.0; unknown fields are passed over.
    pub fn parse(value: &Value) -> Result<Self, UnusablePrevious> {
        let fields = Fields::of(value).ok_or_else(|| shape("not the shape of an object", value))?;
        Ok(Self {
            interfaces: list(fields, "interfaces")?
                .iter()
                .map(interface)
                .collect::<Result<_, _>>()?,
            addresses: list(fields, "ips")?
                .iter()
                .map(address)
                .collect::<Result<_, _>>()?,
        })
    }

    /// What the ADD of `pod` with CNI_IFNAME `ifname` wired. Other plugins of the chain may have added entries; an
    /// attachment without exactly one IPv4 address is passed over.
    pub fn wired(&self, pod: &PodName, ifname: &str) -> Result<Vec<Wired>, UnusablePrevious> {
        let name = marker(pod);
        let marker = self
            .interfaces
            .iter()
            .find(|interface| interface.name == name);
        let marker = marker.ok_or(UnusablePrevious::NoMarker(name))?;
        if marker.mac != "0" {
            return Err(UnusablePrevious::Branch(marker.mac.clone()));
        }
        let device = marker.sandbox.parse().map(DeviceIndex);
        let device = device.map_err(|_| UnusablePrevious::Device(marker.sandbox.clone()))?;
        let pairs = (self.interfaces.len() - 1) / 2;
        let mut wired = Vec::new();
        for index in 0..pairs {
            let link = if index == 0 {
                ifname.to_owned()
            } else {
                format!("mNicIf{index}")
            };
            wired.extend(self.attachment(&link, device)?);
        }
        Ok(wired)
    }

    fn attachment(
        &self,
        link: &str,
        device: DeviceIndex,
    ) -> Result<Option<Wired>, UnusablePrevious> {
        let Some(position) = self
            .interfaces
            .iter()
            .position(|interface| interface.name == link)
        else {
            return Ok(None);
        };
        let mut own = self
            .addresses
            .iter()
            .filter(|address| address.interface == u64::try_from(position).ok());
        let (
            Some(Address {
                address: IpNetwork::V4(network),
                ..
            }),
            None,
        ) = (own.next(), own.next())
        else {
            return Ok(None);
        };
        let table = match self.interfaces[position].mac.as_str() {
            // Written by a plugin older than 1.20, which knew card 0 only.
            "" => RouteTable::of(NetworkCard(0), device),
            text => text
                .parse()
                .map(RouteTable)
                .map_err(|_| UnusablePrevious::Table(text.to_owned()))?,
        };
        Ok(Some(Wired {
            address: network.ip(),
            table,
            host_link: self.host_link(position),
        }))
    }

    /// The entry before the pod's end, unless it is in a sandbox too.
    fn host_link(&self, position: usize) -> String {
        let before = position
            .checked_sub(1)
            .map(|before| &self.interfaces[before]);
        let on_host = before.filter(|interface| interface.sandbox.is_empty());
        on_host
            .map(|interface| interface.name.clone())
            .unwrap_or_default()
    }
}

fn interface(value: &Value) -> Result<Interface, UnusablePrevious> {
    let fields = Fields::of(value).ok_or_else(|| shape("an interface that is no object", value))?;
    let text = |name| -> Result<String, UnusablePrevious> {
        let text = fields
            .text(name)
            .map_err(|wrong| shape("an interface with a field that is no text", wrong))?;
        Ok(text.unwrap_or_default().to_owned())
    };
    Ok(Interface {
        name: text("name")?,
        mac: text("mac")?,
        sandbox: text("sandbox")?,
    })
}

fn address(value: &Value) -> Result<Address, UnusablePrevious> {
    let wrong = || shape("an element of ips without a valid address", value);
    let fields = Fields::of(value).ok_or_else(wrong)?;
    let text = fields
        .text("address")
        .map_err(|_| wrong())?
        .unwrap_or_default();
    Ok(Address {
        interface: fields.get("interface").and_then(Value::as_u64),
        address: text.parse().map_err(|_| wrong())?,
    })
}

fn list<'a>(fields: Fields<'a>, name: &str) -> Result<&'a [Value], UnusablePrevious> {
    match fields.get(name) {
        None => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(value) => Err(shape("a list that is no array", value)),
    }
}

fn shape(what: &str, value: &Value) -> UnusablePrevious {
    let value: String = value.to_string().chars().take(100).collect();
    UnusablePrevious::Shape(format!("{what}: {value}"))
}

#[cfg(test)]
mod tests;
