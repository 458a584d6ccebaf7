//! Reads `deploy/daemonset.yaml` into Kubernetes' own types, and finds out whatever of it they do not know.
//! Driven by `kubelet` and the tests. Must not: fill in what the manifest leaves out.
//!
//! The types are generated from Kubernetes' OpenAPI schema. They ignore unknown fields and fill in missing ones, so each
//! object is written back and compared with what was read: a field that is misspelled or misplaced is missing then, a
//! required one has appeared.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{PodSpec, ServiceAccount};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The file, below the repository's root.
pub const FILE: &str = "deploy/daemonset.yaml";

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// It is no YAML.
    #[error("the manifest is no YAML: {0}")]
    Yaml(String),
    /// An object that does not belong here.
    #[error("an object of kind {kind} of {version} is not expected here")]
    Unexpected {
        /// Its kind.
        kind: String,
        /// Its API version.
        version: String,
    },
    /// A field's value is not as Kubernetes' schema says.
    #[error("{kind}: {path}: {why}")]
    Schema {
        /// The object's kind.
        kind: String,
        /// The field.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field that Kubernetes does not know, or not there.
    #[error("{kind}: Kubernetes knows no field {path}, or reads it as something else")]
    Unknown {
        /// The object's kind.
        kind: String,
        /// The field.
        path: String,
    },
    /// A field that Kubernetes wants is not there.
    #[error("{kind}: Kubernetes wants the field {path}")]
    Lacks {
        /// The object's kind.
        kind: String,
        /// The field.
        path: String,
    },
    /// What the schema can't say.
    #[error("{0}")]
    Inconsistent(String),
    /// An object is missing.
    #[error("the manifest has no {0}")]
    Missing(&'static str),
}

/// The objects of the manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Whose permissions the pods have.
    pub service_account: ServiceAccount,
    /// The pods.
    pub daemon_set: DaemonSet,
}

impl Manifest {
    /// The manifest in the sources.
    pub fn of_repository(root: &Path) -> Result<Self, ManifestError> {
        let path = root.join(FILE);
        let text =
            fs::read_to_string(&path).map_err(|source| ManifestError::Read { path, source })?;
        Self::parse(&text)
    }

    /// Reads all objects.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|error| ManifestError::Yaml(error.to_string()))?;
        let (mut service_account, mut daemon_set) = (None, None);
        for object in &objects {
            match (object["apiVersion"].as_str(), object["kind"].as_str()) {
                (Some("v1"), Some("ServiceAccount")) => service_account = Some(typed(object)?),
                (Some("apps/v1"), Some("DaemonSet")) => daemon_set = Some(typed(object)?),
                (version, kind) => {
                    return Err(ManifestError::Unexpected {
                        kind: kind.unwrap_or("that is not named").to_owned(),
                        version: version.unwrap_or("no version").to_owned(),
                    });
                }
            }
        }
        let manifest = Self {
            service_account: service_account.ok_or(ManifestError::Missing("ServiceAccount"))?,
            daemon_set: daemon_set.ok_or(ManifestError::Missing("DaemonSet"))?,
        };
        manifest
            .is_consistent()
            .map_err(ManifestError::Inconsistent)?;
        Ok(manifest)
    }

    /// The pods' specification.
    pub fn pod(&self) -> Option<&PodSpec> {
        self.daemon_set.spec.as_ref()?.template.spec.as_ref()
    }

    /// What the API server checks beyond the schema, and what it lets pass though nobody means it.
    fn is_consistent(&self) -> Result<(), String> {
        let spec = self
            .daemon_set
            .spec
            .as_ref()
            .ok_or("the DaemonSet has no spec")?;
        let labels = spec
            .template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.clone())
            .unwrap_or_default();
        for (name, value) in spec.selector.match_labels.iter().flatten() {
            if labels.get(name) != Some(value) {
                return Err(format!(
                    "the selector wants the label {name}={value}, which the pods do not have"
                ));
            }
        }
        let pod = self.pod().ok_or("the DaemonSet's pods have no spec")?;
        let account = self.service_account.metadata.name.as_deref();
        if pod.service_account_name.as_deref() != account {
            return Err(format!(
                "the pods' service account is not {}",
                account.unwrap_or("named")
            ));
        }
        let volumes = pod.volumes.iter().flatten();
        let volumes = unique("volume", "the pod", volumes.map(|volume| &volume.name))?;
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            let owner = format!("container {}", container.name);
            let variables = container.env.iter().flatten();
            unique("variable", &owner, variables.map(|one| &one.name))?;
            let mounts = || container.volume_mounts.iter().flatten();
            unique("mount", &owner, mounts().map(|mount| &mount.mount_path))?;
            if let Some(mount) = mounts().find(|mount| !volumes.contains(&mount.name)) {
                return Err(format!(
                    "{owner} mounts the volume {}, which does not exist",
                    mount.name
                ));
            }
        }
        Ok(())
    }
}

fn unique<'a>(
    what: &str,
    owner: &str,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeSet<&'a String>, String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{owner} has the {what} {name} twice"));
        }
    }
    Ok(seen)
}

fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> Result<T, ManifestError> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let schema = |error: serde_json::Error| ManifestError::Schema {
        kind: kind.clone(),
        path: misfit::<T>(object, ""),
        why: error.to_string(),
    };
    let typed: T = serde_json::from_value(object.clone()).map_err(schema)?;
    let back = serde_json::to_value(&typed).map_err(schema)?;
    if let Some(path) = lost(object, &back) {
        return Err(ManifestError::Unknown { kind, path });
    }
    // A required field that is missing was filled in.
    match lost(&back, object) {
        Some(path) => Err(ManifestError::Lacks { kind, path }),
        None => Ok(typed),
    }
}

/// Below `path`, the field without which the object would be one: the one whose value does not fit.
fn misfit<T: DeserializeOwned>(object: &Value, path: &str) -> String {
    let fields: Vec<String> = match object.pointer(path) {
        Some(Value::Object(fields)) => fields.keys().cloned().collect(),
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    };
    let fits_without = |field: &String| {
        let mut rest = object.clone();
        match rest.pointer_mut(path) {
            Some(Value::Object(fields)) => drop(fields.remove(field)),
            Some(Value::Array(items)) => {
                let _ = field.parse().map(|index: usize| items.remove(index));
            }
            _ => {}
        }
        serde_json::from_value::<T>(rest).is_ok()
    };
    match fields.iter().find(|field| fits_without(field)) {
        Some(field) => {
            let escaped = field.replace('~', "~0").replace('/', "~1");
            misfit::<T>(object, &format!("{path}/{escaped}"))
        }
        None => path.trim_start_matches('/').replace('/', "."),
    }
}

/// The first value of `read` that `known` has not, by its path.
fn lost(read: &Value, known: &Value) -> Option<String> {
    let below = |name: String, read: &Value, known: &Value| {
        lost(read, known).map(|path| {
            if path.is_empty() {
                name
            } else {
                format!("{name}.{path}")
            }
        })
    };
    match (read, known) {
        (Value::Object(read), Value::Object(known)) => read.iter().find_map(|(name, value)| {
            below(name.clone(), value, known.get(name).unwrap_or(&Value::Null))
        }),
        (Value::Array(read), Value::Array(known)) if read.len() == known.len() => {
            let pairs = read.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (read, known))| below(index.to_string(), read, known))
        }
        _ => (read != known).then(String::new),
    }
}

#[cfg(test)]
mod tests;
