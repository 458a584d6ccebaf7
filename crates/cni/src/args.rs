//! CNI_ARGS: `KEY=VALUE;KEY=VALUE` in any order. Must not: read the environment.

use crate::error::{CniError, Code};
use model::pod::PodName;

/// What a Kubernetes runtime says about the pod. Every part may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodArgs {
    /// K8S_POD_NAMESPACE and K8S_POD_NAME
    pub pod: PodName,
    /// K8S_POD_INFRA_CONTAINER_ID
    pub infra_container: String,
    /// K8S_POD_UID
    pub uid: String,
}

/// A text that is not CNI_ARGS. The words are the reference library's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Not exactly one `=`.
    #[error("ARGS: invalid pair {0:?}")]
    Pair(String),
    /// Keys that nobody knows, without IgnoreUnknown.
    #[error("ARGS: unknown args {0:?}")]
    Unknown(Vec<String>),
    /// IgnoreUnknown is not a boolean.
    #[error("ARGS: IgnoreUnknown is {0:?}: true, false, 1 or 0 is wanted")]
    Boolean(String),
}

impl PodArgs {
    /// Reads `text`; empty is no argument.
    pub fn parse(text: &str) -> Result<Self, ArgsError> {
        let mut args = Self::default();
        let mut unknown = Vec::new();
        let mut ignore_unknown = false;
        for pair in text.split(';').filter(|_| !text.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.contains('='))
                .ok_or_else(|| ArgsError::Pair(pair.to_owned()))?;
            match key {
                "IgnoreUnknown" => ignore_unknown = boolean(value)?,
                "K8S_POD_NAME" => args.pod.name = value.to_owned(),
                "K8S_POD_NAMESPACE" => args.pod.namespace = value.to_owned(),
                "K8S_POD_INFRA_CONTAINER_ID" => args.infra_container = value.to_owned(),
                "K8S_POD_UID" => args.uid = value.to_owned(),
                _ => unknown.push(pair.to_owned()),
            }
        }
        if unknown.is_empty() || ignore_unknown {
            Ok(args)
        } else {
            Err(ArgsError::Unknown(unknown))
        }
    }
}

impl From<ArgsError> for CniError {
    fn from(error: ArgsError) -> Self {
        Self::new(Code::Environment, format!("CNI_ARGS: {error}"))
    }
}

fn boolean(text: &str) -> Result<bool, ArgsError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(ArgsError::Boolean(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn web() -> PodArgs {
        PodArgs {
            pod: PodName {
                namespace: "default".into(),
                name: "web-1".into(),
            },
            infra_container: "0abc".into(),
            uid: "b4b1".into(),
        }
    }

    #[test]
    fn no_arguments_are_empty_arguments() {
        assert_eq!(PodArgs::parse(""), Ok(PodArgs::default()));
    }

    #[test]
    fn a_pair_has_exactly_one_equals_sign() {
        for (text, pair) in [
            ("K8S_POD_NAME", "K8S_POD_NAME"),
            ("K8S_POD_NAME=a=b", "K8S_POD_NAME=a=b"),
            ("K8S_POD_UID=1;", ""),
        ] {
            assert_eq!(PodArgs::parse(text), Err(ArgsError::Pair(pair.into())));
        }
    }

    #[test]
    fn unknown_keys_are_refused_unless_they_may_be_ignored() {
        let text = "K8S_POD_NAME=a;FOO=1;BAR=2";
        assert_eq!(
            PodArgs::parse(text),
            Err(ArgsError::Unknown(vec!["FOO=1".into(), "BAR=2".into()]))
        );
        assert_eq!(
            CniError::from(PodArgs::parse("FOO=1").unwrap_err()).code,
            Code::Environment
        );
        for (flag, accepted) in [
            ("1", true),
            ("true", true),
            ("TRUE", true),
            ("0", false),
            ("false", false),
        ] {
            assert_eq!(
                PodArgs::parse(&format!("{text};IgnoreUnknown={flag}")).is_ok(),
                accepted,
                "{flag}"
            );
        }
        assert_eq!(
            PodArgs::parse("IgnoreUnknown=maybe"),
            Err(ArgsError::Boolean("maybe".into()))
        );
    }

    proptest! {
        #[test]
        fn the_order_of_arguments_means_nothing(
            pairs in Just(vec![
                "IgnoreUnknown=1", "K8S_POD_NAMESPACE=default", "K8S_POD_NAME=web-1",
                "K8S_POD_INFRA_CONTAINER_ID=0abc", "K8S_POD_UID=b4b1", "FOO=bar",
            ]).prop_shuffle()
        ) {
            prop_assert_eq!(PodArgs::parse(&pairs.join(";")), Ok(web()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = PodArgs::parse(&text);
        }
    }
}
