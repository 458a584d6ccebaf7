//! The checkpoint's text: upstream's JSON (ipamd.md §3.5) and one more top-level key, `extension`, that upstream ignores.
//! Must not: touch a file, judge an entry by anything outside the text. Driven by: `ipamd` and the simulator.
//!
//! Reading follows upstream's reader (key names in any case, unknown keys ignored, any order, missing = empty), with one
//! rule of our own: nothing is lost silently. An entry that cannot be represented (an IPv6 address, no address, a number
//! out of range) or that contradicts another (same address, same key) fails the whole decode and is named; the caller
//! sets the file aside. An address that is both held and cooling is no contradiction: both facts are returned.

mod write;

use crate::object::{Object, WrongType};
use model::allocation::{Allocation, BootId, Checkpoint, Cooling, Extension};
use model::pod::{PodKey, PodName};
use model::time::{Instant, WallTime};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The only version there has been.
pub const VERSION: &str = "vpc-cni-ipam/1";

/// Why a checkpoint cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or not an object.
    #[error("checkpoint is not a JSON object: {0}")]
    Syntax(String),
    /// Another version, or none.
    #[error("checkpoint has version {found:?}, want {VERSION:?}")]
    Version {
        /// What the file says.
        found: String,
    },
    /// A top-level field or a part of the extension has the wrong type or value.
    #[error("checkpoint: {0}")]
    Field(String),
    /// An entry that cannot be represented.
    #[error("checkpoint entry {index} ({key}): {problem}")]
    Entry {
        /// Position in `allocations`, from 0.
        index: usize,
        /// Its key, as far as it could be read.
        key: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// Two entries hold one address.
    #[error("checkpoint gives {address} to both {first} and {second}", first = .holders[0], second = .holders[1])]
    DuplicateAddress {
        /// The address.
        address: Ipv4Addr,
        /// Its holders in the order they are listed.
        holders: Box<[PodKey; 2]>,
    },
    /// Two entries have one key.
    #[error("checkpoint lists {key} twice, with {first} and {second}")]
    DuplicateKey {
        /// The key.
        key: PodKey,
        /// Address that is listed first.
        first: Ipv4Addr,
        /// Address that is listed later.
        second: Ipv4Addr,
    },
}

/// What is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// It is not a JSON object.
    #[error("it is not an object")]
    NotAnObject,
    /// A field has the wrong type.
    #[error(transparent)]
    Type(#[from] WrongType),
    /// It holds an IPv6 address.
    #[error("it holds the IPv6 address {0}, and IPv6 is not supported")]
    Ipv6(String),
    /// `ipv4` is missing or not an address.
    #[error("ipv4 {0:?} is not an IPv4 address")]
    Address(String),
    /// `interfacesCount` is negative or too large.
    #[error("interfacesCount {0} is out of range")]
    Interfaces(i64),
}

/// The file's content: one JSON object and a newline. Entries keep their order.
pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    write::encode(checkpoint)
}

/// Reads what [`encode`] or upstream wrote.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| DecodeError::Syntax(error.to_string()))?;
    let root = Object::of(&document)
        .ok_or_else(|| DecodeError::Syntax("it is another kind of value".into()))?;
    let version = root.text("version").map_err(field)?;
    if version != VERSION {
        return Err(DecodeError::Version {
            found: version.chars().take(80).collect(),
        });
    }
    let entries = root.array("allocations").map_err(field)?;
    let allocations = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| decode_entry(index, entry));
    let allocations = allocations.collect::<Result<Vec<_>, _>>()?;
    refuse_duplicates(&allocations)?;
    let extension = root
        .object("extension")
        .map_err(field)?
        .map(decode_extension)
        .transpose()?;
    Ok(Checkpoint {
        allocations,
        extension,
    })
}

fn field(error: WrongType) -> DecodeError {
    DecodeError::Field(error.to_string())
}

fn decode_entry(index: usize, entry: &Value) -> Result<Allocation, DecodeError> {
    let named = |key: String| {
        move |problem| DecodeError::Entry {
            index,
            key,
            problem,
        }
    };
    let object = Object::of(entry)
        .ok_or(EntryProblem::NotAnObject)
        .map_err(named("no key".into()))?;
    let key = decode_key(object).map_err(named("no key".into()))?;
    decode_allocation(object, &key).map_err(named(key.to_string()))
}

fn decode_key(entry: Object<'_>) -> Result<PodKey, EntryProblem> {
    Ok(PodKey {
        network: entry.text("networkName")?.to_owned(),
        container: entry.text("containerID")?.to_owned(),
        interface: entry.text("ifName")?.to_owned(),
    })
}

fn decode_allocation(entry: Object<'_>, key: &PodKey) -> Result<Allocation, EntryProblem> {
    let metadata = entry.object("metadata")?;
    let label = |name| {
        metadata
            .map_or(Ok(""), |metadata| metadata.text(name))
            .map(str::to_owned)
    };
    let interfaces = metadata.map_or(Ok(0), |metadata| metadata.integer("interfacesCount"))?;
    Ok(Allocation {
        key: key.clone(),
        pod: PodName {
            namespace: label("k8sPodNamespace")?,
            name: label("k8sPodName")?,
        },
        address: decode_address(entry)?,
        since: WallTime(entry.integer("allocationTimestamp")?),
        interfaces: match interfaces {
            // Files older than 1.20 do not have the count.
            0 => 1,
            count => u32::try_from(count).map_err(|_| EntryProblem::Interfaces(count))?,
        },
    })
}

fn decode_address(entry: Object<'_>) -> Result<Ipv4Addr, EntryProblem> {
    let (v4, v6) = (entry.text("ipv4")?, entry.text("ipv6")?);
    if !v6.is_empty() {
        return Err(EntryProblem::Ipv6(v6.chars().take(80).collect()));
    }
    let cut = || v4.chars().take(80).collect();
    match v4.parse::<Ipv6Addr>() {
        Ok(_) => Err(EntryProblem::Ipv6(cut())),
        Err(_) => v4.parse().map_err(|_| EntryProblem::Address(cut())),
    }
}

fn refuse_duplicates(allocations: &[Allocation]) -> Result<(), DecodeError> {
    let (mut by_address, mut by_key) = (BTreeMap::new(), BTreeMap::new());
    for Allocation { key, address, .. } in allocations {
        if let Some(first) = by_key.insert(key, *address) {
            return Err(DecodeError::DuplicateKey {
                key: key.clone(),
                first,
                second: *address,
            });
        }
        if let Some(first) = by_address.insert(*address, key) {
            let (address, holders) = (*address, Box::new([first.clone(), key.clone()]));
            return Err(DecodeError::DuplicateAddress { address, holders });
        }
    }
    Ok(())
}

fn decode_extension(extension: Object<'_>) -> Result<Extension, DecodeError> {
    let cooling = extension
        .array("cooling")
        .map_err(field)?
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            decode_cooling(entry).map_err(|problem| {
                DecodeError::Field(format!("extension.cooling entry {index}: {problem}"))
            })
        });
    Ok(Extension {
        boot_id: BootId(extension.text("bootId").map_err(field)?.to_owned()),
        cooling: cooling.collect::<Result<_, _>>()?,
    })
}

fn decode_cooling(entry: &Value) -> Result<Cooling, EntryProblem> {
    let object = Object::of(entry).ok_or(EntryProblem::NotAnObject)?;
    Ok(Cooling {
        address: decode_address(object)?,
        until: Instant(object.natural("until")?),
    })
}

#[cfg(test)]
mod tests;
