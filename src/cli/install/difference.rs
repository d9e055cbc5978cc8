//! The lines in which two short texts differ.

use std::fmt::Write as _;

/// More lines than that are not compared one by one.
const MOST: usize = 2000;

/// `- LINE` for what goes and `+ LINE` for what comes, by a longest common subsequence.
pub(super) fn difference(former: &str, new: &str) -> String {
    let (former, new): (Vec<&str>, Vec<&str>) = (former.lines().collect(), new.lines().collect());
    if former.len() > MOST || new.len() > MOST {
        return format!("({} lines there, {} here)\n", former.len(), new.len());
    }
    // `common[i][j]`: how many lines the rests from `i` and `j` on have in common.
    let width = new.len() + 1;
    let mut common = vec![0_u16; (former.len() + 1) * width];
    for i in (0..former.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if former[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < former.len() || j < new.len() {
        let same = i < former.len() && j < new.len() && former[i] == new[j];
        if same {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < former.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            let _ = writeln!(text, "- {}", former[i]);
            i += 1;
        } else {
            let _ = writeln!(text, "+ {}", new[j]);
            j += 1;
        }
    }
    if text.is_empty() {
        text.push_str("(line ends alone)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_added_and_removed_lines_are_told() {
        for (former, new, told) in [
            ("a\nb\nc\n", "a\nx\nc\n", "- b\n+ x\n"),
            ("a\n", "a\nb\n", "+ b\n"),
            ("a\nb\n", "b\n", "- a\n"),
            ("", "a\n", "+ a\n"),
            ("a\n", "", "- a\n"),
            ("a\r\n", "a\n", "(line ends alone)\n"),
            ("a", "a\n", "(line ends alone)\n"),
        ] {
            assert_eq!(difference(former, new), told);
        }
    }

    #[test]
    fn an_endless_file_is_not_compared() {
        assert!(difference(&"x\n".repeat(100_000), "a\n").starts_with("(100000 lines"));
    }
}
