//! Writes an OCI image layout with one layer as a tar file, which `ctr image import` reads (OCI image specification 1.1).
//! Must not: compress; the archive is read once, on the machine that wrote it.

use super::Start;
use crate::command;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A blob by the name that its contents give it.
struct Blob {
    digest: String,
    size: u64,
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        Self {
            digest: hex(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
        }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.digest), "size": self.size})
    }
}

/// Writes the image with everything below `root` into the file.
pub(super) fn write(name: &str, root: &Path, start: &Start, into: &Path) -> io::Result<()> {
    let layer_file = into.with_extension("layer");
    write_layer(root, &layer_file)?;
    let layer = blob_of_file(&layer_file)?;
    let config = config(start, &layer).to_string();
    let config_blob = Blob::of(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_blob.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    })
    .to_string();
    let manifest_blob = Blob::of(manifest.as_bytes());
    let mut entry = manifest_blob.descriptor("application/vnd.oci.image.manifest.v1+json");
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    entry["annotations"] =
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();

    let mut archive = tar::Builder::new(BufWriter::new(File::create(into)?));
    for (path, text) in [
        ("oci-layout".to_owned(), r#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json".to_owned(), &index),
        (config_blob.path(), &config),
        (manifest_blob.path(), &manifest),
    ] {
        archive.append_data(&mut header(text.len() as u64), path, text.as_bytes())?;
    }
    archive.append_data(
        &mut header(layer.size),
        layer.path(),
        BufReader::new(File::open(&layer_file)?),
    )?;
    archive.into_inner()?.flush()?;
    fs::remove_file(layer_file)
}

fn config(start: &Start, layer: &Blob) -> Value {
    let labels: serde_json::Map<String, Value> = start
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": start.entrypoint, "Env": start.environment, "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
        "history": [{"created_by": "deploy/image/assemble"}],
    })
}

/// All entries in the order of their names: the same root makes the same layer.
fn write_layer(root: &Path, into: &Path) -> io::Result<()> {
    let mut layer = tar::Builder::new(BufWriter::new(File::create(into)?));
    layer.follow_symlinks(false);
    layer.mode(tar::HeaderMode::Complete);
    for path in below(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path);
        layer.append_path_with_name(&path, name)?;
    }
    layer.into_inner()?.flush()
}

fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut all = Vec::new();
    for path in entries {
        let is_folder = fs::symlink_metadata(&path)?.is_dir();
        all.push(path.clone());
        if is_folder {
            all.extend(below(&path)?);
        }
    }
    Ok(all)
}

/// By a program: unoptimized, as it is in a test, the crate takes seconds for a layer.
fn blob_of_file(path: &Path) -> io::Result<Blob> {
    let said = command::run(&["sha256sum", "--", &path.to_string_lossy()], "");
    let said = said.map_err(io::Error::other)?;
    let digest = said.split_whitespace().next().unwrap_or_default();
    // A name with a backslash or line feed in it would be said otherwise.
    if digest.len() != 64 {
        return Err(io::Error::other(format!("sha256sum says {said}")));
    }
    Ok(Blob {
        digest: digest.to_owned(),
        size: fs::metadata(path)?.len(),
    })
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    /// Everything in a tar file.
    fn contents(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn every_blob_is_where_its_contents_say_and_the_layer_holds_the_root() {
        let folder = std::env::temp_dir().join(format!("lab-oci-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("app")).unwrap();
        fs::write(root.join("app/program"), "text").unwrap();
        std::os::unix::fs::symlink("/run", root.join("link")).unwrap();
        let start = Start {
            entrypoint: vec!["/app/program".into()],
            ..Start::default()
        };
        let file = folder.join("image.tar");
        write("localhost/x:1", &root, &start, &file).unwrap();
        let files = contents(&fs::read(&file).unwrap());
        let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"]
                .as_str()
                .unwrap()
                .strip_prefix("sha256:")
                .unwrap()
                .to_owned();
            let bytes = files[&format!("blobs/sha256/{digest}")].clone();
            assert_eq!(
                (Blob::of(&bytes).digest, bytes.len() as u64),
                (digest, descriptor["size"].as_u64().unwrap())
            );
            bytes
        };
        let index = json("index.json");
        assert_eq!(
            index["manifests"][0]["annotations"]["io.containerd.image.name"],
            "localhost/x:1"
        );
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"][0], "/app/program");
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", Blob::of(&layer).digest)
        );
        let names: Vec<_> = contents(&layer).into_keys().collect();
        assert_eq!(names, ["app", "app/program", "link"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
