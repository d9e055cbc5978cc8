//! The short form of fuzzing: each target's own function over its corpus, and over mutations of it that a seed chooses.
//!
//! `RENEWD_FUZZ=N` makes N mutations a target, `RENEWD_SEED` chooses others; the seed is printed. An input that fails is
//! left in `target/fuzz-failures`; once what it found is mended, it belongs into `fuzz/corpus`. See docs/fuzzing.md.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail loudly and show what they measured"
)]

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own where it is fuzzed")]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Of this thread, so that a busy machine is no fault of an input's.
const LONGEST: Duration = Duration::from_secs(5);
/// An input is no longer, as in `scripts/fuzz`.
const LARGEST: usize = 16 * 1024;

#[test]
fn replies_of_providers_are_read_as_they_must_be() {
    try_all("reply", targets::reply::run, 6_000, &[]);
}

#[test]
fn definitions_are_read_or_refused_with_a_place() {
    try_all("definition", targets::definition::run, 2_000, &["src/provider/catalog", "fuzz/src"]);
}

#[test]
fn configurations_are_read_or_refused_without_their_secrets_and_are_no_change_to_themselves() {
    try_all("configuration", targets::configuration::run, 400, &["examples", "fuzz/src"]);
}

#[test]
fn templates_make_what_they_say_and_no_line_more() {
    try_all("template", targets::template::run, 2_000, &[]);
}

#[test]
fn state_is_taken_whole_or_put_aside_and_is_the_same_when_written_again() {
    try_all("state", targets::state::run, 1_000, &[]);
}

#[test]
fn requests_to_the_socket_and_the_port_are_answered_and_get_no_token_where_there_is_none_to_get() {
    try_all("socket", targets::socket::run, 600, &[]);
}

#[test]
fn every_target_has_its_program_its_words_and_a_corpus() {
    let programs = names(&root().join("fuzz/fuzz_targets"), ".rs");
    let script = std::fs::read_to_string(root().join("scripts/fuzz")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/fuzzing.md")).unwrap();
    assert_eq!(programs.len(), 6);
    for name in &programs {
        assert!(!corpus(name, &[]).is_empty(), "{name} has no corpus");
        assert!(!dictionary(name).is_empty(), "{name} has no dictionary");
        assert!(script.contains(name.as_str()), "scripts/fuzz does not know {name}");
        assert!(page.contains(&format!("| `{name}` |")), "docs/fuzzing.md does not name {name}");
    }
    assert_eq!(names(&root().join("fuzz/corpus"), ""), programs);
    let size: u64 =
        programs.iter().flat_map(|name| corpus(name, &[])).map(|(_, input)| input.len() as u64).sum();
    assert!(size < 300 * 1024, "the corpora have {size} bytes: minimise them");
}

/// Runs the target over its corpus and what else is like it, and over mutations of those.
fn try_all(name: &str, target: fn(&[u8]), mutations: u64, also: &[&str]) {
    let inputs = corpus(name, also);
    let words = dictionary(name);
    let seed = setting("RENEWD_SEED").unwrap_or(1);
    let mutations = setting("RENEWD_FUZZ").unwrap_or(mutations);
    let mut slowest = (Duration::ZERO, String::new());
    let mut run = |input: &[u8], what: String| {
        let began = spent();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            eprintln!("{name}: {what} fails, seed {seed}: {}", keep(name, input).display());
            resume_unwind(panic);
        }
        let took = spent() - began;
        assert!(took < LONGEST, "{name}: {what} takes {took:?}: {}", keep(name, input).display());
        if took > slowest.0 {
            slowest = (took, what);
        }
    };
    for (path, input) in &inputs {
        run(input, path.display().to_string());
    }
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for number in 0..mutations {
        let input = mutated(&inputs, &words, &mut random);
        run(&input, format!("mutation {number}"));
    }
    let (took, what) = slowest;
    eprintln!(
        "fuzz {name}: {} inputs, {mutations} mutations by seed {seed}; slowest {took:?} ({what})",
        inputs.len()
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Processor time of this thread.
fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// Leaves a failing input where a person finds it.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = root().join("target/fuzz-failures");
    std::fs::create_dir_all(&folder).unwrap();
    let sum = input.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let path = folder.join(format!("{name}-{sum:08x}"));
    targets::place::write(&path, input);
    path
}

/// The names in a folder, without this ending, sorted.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        entries.filter_map(|name| Some(name.to_str()?.strip_suffix(ending)?.to_owned())).collect();
    names.sort();
    names
}

/// The target's corpus, and the YAML files of other folders, in the order of their names.
fn corpus(name: &str, also: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, wanted, found);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("fuzz/corpus").join(name), &|_| true, &mut found);
    for folder in also {
        walk(
            &root().join(folder),
            &|path| path.extension().is_some_and(|ending| ending == "yaml"),
            &mut found,
        );
    }
    found.sort();
    let read = |path: PathBuf| {
        let input = std::fs::read(&path).unwrap();
        (path.strip_prefix(root()).unwrap().to_owned(), input)
    };
    found.into_iter().map(read).collect()
}

/// The words of a libFuzzer dictionary.
fn dictionary(name: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(root().join(format!("fuzz/dictionaries/{name}"))).unwrap();
    let quoted = |line: &str| Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    text.lines().filter_map(quoted).map(|word| unescaped(&word)).collect()
}

/// `\\`, `\"` and `\xAB` are what such a file escapes.
fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        match (byte, byte == b'\\') {
            (_, true) => match rest.next().unwrap() {
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                other => bytes.push(other),
            },
            (plain, false) => bytes.push(plain),
        }
    }
    bytes
}

/// One of the inputs with up to eight changes.
fn mutated(inputs: &[(PathBuf, Vec<u8>)], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| inputs[random.below(inputs.len())].1.clone();
    let mut input = any(random);
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(32)).min(input.len());
        match random.below(8) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, words[random.below(words.len())].iter().copied())),
            2 => drop(input.splice(at..end, words[random.below(words.len())].iter().copied())),
            3 if at < input.len() => input[at] = u8::try_from(random.below(256)).unwrap(),
            4 if at < input.len() => input[at] ^= 1 << random.below(8),
            5 => {
                let other = any(random);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            6 => {
                let part = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                drop(input.splice(to..to, part));
            }
            _ if random.below(8) == 0 => input.truncate(at),
            _ => {}
        }
    }
    input.truncate(LARGEST);
    input
}

/// The same numbers for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }
}
