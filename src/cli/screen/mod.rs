//! Text on a terminal: what it can show, how wide it is, and nothing in it that could steer it.

mod line;
mod look;
mod terminal;
mod text;

pub(in crate::cli) use line::Line;
pub(in crate::cli) use look::{Look, Tone, rows};
pub(in crate::cli) use terminal::Screen;
pub(in crate::cli) use text::{counted, fit, pad, sanitise, sanitise_json, width, wrap};
