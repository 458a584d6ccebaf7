//! Names of links. Must not: look one up.

use model::pod::PodName;

use crate::error::ApplyError;
use crate::layout::LINK_NAME_MAX;

/// The host end of a pod's link: prefix and hash, by which other programs on the node find it too.
pub fn host_veth(prefix: &str, pod: &PodName) -> String {
    format!("{prefix}{}", pod.link_suffix(0))
}

/// Refuses what the kernel would refuse as a link name, and what would be another file below `/proc/sys`.
pub fn check(name: &str) -> Result<(), ApplyError> {
    let fits = (1..=LINK_NAME_MAX).contains(&name.len()) && name != "." && name != "..";
    if fits && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace()) {
        Ok(())
    } else {
        Err(ApplyError::InvalidName {
            name: name.chars().take(40).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_end_is_named_as_upstream_names_it() {
        let pod = PodName {
            namespace: "default".into(),
            name: "web-1".into(),
        };
        assert_eq!(host_veth("eni", &pod), "eni0761ccbeace");
        assert_eq!(host_veth("abcd", &pod).len(), LINK_NAME_MAX);
    }

    #[test]
    fn names_that_are_no_link_names_are_refused() {
        for good in ["eth0", "eni0761ccbeace", "net1.100", "a"] {
            assert!(check(good).is_ok(), "{good:?} was refused");
        }
        for bad in [
            "",
            ".",
            "..",
            "../../etc",
            "a b",
            "a:1",
            "a\0",
            "sixteencharacter",
            "a\n",
        ] {
            assert!(check(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
