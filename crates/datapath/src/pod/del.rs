//! Removes what names a pod's address on the host. Must not: remove a link (its name may be a newer sandbox's; the
//! runtime's removal of the namespace takes it), stop at a failure, fail for what is gone. Without the daemon's word that
//! the address was the pod's until now, what leads to another link is another pod's and stays.
//! Driven by: `cni-plugin`, with or without the daemon's help.

use std::net::Ipv4Addr;

use model::card::RouteTable;
use netlink::{Request, Socket};

use super::{host_route, rule_from, rule_to};
use crate::apply::is_absent;
use crate::encode;
use crate::error::ApplyError;
use crate::layout::{self, ANY_TABLE, egress_table};
use crate::observe;
use crate::value::{Object, Route};

/// Old releases made one rule per VPC CIDR; nobody made more than this.
const REPEATS_MAX: usize = 64;

/// Removes the rules and the route of `address`. `table` is the one the pod was wired with;
/// [`ANY_TABLE`] when nobody knows it.
pub fn apply_del(address: Ipv4Addr, table: RouteTable) -> Result<(), ApplyError> {
    let mut socket = observe::open()?;
    let mut errors: Vec<_> = removals(address, table)
        .iter()
        .filter_map(|it| it.carry_out(&mut socket).err())
        .collect();
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(ApplyError::Several(errors)),
    }
}

/// What became of the objects that name an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// They are gone.
    Removed,
    /// They stay: the address is routed to a link that is not the pod's.
    TakenOver,
}

/// [`apply_del`] when only the pod's own memory says that the address is its: `host_link` was its link. When the address
/// leads elsewhere, or the link is gone and the address leads anywhere, somebody else has it by now.
pub fn apply_del_of(
    address: Ipv4Addr,
    table: RouteTable,
    host_link: &str,
) -> Result<Deleted, ApplyError> {
    let mut socket = observe::open()?;
    let link = observe::link_named(&mut socket, host_link)?;
    let routes = observe::routes_on(&mut socket, RouteTable::MAIN)?;
    if is_taken_over(address, link.map(|link| link.index), &routes) {
        return Ok(Deleted::TakenOver);
    }
    apply_del(address, table).map(|()| Deleted::Removed)
}

fn is_taken_over(address: Ipv4Addr, link: Option<u32>, main: &[Route]) -> bool {
    let destination = layout::host(address);
    let mut own = main.iter().filter(|route| route.destination == destination);
    own.any(|route| route.link != link)
}

/// One object to remove, as often as it is found.
#[derive(Debug, PartialEq, Eq)]
struct Removal {
    object: Object,
    request: Request,
}

fn removals(address: Ipv4Addr, table: RouteTable) -> Vec<Removal> {
    let exactly = |object: Object| Removal {
        request: encode::removal(&object),
        object,
    };
    let mut removals = vec![exactly(Object::Rule(rule_to(address)))];
    let from = rule_from(address, egress_table(table));
    if table == ANY_TABLE {
        removals.push(Removal {
            request: encode::removal_in_any_table(&from),
            object: Object::Rule(from),
        });
    } else if from.table != RouteTable::MAIN {
        removals.push(exactly(Object::Rule(from)));
    }
    removals.push(exactly(Object::Route(host_route(address, None))));
    removals
}

impl Removal {
    fn carry_out(&self, socket: &mut Socket) -> Result<(), ApplyError> {
        let attempt = || format!("remove {}", self.object);
        for _ in 0..REPEATS_MAX {
            let response = socket.request(self.request.clone());
            match response
                .map_err(|source| ApplyError::Wire {
                    attempt: attempt(),
                    source,
                })?
                .outcome
            {
                Ok(()) => {}
                Err(refusal) if is_absent(&self.object, &refusal) => break,
                Err(refusal) => {
                    return Err(ApplyError::Refused {
                        attempt: attempt(),
                        refusal,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: u32) -> Vec<String> {
        removals(Ipv4Addr::new(10, 0, 1, 121), RouteTable(table))
            .iter()
            .map(|it| it.object.to_string())
            .collect()
    }

    const TO: &str = "rule 512:\tfrom all to 10.0.1.121 lookup main";
    const ROUTE: &str = "route 10.0.1.121 dev any scope link";

    #[test]
    fn a_pod_on_the_primary_eni_has_no_source_rule_to_remove() {
        assert_eq!(lines(254), [TO, ROUTE]);
        assert_eq!(lines(1), [TO, ROUTE]);
    }

    #[test]
    fn a_pod_on_a_secondary_eni_loses_its_source_rule() {
        assert_eq!(
            lines(2),
            [TO, "rule 1536:\tfrom 10.0.1.121 lookup 2", ROUTE]
        );
    }

    #[test]
    fn an_address_that_leads_to_another_link_is_another_pods() {
        let address = Ipv4Addr::new(10, 0, 1, 121);
        let neighbour = host_route(Ipv4Addr::new(10, 0, 1, 122), Some(9));
        let to = |link| vec![neighbour.clone(), host_route(address, Some(link))];
        assert!(!is_taken_over(address, Some(8), &to(8)));
        assert!(is_taken_over(address, Some(8), &to(9)));
        assert!(is_taken_over(address, None, &to(9)), "its link is gone");
        assert!(!is_taken_over(address, None, &[neighbour]), "nobody has it");
    }

    #[test]
    fn without_a_known_table_the_source_rule_of_any_table_goes() {
        let removals = removals(Ipv4Addr::new(10, 0, 1, 121), ANY_TABLE);
        let from = rule_from(Ipv4Addr::new(10, 0, 1, 121), RouteTable::MAIN);
        assert_eq!(removals[1].request, encode::removal_in_any_table(&from));
    }
}
