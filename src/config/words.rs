//! Words for messages: what a misspelt one was meant to be, and lists.

/// `did you mean `before`?`, where one of `known` is near enough.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// `did you mean ...?`, else all that is known.
pub(crate) fn suggest<'k>(
    word: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    else_say: &str,
) -> String {
    did_you_mean(word, known.clone()).unwrap_or_else(|| format!("{else_say} {}", list(known)))
}

/// `` `a`, `b` and `c` ``; the first 30.
pub(crate) fn list<'k>(words: impl Iterator<Item = &'k str>) -> String {
    const MOST: usize = 30;
    let mut quoted: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    if quoted.len() > MOST {
        quoted.truncate(MOST);
        quoted.push("others".to_owned());
    }
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A word of the user's for a message: short and printable, else a stand-in.
pub(crate) fn echo(word: &str) -> String {
    let printable = |c: char| c.is_alphanumeric() || "_.-:/ @+,*".contains(c);
    match word.chars().count() <= 64 && word.chars().all(printable) && !word.contains("://") {
        true => format!("`{word}`"),
        false => "this one".to_owned(),
    }
}

/// The one of `known` that a misspelt word was meant to be.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.chars().count() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', '.', ' '], "");
    let meant = plain(word);
    let allowed = (meant.chars().count() / 3).clamp(1, 3);
    known
        .filter_map(|candidate| {
            let target = plain(candidate);
            let distance = distance(&meant, &target);
            let near = distance <= allowed && distance < target.chars().count();
            near.then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insertions, deletions, replacements and swaps of neighbours count one each.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, echo, list};

    #[test]
    fn a_misspelt_word_is_recognised() {
        let known = ["before", "cron", "timezone", "min_interval"];
        let cases = [
            ("befor", Some("before")),
            ("ebfore", Some("before")),
            ("minInterval", Some("min_interval")),
            ("min-interval", Some("min_interval")),
            ("tz", None),
            ("after", None),
            ("x", None),
        ];
        for (word, meant) in cases {
            let expected = meant.map(|meant| format!("did you mean `{meant}`?"));
            assert_eq!(did_you_mean(word, known.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(list([].into_iter()), "none");
        assert_eq!(list(["a"].into_iter()), "`a`");
        assert_eq!(list(["a", "b", "c"].into_iter()), "`a`, `b` and `c`");
    }

    #[test]
    fn only_short_printable_words_are_repeated() {
        assert_eq!(echo("bizpurio"), "`bizpurio`");
        for odd in ["a\u{1b}[31m", "https://user:pass@host", &"x".repeat(65)] {
            assert_eq!(echo(odd), "this one");
        }
    }
}
