//! What `vpc-lab status` shows of a scene. Must not: change it.

use super::{Scene, SceneNode};
use crate::outside::Place;
use serde::{Deserialize, Serialize};

/// What `vpc-lab status` shows of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Host name.
    pub name: String,
    /// Instance id.
    pub instance: String,
    /// Primary address.
    pub address: String,
    /// Public address; none without networks beyond the VPC.
    pub public: Option<String>,
    /// Process 1 by its number outside.
    pub init: u32,
    /// The process that made its namespaces.
    pub holder: u32,
}

/// What `vpc-lab status` shows of a network beyond the VPC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceSummary {
    /// One word.
    pub name: String,
    /// The host that it speaks as.
    pub address: String,
    /// Its ranges.
    pub ranges: Vec<String>,
    /// `nsenter --net=FILE` enters it.
    pub file: String,
}

impl Scene {
    /// What people want to know of its nodes.
    pub fn summary(&self) -> Vec<NodeSummary> {
        let summary = |SceneNode {
                           node,
                           instance,
                           lease,
                       }: &SceneNode| NodeSummary {
            name: node.name().to_owned(),
            instance: instance.to_string(),
            address: lease.address.to_string(),
            public: self.vpc().public_address(instance).map(|it| it.to_string()),
            init: node.init(),
            holder: node.process().pid,
        };
        self.nodes.iter().map(summary).collect()
    }

    /// What people want to know of the networks beyond the VPC.
    pub fn places(&self) -> Vec<PlaceSummary> {
        let summary = |place: &Place| PlaceSummary {
            name: place.side().to_string(),
            address: place.address().to_string(),
            ranges: crate::outside::ranges(place.side())
                .iter()
                .map(ToString::to_string)
                .collect(),
            file: place.file(),
        };
        self.places.values().map(summary).collect()
    }
}
