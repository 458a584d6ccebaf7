//! Tags of ENIs, subnets and instances. Must not: know what a tag means.

use crate::error::{Code, Error, not_found, value};
use crate::request::{Answer, Tags};
use crate::vpc::Vpc;
use model::id::{EniId, InstanceId, SubnetId};
use model::time::Instant;

/// Tags one resource can have.
const LIMIT: usize = 50;

/// A resource that can be tagged here.
enum Resource {
    Interface(EniId),
    Subnet(SubnetId),
    Instance(InstanceId),
}

/// Whether a resource may have exactly these tags.
pub(crate) fn check(tags: &Tags) -> Result<(), Error> {
    if tags
        .keys()
        .any(|key| key.to_ascii_lowercase().starts_with("aws:"))
    {
        return Err(value(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    if tags.iter().any(|(key, text)| {
        key.is_empty() || key.chars().count() > 128 || text.chars().count() > 256
    }) {
        return Err(value(
            "A tag key has 1 to 128 characters, a tag value at most 256.",
        ));
    }
    if tags.len() > LIMIT {
        return Err(Error::new(
            Code::TagLimitExceeded,
            format!("More than {LIMIT} tags on one resource."),
        ));
    }
    Ok(())
}

impl Vpc {
    /// All resources or none.
    pub(crate) fn create_tags(
        &mut self,
        now: Instant,
        resources: &[String],
        tags: &Tags,
    ) -> Result<Answer, Error> {
        let resources = resources
            .iter()
            .map(|id| self.resource(id))
            .collect::<Result<Vec<_>, Error>>()?;
        for resource in &resources {
            let mut after = self.tags_of(resource).clone();
            after.extend(tags.clone());
            check(&after)?;
        }
        for resource in resources {
            match resource {
                Resource::Interface(eni) => {
                    self.change(now, &eni, |interface| interface.tags.extend(tags.clone()))
                }
                Resource::Subnet(id) => self
                    .subnets
                    .get_mut(&id)
                    .expect("checked")
                    .tags
                    .extend(tags.clone()),
                Resource::Instance(id) => self
                    .instances
                    .get_mut(&id)
                    .expect("checked")
                    .tags
                    .extend(tags.clone()),
            }
        }
        Ok(Answer::Done)
    }

    fn resource(&self, text: &str) -> Result<Resource, Error> {
        if let Ok(eni) = text.parse::<EniId>() {
            self.interface_or_refuse(&eni)?;
            return Ok(Resource::Interface(eni));
        }
        if let Ok(subnet) = text.parse::<SubnetId>() {
            let known = self.subnets.contains_key(&subnet);
            return known
                .then_some(Resource::Subnet(subnet))
                .ok_or_else(|| not_found(Code::SubnetNotFound, "subnet ID", text));
        }
        if let Ok(instance) = text.parse::<InstanceId>() {
            self.instance_or_refuse(&instance)?;
            return Ok(Resource::Instance(instance));
        }
        Err(Error::new(
            Code::InvalidId,
            format!("The ID '{text}' is not valid"),
        ))
    }

    fn tags_of(&self, resource: &Resource) -> &Tags {
        match resource {
            Resource::Interface(eni) => &self.interface(eni).expect("checked").tags,
            Resource::Subnet(id) => &self.subnets[id].tags,
            Resource::Instance(id) => &self.instances[id].tags,
        }
    }
}
