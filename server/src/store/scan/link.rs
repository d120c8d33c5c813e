//! Where a link leads: into the policy directory, out of it, nowhere, or nobody can tell.
//!
//! Deliberately absent: what follows from that, which is the search's business.

use std::{
    fs::{self, Metadata},
    io,
    path::{Component, Path, PathBuf},
};

/// Most links that are followed from one link; the kernel follows no more either.
const LINKS_MAX: usize = 40;

/// Where a link leads.
pub(super) enum Target {
    /// Into the policy directory.
    Inside {
        /// The real path of what it leads to.
        real: PathBuf,
        /// What is there.
        metadata: Metadata,
    },
    /// Out of the policy directory.
    Outside {
        /// Whether that could be a folder.
        may_be_folder: bool,
    },
    /// To nothing.
    Nowhere,
    /// It could lead into the policy directory, and what stands there cannot be looked up.
    Unknown(io::Error),
}

impl Target {
    /// Where `link` leads, whose folder is a real one of the policy directory `root`.
    pub(super) fn of(link: &Path, root: &Path) -> Self {
        let found = fs::canonicalize(link)
            .and_then(|real| fs::metadata(&real).map(|metadata| (real, metadata)));
        match found {
            Ok((real, metadata)) if real.starts_with(root) => Self::Inside { real, metadata },
            Ok((_, metadata)) => Self::Outside {
                may_be_folder: metadata.is_dir(),
            },
            Err(error) if is_nothing(&error) => Self::Nowhere,
            // Nobody has to be able to read what is no policy wherever it leads.
            Err(_) if !reached(link).starts_with(root) => Self::Outside {
                may_be_folder: true,
            },
            Err(error) => Self::Unknown(error),
        }
    }
}

/// Whether the error says that there is nothing: it is not there, something on the way is no folder,
/// or the links lead in a circle.
fn is_nothing(error: &io::Error) -> bool {
    let loops = rustix::io::Errno::LOOP.raw_os_error();
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(loops)
}

/// Where `link` leads: really, as far as it can be followed, and from there as it is written.
fn reached(link: &Path) -> PathBuf {
    let mut reached = PathBuf::new();
    let mut ahead = link.to_path_buf();
    let mut links_left = LINKS_MAX;
    loop {
        let mut components = ahead.components();
        let Some(next) = components.next() else {
            return reached;
        };
        let mut rest = components.as_path().to_path_buf();
        match next {
            Component::ParentDir => {
                reached.pop();
            }
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::Normal(_) => reached.push(next),
        }
        if links_left > 0
            && let Ok(target) = fs::read_link(&reached)
        {
            links_left = links_left.saturating_sub(1);
            reached.pop();
            rest = target.join(rest);
        }
        ahead = rest;
    }
}
