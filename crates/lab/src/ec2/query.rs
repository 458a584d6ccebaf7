//! EC2's query protocol: from a form to a `vpc::Request`. Must not: check what only the account's state can tell.
//!
//! A parameter that is not understood is refused (`UnknownParameter`), never ignored.

mod form;

pub(super) use form::Form;

use super::server::dry_run;
use ipnetwork::IpNetwork;
use model::block::Block;
use model::card::{DeviceIndex, NetworkCard};
use model::eni::EniKind;
use model::id::EniId;
use std::net::Ipv4Addr;
use std::str::FromStr;
use vpc::{
    Code, ConnectionTracking, CreateInterface, DescribeInterfaces, Error, Filter, Modification,
    Request, Tags, Wanted,
};

/// The request that a form means.
pub(super) fn decode(mut form: Form) -> Result<Request, Error> {
    let action = form.required::<String>("Action")?;
    form.take("Version");
    let dry = form.optional::<bool>("DryRun")?.unwrap_or(false);
    let request = match action.as_str() {
        "DescribeNetworkInterfaces" => describe_interfaces(&mut form)?,
        "DescribeInstances" => Request::DescribeInstances {
            ids: form.ids("InstanceId")?,
        },
        "DescribeSubnets" => Request::DescribeSubnets {
            ids: form.ids("SubnetId")?,
            filters: filters(&mut form)?,
        },
        "DescribeInstanceTypes" => Request::DescribeInstanceTypes {
            names: form.list("InstanceType"),
        },
        "CreateNetworkInterface" => create(&mut form)?,
        "AttachNetworkInterface" => attach(&mut form)?,
        "ModifyNetworkInterfaceAttribute" => modify(&mut form)?,
        "DetachNetworkInterface" => Request::DetachNetworkInterface {
            attachment: form.required("AttachmentId")?,
            force: form.optional("Force")?.unwrap_or(false),
        },
        "DeleteNetworkInterface" => Request::DeleteNetworkInterface {
            eni: eni(&mut form)?,
        },
        "AssignPrivateIpAddresses" => assign(&mut form)?,
        "UnassignPrivateIpAddresses" => Request::UnassignPrivateIpAddresses {
            eni: eni(&mut form)?,
            addresses: form.values("PrivateIpAddress")?,
            prefixes: prefixes(form.list("Ipv4Prefix"))?,
        },
        "CreateTags" => create_tags(&mut form)?,
        other => {
            return Err(Error::new(
                Code::InvalidAction,
                format!("The action {other} is not valid for this web service."),
            ));
        }
    };
    form.finish()?;
    if dry { Err(dry_run()) } else { Ok(request) }
}

fn describe_interfaces(form: &mut Form) -> Result<Request, Error> {
    Ok(Request::DescribeInterfaces(DescribeInterfaces {
        ids: form.ids("NetworkInterfaceId")?,
        filters: filters(form)?,
        max_results: form.optional("MaxResults")?,
        next_token: form.take("NextToken"),
    }))
}

fn filters(form: &mut Form) -> Result<Vec<Filter>, Error> {
    let groups = form.groups("Filter");
    groups
        .into_iter()
        .map(|mut one| {
            Ok(Filter {
                name: one.required("Name")?,
                values: one.list("Value"),
            })
        })
        .collect()
}

fn create(form: &mut Form) -> Result<Request, Error> {
    let (explicit_primary, secondary) = explicit_addresses(form)?;
    let prefix_texts = form
        .groups("Ipv4Prefix")
        .into_iter()
        .map(|mut one| one.required("Ipv4Prefix"));
    let prefixes = prefixes(prefix_texts.collect::<Result<_, _>>()?)?;
    let primary = form.optional("PrivateIpAddress")?;
    if primary.is_some() && explicit_primary.is_some() {
        return Err(combination(
            "Only one primary private IP address can be given.",
        ));
    }
    Ok(Request::CreateNetworkInterface(CreateInterface {
        client_token: form.take("ClientToken"),
        subnet: form.required("SubnetId")?,
        groups: form.ids("SecurityGroupId")?,
        description: form.take("Description").unwrap_or_default(),
        tags: specified_tags(form)?,
        primary: primary.or(explicit_primary),
        wanted: wanted(form, secondary, prefixes)?.unwrap_or(Wanted::Count(0)),
        kind: kind(form)?,
        connection_tracking: connection_tracking(form)?,
    }))
}

/// `PrivateIpAddresses.n`: the primary, if one is marked, and the others.
fn explicit_addresses(form: &mut Form) -> Result<(Option<Ipv4Addr>, Vec<Ipv4Addr>), Error> {
    let (mut primary, mut secondary) = (None, Vec::new());
    for mut one in form.groups("PrivateIpAddresses") {
        let address = one.required("PrivateIpAddress")?;
        match one.optional::<bool>("Primary")? {
            Some(true) if primary.is_some() => {
                return Err(combination("Only one address can be primary."));
            }
            Some(true) => primary = Some(address),
            Some(false) | None => secondary.push(address),
        }
    }
    Ok((primary, secondary))
}

/// Which of the four forms was used; two at once are refused.
fn wanted(
    form: &mut Form,
    addresses: Vec<Ipv4Addr>,
    prefixes: Vec<Block>,
) -> Result<Option<Wanted>, Error> {
    let mut forms = [
        form.optional("SecondaryPrivateIpAddressCount")?
            .map(Wanted::Count),
        form.optional("Ipv4PrefixCount")?.map(Wanted::PrefixCount),
        (!addresses.is_empty()).then_some(Wanted::Addresses(addresses)),
        (!prefixes.is_empty()).then_some(Wanted::Prefixes(prefixes)),
    ]
    .into_iter()
    .flatten();
    let first = forms.next();
    match forms.next() {
        Some(_) => Err(combination(
            "Addresses, prefixes and their counts cannot be combined.",
        )),
        None => Ok(first),
    }
}

fn kind(form: &mut Form) -> Result<EniKind, Error> {
    match form.take("InterfaceType").as_deref() {
        None | Some("interface") => Ok(EniKind::Standard),
        Some("trunk") => Ok(EniKind::Trunk),
        Some("efa") => Ok(EniKind::Efa),
        Some("efa-only") => Ok(EniKind::EfaOnly),
        Some(other) => Err(form::invalid(other, "InterfaceType")),
    }
}

fn connection_tracking(form: &mut Form) -> Result<Option<ConnectionTracking>, Error> {
    let mut optional =
        |field: &str| form.optional(&format!("ConnectionTrackingSpecification.{field}"));
    let tracking = ConnectionTracking {
        tcp_established_secs: optional("TcpEstablishedTimeout")?,
        udp_stream_secs: optional("UdpStreamTimeout")?,
        udp_secs: optional("UdpTimeout")?,
    };
    Ok((tracking != ConnectionTracking::default()).then_some(tracking))
}

fn specified_tags(form: &mut Form) -> Result<Tags, Error> {
    let mut tags = Tags::new();
    for mut one in form.groups("TagSpecification") {
        if one.required::<String>("ResourceType")? != "network-interface" {
            return Err(combination(
                "The resource type of the tags must be network-interface.",
            ));
        }
        tags.extend(tag_list(&mut one)?);
    }
    Ok(tags)
}

fn tag_list(form: &mut Form) -> Result<Tags, Error> {
    let groups = form.groups("Tag");
    groups
        .into_iter()
        .map(|mut one| Ok((one.required("Key")?, one.take("Value").unwrap_or_default())))
        .collect()
}

fn attach(form: &mut Form) -> Result<Request, Error> {
    Ok(Request::AttachNetworkInterface {
        eni: eni(form)?,
        instance: form.required("InstanceId")?,
        index: DeviceIndex(form.required("DeviceIndex")?),
        card: NetworkCard(form.optional("NetworkCardIndex")?.unwrap_or(0)),
    })
}

fn modify(form: &mut Form) -> Result<Request, Error> {
    let eni = eni(form)?;
    let groups = form.ids("SecurityGroupId")?;
    let attachment = form.optional("Attachment.AttachmentId")?;
    let delete = form.optional("Attachment.DeleteOnTermination")?;
    let mut changes = [
        (!groups.is_empty()).then_some(Modification::Groups(groups)),
        form.optional("SourceDestCheck.Value")?
            .map(Modification::SourceDestCheck),
        form.take("Description.Value")
            .map(Modification::Description),
        attachment
            .zip(delete)
            .map(|(attachment, delete)| Modification::DeleteOnTermination { attachment, delete }),
    ]
    .into_iter()
    .flatten();
    match (changes.next(), changes.next()) {
        (Some(change), None) => Ok(Request::ModifyNetworkInterfaceAttribute { eni, change }),
        (None, _) => Err(Error::new(
            Code::MissingParameter,
            "No attribute to modify was given.",
        )),
        (Some(_), Some(_)) => Err(combination("Only one attribute can be modified at a time.")),
    }
}

fn assign(form: &mut Form) -> Result<Request, Error> {
    let eni = eni(form)?;
    let (addresses, prefixes) = (
        form.values("PrivateIpAddress")?,
        prefixes(form.list("Ipv4Prefix"))?,
    );
    let wanted = wanted(form, addresses, prefixes)?.ok_or_else(|| {
        Error::new(
            Code::MissingParameter,
            "Either private IP addresses, prefixes or a count must be given.",
        )
    })?;
    let allow_reassignment = form.optional("AllowReassignment")?.unwrap_or(false);
    Ok(Request::AssignPrivateIpAddresses {
        eni,
        wanted,
        allow_reassignment,
    })
}

fn create_tags(form: &mut Form) -> Result<Request, Error> {
    let (resources, tags) = (form.list("ResourceId"), tag_list(form)?);
    if resources.is_empty() || tags.is_empty() {
        let missing = if resources.is_empty() {
            "resourceIdSet"
        } else {
            "tagSet"
        };
        return Err(form::missing(missing));
    }
    Ok(Request::CreateTags { resources, tags })
}

/// An ENI's id has an error code of its own.
fn eni(form: &mut Form) -> Result<EniId, Error> {
    let text = form.required::<String>("NetworkInterfaceId")?;
    EniId::from_str(&text).map_err(|_| form::malformed(&text, "NetworkInterfaceId"))
}

fn prefixes(texts: Vec<String>) -> Result<Vec<Block>, Error> {
    let parse = |text: &String| {
        let network = text
            .parse::<IpNetwork>()
            .ok()
            .and_then(|network| Block::try_from(network).ok());
        network
            .filter(|block| block.is_prefix() && block.network().is_ipv4())
            .ok_or_else(|| form::invalid(text, "Ipv4Prefix"))
    };
    texts.iter().map(parse).collect()
}

fn combination(message: &str) -> Error {
    Error::new(Code::InvalidParameterCombination, message)
}

#[cfg(test)]
mod tests;
