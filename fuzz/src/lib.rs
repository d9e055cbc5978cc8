//! What the fuzz targets do with an input, and hold of what comes of it. `docs/fuzzing.md` says what each is about.
//!
//! libFuzzer calls these functions (`fuzz_targets/`), and so does `tests/fuzz_corpus.rs`, which includes this file: what is
//! found by the one is kept from coming back by the other. A target panics where something is not as it must be.

pub mod configuration;
pub mod definition;
pub mod place;
pub mod reply;
pub mod socket;
pub mod state;
pub mod template;
pub mod words;
