//! Replaces files so that a reader sees the old content or the new, never a mixture, and never something that
//! another user has slipped in. Imports nothing of the project.
//!
//! The physics are google/renameio's: a temporary file in the same folder (a rename does not cross file
//! systems) made with `O_EXCL` (nobody has it open), its content written, mode and owner set on the descriptor
//! (a path could be swapped meanwhile), `fsync` (or a crash may leave an empty file under the new name),
//! `renameat`, and `fsync` of the folder (or the rename itself may be lost).
//!
//! Who else could put something in the way is decided while walking the path, component by component with
//! `O_NOFOLLOW`, from `/`: see [`Folder::open`]. Everything afterwards happens relative to the opened folder.
//!
//! All functions block on the file system, but never on a FIFO: nothing is opened that could be one without
//! `O_NONBLOCK`.

mod append;
mod error;
mod folder;
mod links;
mod rehearse;
mod replace;
mod socket;
mod walk;

pub use append::Appender;
pub use error::{Error, Operation, Warning};
pub use folder::{Folder, Found, Held, Identity, Kind};
pub use links::Linked;
pub use rehearse::could_locate;
pub use replace::{Attributes, SyncLevel, unique_suffix};
pub use walk::{Missing, locate, locate_name};

/// What a temporary file's name begins with; the name of the file to be and a random suffix follow.
pub const TEMPORARY_PREFIX: &str = ".renewd-tmp.";

#[cfg(test)]
mod tests;
