//! DescribeNetworkInterfaces and DescribeSubnets: filters, pages, and what the describe view shows. Must not: change anything.

mod filter;

use crate::eni::InterfaceView;
use crate::error::{Code, Error, not_found, value};
use crate::history::View;
use crate::request::{Answer, DescribeInterfaces, Filter};
use crate::vpc::Vpc;
use filter::{
    INTERFACE_FILTERS, all_match, check_filters, interface_values, subnet_values, unknown_filter,
};
use model::eni::{EniKind, EniStatus};
use model::id::{EniId, SubnetId};
use model::time::Instant;

impl Vpc {
    pub(crate) fn describe_interfaces(
        &self,
        now: Instant,
        describe: &DescribeInterfaces,
    ) -> Result<Answer, Error> {
        if !describe.ids.is_empty()
            && (describe.max_results.is_some() || describe.next_token.is_some())
        {
            let text =
                "The parameter MaxResults cannot be used with the parameter NetworkInterfaceIds";
            return Err(Error::new(Code::InvalidParameterCombination, text));
        }
        if describe
            .max_results
            .is_some_and(|max| !(5..=1000).contains(&max))
        {
            return Err(value("MaxResults must be between 5 and 1000"));
        }
        check_filters(&describe.filters)?;
        let matching = match describe.ids.as_slice() {
            [] => self.filtered(self.described(now), &describe.filters)?,
            ids => {
                let found = ids
                    .iter()
                    .map(|id| self.described_one(now, id))
                    .collect::<Result<Vec<_>, Error>>()?;
                self.filtered(found.into_iter(), &describe.filters)?
            }
        };
        page(matching, describe)
    }

    fn described_one(&self, now: Instant, id: &EniId) -> Result<InterfaceView, Error> {
        let seen = self
            .enis
            .get(id)
            .and_then(|history| self.view_of(now, history));
        seen.ok_or_else(|| not_found(Code::InterfaceNotFound, "networkInterface ID", id))
    }

    /// Every ENI as describes see it now, in order of id.
    pub(crate) fn described(&self, now: Instant) -> impl Iterator<Item = InterfaceView> {
        self.enis
            .values()
            .filter_map(move |history| self.view_of(now, history))
    }

    fn view_of(&self, now: Instant, history: &crate::history::History) -> Option<InterfaceView> {
        let mut view = history.seen(View::Describe, now)?.view(now);
        view.interface.tags = history
            .seen(View::Tags, now)
            .map(|seen| seen.tags.clone())
            .unwrap_or_default();
        Some(view)
    }

    fn filtered(
        &self,
        views: impl Iterator<Item = InterfaceView>,
        filters: &[Filter],
    ) -> Result<Vec<InterfaceView>, Error> {
        let mut matching = Vec::new();
        for view in views {
            if all_match(filters, |name| interface_values(&view, name))? {
                matching.push(view);
            }
        }
        if matching.is_empty() {
            // An unknown filter is refused though there is nothing to look at.
            for filter in filters
                .iter()
                .filter(|filter| !filter.name.starts_with("tag:"))
            {
                if !INTERFACE_FILTERS.contains(&filter.name.as_str()) {
                    return Err(unknown_filter(&filter.name));
                }
            }
        }
        Ok(matching)
    }

    pub(crate) fn describe_subnets(
        &self,
        ids: &[SubnetId],
        filters: &[Filter],
    ) -> Result<Answer, Error> {
        if let Some(unknown) = ids.iter().find(|id| !self.subnets.contains_key(*id)) {
            return Err(not_found(Code::SubnetNotFound, "subnet ID", unknown));
        }
        check_filters(filters)?;
        let mut matching = Vec::new();
        for subnet in self
            .subnets
            .values()
            .filter(|subnet| ids.is_empty() || ids.contains(&subnet.id))
        {
            let view = subnet.view();
            if all_match(filters, |name| subnet_values(&view, name))? {
                matching.push(view);
            }
        }
        Ok(Answer::Subnets(matching))
    }
}

fn page(matching: Vec<InterfaceView>, describe: &DescribeInterfaces) -> Result<Answer, Error> {
    // A token names the last id of its page, so that changes in between move nothing.
    let after: Option<EniId> = match &describe.next_token {
        Some(token) => {
            let id = token.strip_prefix("after-").and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| {
                Error::new(
                    Code::InvalidNextToken,
                    "The specified NextToken is not valid.",
                )
            })?)
        }
        None => None,
    };
    let mut rest = matching.into_iter().filter(|view| {
        after
            .as_ref()
            .is_none_or(|after| view.interface.id > *after)
    });
    let size = describe.max_results.map_or(usize::MAX, |max| max as usize);
    let interfaces: Vec<InterfaceView> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let next_token = interfaces
        .last()
        .filter(|_| more)
        .map(|last| format!("after-{}", last.interface.id));
    Ok(Answer::Interfaces {
        interfaces,
        next_token,
    })
}

/// `NetworkInterfaceStatus` on the wire.
pub(crate) fn interface_status(status: EniStatus) -> &'static str {
    match status {
        EniStatus::Available => "available",
        EniStatus::Attaching => "attaching",
        EniStatus::InUse => "in-use",
        EniStatus::Detaching => "detaching",
    }
}

/// `AttachmentStatus` on the wire.
pub(crate) fn attachment_status(status: EniStatus) -> &'static str {
    match status {
        EniStatus::Available => "detached",
        EniStatus::Attaching => "attaching",
        EniStatus::InUse => "attached",
        EniStatus::Detaching => "detaching",
    }
}

/// `NetworkInterfaceType` on the wire.
pub(crate) fn interface_type(kind: EniKind) -> &'static str {
    match kind {
        EniKind::Standard => "interface",
        EniKind::Trunk => "trunk",
        EniKind::Efa => "efa",
        EniKind::EfaOnly => "efa-only",
    }
}

impl InterfaceView {
    /// `Status` on the wire.
    pub fn status_text(&self) -> &'static str {
        interface_status(self.status)
    }

    /// `Attachment.Status` on the wire.
    pub fn attachment_status_text(&self) -> &'static str {
        attachment_status(self.status)
    }

    /// `InterfaceType` on the wire.
    pub fn kind_text(&self) -> &'static str {
        interface_type(self.interface.kind)
    }
}
