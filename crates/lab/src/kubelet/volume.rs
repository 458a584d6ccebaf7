//! hostPath volumes: what kubelet makes sure of before a container mounts one. Must not: know other kinds of volumes; the
//! manifest needs none.

use super::KubeletError;
use crate::namespace::Namespaces;
use k8s_openapi::api::core::v1::Volume;
use std::fs;
use std::io;
use std::path::Path;

/// Makes the volume's directory or file on the node as its type asks; returns its path there.
pub(super) fn ensure(
    node: &Namespaces,
    pod: &str,
    volume: &Volume,
) -> Result<String, KubeletError> {
    let unsupported = |what, value: &str| KubeletError::Unsupported {
        pod: pod.to_owned(),
        what,
        value: value.to_owned(),
    };
    let Some(host) = &volume.host_path else {
        return Err(unsupported("a volume that is no hostPath", &volume.name));
    };
    let path = Path::new(&host.path);
    let kind = host.type_.as_deref().unwrap_or_default();
    let made: io::Result<()> = match kind {
        "" => Ok(()),
        "DirectoryOrCreate" => node.run(|| fs::create_dir_all(path))?,
        "FileOrCreate" => node.run(|| {
            fs::File::options()
                .create(true)
                .append(true)
                .open(path)
                .map(drop)
        })?,
        "Directory" => node.run(|| fs::read_dir(path).map(drop))?,
        "File" => node.run(|| fs::File::open(path).map(drop))?,
        other => return Err(unsupported("a hostPath type", other)),
    };
    made.map_err(|source| KubeletError::Prepare {
        path: path.to_owned(),
        source,
    })?;
    Ok(host.path.clone())
}
