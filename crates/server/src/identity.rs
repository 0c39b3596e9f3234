//! The file that says who this node is: `identity.json` in its data directory.
//!
//! Holds: the file is replaced as a whole and synced before [`IdentityStore::save`] returns. A
//! directory that has an identity but no log any more has lost its data, and must not go on under
//! that identity: it might vote twice, or vote acknowledged records away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use std::io::IoSlice;

use thalweg_controller::{Identity, IdentityStore};
use thalweg_types::{Incarnation, NodeId};
use thalweg_wal::{Disk, OpenMode};

const FILE: &str = "identity.json";
const NEW_FILE: &str = "identity.json.new";

/// Keeps the identity in a data directory.
pub(crate) struct IdentityFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl IdentityFile {
    /// The identity kept in `dir`; a fresh one is made and saved when there is none.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        node: NodeId,
        incarnation: Incarnation,
    ) -> io::Result<IdentityFile> {
        disk.create_dir_all(dir)?;
        let file = IdentityFile { disk, dir: dir.to_owned() };
        match file.read()? {
            None => file.save(&Identity { node, incarnation, cluster: None })?,
            Some(identity) => file.check(&identity, node)?,
        }
        Ok(file)
    }

    fn check(&self, identity: &Identity, node: NodeId) -> io::Result<()> {
        if identity.node != node {
            return Err(io::Error::other(format!(
                "{} belongs to node {}, not to node {node}: start it with --node-id {} or give another --data-dir",
                self.dir.display(),
                identity.node,
                identity.node,
            )));
        }
        let has_log = self.disk.list(&self.dir.join("wal")).is_ok_and(|files| !files.is_empty());
        if identity.cluster.is_some() && !has_log {
            return Err(io::Error::other(format!(
                "{} has the identity of node {node} but not its log: the data is lost. Start with an empty \
                 --data-dir and a --node-id that was never used, and remove the old node with \
                 `thalweg admin remove {node}`",
                self.dir.display(),
            )));
        }
        Ok(())
    }

    fn read(&self) -> io::Result<Option<Identity>> {
        let file = match self.disk.open(&self.dir.join(FILE), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; file.len()? as usize];
        let read = file.read_at(&mut bytes, 0)?;
        let identity = serde_json::from_slice(&bytes[..read])
            .map_err(|error| io::Error::other(format!("{} cannot be read: {error}", self.dir.join(FILE).display())))?;
        Ok(Some(identity))
    }
}

impl IdentityStore for IdentityFile {
    fn load(&self) -> io::Result<Identity> {
        self.read()?.ok_or_else(|| io::Error::other("the identity file disappeared"))
    }

    fn save(&self, identity: &Identity) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(identity)?;
        let new_file = self.dir.join(NEW_FILE);
        let _ = self.disk.remove(&new_file);
        let file = self.disk.open(&new_file, OpenMode::CreateNew)?;
        file.write_vectored_at(&[IoSlice::new(&bytes)], 0)?;
        file.sync_data()?;
        self.disk.rename(&new_file, &self.dir.join(FILE))?;
        self.disk.sync_dir(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_wal::RealDisk;

    use super::*;

    fn open(dir: &Path, node: u64) -> io::Result<IdentityFile> {
        IdentityFile::open(Arc::new(RealDisk), dir, NodeId(node), Incarnation(7))
    }

    #[test]
    fn an_identity_is_kept_and_another_node_is_turned_away() {
        let dir = tempfile::tempdir().unwrap();
        let identity = open(dir.path(), 1).unwrap().load().unwrap();
        assert_eq!(open(dir.path(), 1).unwrap().load().unwrap(), identity);
        let error = open(dir.path(), 2).err().unwrap().to_string();
        assert!(error.contains("--node-id 1"), "{error}");
    }

    #[test]
    fn a_member_without_its_log_does_not_start_under_its_old_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = open(dir.path(), 1).unwrap();
        let mut identity = file.load().unwrap();
        identity.cluster = Some(thalweg_controller::Belonging {
            cluster_id: "c".to_owned(),
            founders: Vec::new(),
            formed: true,
            controllers: Vec::new(),
        });
        file.save(&identity).unwrap();
        let error = open(dir.path(), 1).err().unwrap().to_string();
        assert!(error.contains("the data is lost") && error.contains("admin remove 1"), "{error}");
    }
}
