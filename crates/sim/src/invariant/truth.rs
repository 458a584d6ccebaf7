//! L3, second half: at rest the node's inventory is EC2's, exactly: the same ENIs, each of ours with as many addresses.

use super::{Check, Invariant, violated};
use ipam::view::View;
use model::eni::EniKind;
use vpc::Interface;

/// At rest; `attached`: what EC2 binds to the instance, in order of id.
pub fn check(view: &View, attached: &[&Interface]) -> Check {
    let known: Vec<_> = view.enis.iter().map(|eni| &eni.id).collect();
    let owned: Vec<_> = attached.iter().map(|eni| &eni.id).collect();
    if known != owned {
        return violated(
            Invariant::NoLeak,
            format!("EC2 has attached {owned:?}, the node knows {known:?}"),
        );
    }
    for (known, owned) in view.enis.iter().zip(attached) {
        let secondary = owned.addresses.iter().filter(|a| !a.primary).count();
        let counted = known.managed && owned.kind != EniKind::Trunk;
        let index = owned.attachment.as_ref().map(|bound| bound.index);
        // What people took away counts neither here nor there.
        if counted && known.addresses - known.lost != secondary || index != Some(known.index) {
            return violated(
                Invariant::NoLeak,
                format!(
                    "{} has {secondary} secondary addresses at {index:?}, the node knows {} at {:?}",
                    owned.id,
                    known.addresses - known.lost,
                    known.index
                ),
            );
        }
    }
    Ok(())
}
