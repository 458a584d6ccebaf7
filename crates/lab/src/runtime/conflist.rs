//! A network configuration list and what each of its plugins gets on stdin. Pure, except [`Conflist::of_node`].
//! Must not: start a plugin (`runtime` does).

use crate::node::Node;
use serde_json::{Map, Value};
use std::fs;
use std::path::PathBuf;

/// Why there is no usable network configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConflistError {
    /// The directory has no configuration: what keeps a real node NotReady.
    #[error("no network configuration in {0}")]
    Missing(PathBuf),
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Not JSON.
    #[error("parse a network configuration list")]
    Json(#[source] serde_json::Error),
    /// JSON, but no list of plugins.
    #[error("network configuration list lacks {0}")]
    Lacks(&'static str),
}

/// A parsed list.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflist {
    name: String,
    version: String,
    plugins: Vec<(String, Map<String, Value>)>,
}

impl Conflist {
    /// The list a runtime would load on this node: the first file by name in /etc/cni/net.d.
    pub fn of_node(node: &Node) -> Result<Self, ConflistError> {
        let directory = node.folder().join("etc-cni/net.d");
        let entries =
            fs::read_dir(&directory).map_err(|_| ConflistError::Missing(directory.clone()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let is_list = |path: &PathBuf| {
            path.extension()
                .is_some_and(|extension| extension == "conflist")
        };
        let path = paths
            .filter(is_list)
            .min()
            .ok_or(ConflistError::Missing(directory))?;
        let text =
            fs::read_to_string(&path).map_err(|source| ConflistError::Read { path, source })?;
        Self::parse(&text)
    }

    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, ConflistError> {
        let value: Value = serde_json::from_str(text).map_err(ConflistError::Json)?;
        let string = |value: &Value, key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let plugins = value
            .get("plugins")
            .and_then(Value::as_array)
            .ok_or(ConflistError::Lacks("plugins"))?;
        let plugin = |plugin: &Value| Some((string(plugin, "type")?, plugin.as_object()?.clone()));
        Ok(Self {
            name: string(&value, "name").ok_or(ConflistError::Lacks("name"))?,
            version: string(&value, "cniVersion").ok_or(ConflistError::Lacks("cniVersion"))?,
            plugins: plugins
                .iter()
                .map(|one| plugin(one).ok_or(ConflistError::Lacks("a plugin's type")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Types of the plugins, which are the names of their programs, in order of ADD.
    pub fn programs(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.plugins.iter().map(|(program, _)| program.as_str())
    }

    /// Whether DEL carries the result of the ADD: since 0.4.0.
    pub fn passes_result_to_del(&self) -> bool {
        !["0.1.", "0.2.", "0.3."]
            .iter()
            .any(|old| self.version.starts_with(old))
    }

    /// What the plugin gets on stdin: its own entry with the list's name and version, and the result so far.
    pub fn stdin(&self, program: &str, previous: Option<&Value>) -> String {
        let entry = self.plugins.iter().find(|(name, _)| name == program);
        let mut config = entry.map(|(_, config)| config.clone()).unwrap_or_default();
        config.insert("name".into(), self.name.clone().into());
        config.insert("cniVersion".into(), self.version.clone().into());
        if let Some(previous) = previous {
            config.insert("prevResult".into(), previous.clone());
        }
        Value::Object(config).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIST: &str = r#"{"cniVersion":"0.4.0","name":"aws-cni","disableCheck":true,"plugins":[
        {"name":"aws-cni","type":"aws-cni","vethPrefix":"eni","mtu":"9001"},
        {"type":"portmap","capabilities":{"portMappings":true}}]}"#;

    #[test]
    fn each_plugin_gets_its_entry_with_the_lists_name_and_version() {
        let list = Conflist::parse(LIST).unwrap();
        assert_eq!(list.programs().collect::<Vec<_>>(), ["aws-cni", "portmap"]);
        let stdin: Value =
            serde_json::from_str(&list.stdin("portmap", Some(&json!({"ips": []})))).unwrap();
        let expected = json!({"name": "aws-cni", "cniVersion": "0.4.0", "type": "portmap",
            "capabilities": {"portMappings": true}, "prevResult": {"ips": []}});
        assert_eq!(stdin, expected);
        assert!(!list.stdin("aws-cni", None).contains("prevResult"));
        let old = Conflist::parse(&LIST.replace("0.4.0", "0.3.1")).unwrap();
        assert_eq!(
            (list.passes_result_to_del(), old.passes_result_to_del()),
            (true, false)
        );
    }

    #[test]
    fn a_list_that_is_none_names_what_it_lacks() {
        let lacks = |text| Conflist::parse(text).unwrap_err().to_string();
        assert_eq!(
            lacks(r#"{"name":"a","cniVersion":"1.0.0"}"#),
            "network configuration list lacks plugins"
        );
        assert_eq!(
            lacks(r#"{"cniVersion":"1.0.0","plugins":[]}"#),
            "network configuration list lacks name"
        );
        assert_eq!(
            lacks(r#"{"name":"a","cniVersion":"1.0.0","plugins":[{}]}"#),
            "network configuration list lacks a plugin's type"
        );
    }
}
