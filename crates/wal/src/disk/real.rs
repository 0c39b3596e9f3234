//! The machine's own file system: positioned vectored writes, `fdatasync`, `fallocate`.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate, fdatasync, statvfs};
use rustix::io::{Errno, pwritev};

use super::{Disk, DiskFile, OpenMode};

/// Parts that one `pwritev` takes at most (`IOV_MAX` on Linux).
const PARTS_MAX: usize = 1024;

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<PathBuf> = dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_path_buf).collect();
        fs::create_dir_all(dir)?;
        // A new directory is an entry of its parent, which must be synced for it to survive.
        missing.iter().filter_map(|dir| dir.parent()).try_for_each(|parent| self.sync_dir(parent))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // The parent of a bare relative name is the empty path, which means the working directory.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = statvfs(dir)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

impl DiskFile for RealFile {
    fn write_vectored_at(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for chunk in parts.chunks(PARTS_MAX) {
            offset = write_chunk(&self.0, chunk, offset)?;
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(fdatasync(&self.0)?)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // Where the file system cannot reserve, a sparse file works, only slower.
            Err(Errno::OPNOTSUPP) if self.len()? < len => self.0.set_len(len),
            Err(Errno::OPNOTSUPP) => Ok(()),
            done => Ok(done?),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Writes at most [`PARTS_MAX`] parts; returns the offset behind them.
fn write_chunk(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<u64> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut done = 0;
    // Nearly always one turn: a copy of the slices is made only after a short write.
    let mut rest: Vec<IoSlice<'_>> = Vec::new();
    while done < bytes {
        let slices = if done == 0 { parts } else { &rest };
        match pwritev(file, slices, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if done < bytes && done > 0 {
            rest = skip(parts, done);
        }
    }
    Ok(offset + done as u64)
}

/// The parts without their first `bytes` bytes.
fn skip<'a>(parts: &'a [IoSlice<'_>], mut bytes: usize) -> Vec<IoSlice<'a>> {
    let mut rest = Vec::with_capacity(parts.len());
    for part in parts {
        let cut = bytes.min(part.len());
        bytes -= cut;
        if cut < part.len() {
            rest.push(IoSlice::new(&part[cut..]));
        }
    }
    rest
}
