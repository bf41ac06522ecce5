//! Wildcards, variables and ARNs in policies.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>

use super::{Context, Malformed};

/// One character of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glob {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

/// A text of a policy with its variables replaced. A `*` in a variable's value is not a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Glob>);

impl Pattern {
    /// Reads a text; `None` if a variable has no value in this request, because then the text matches nothing.
    pub(super) fn of(text: &str, variables: bool, context: &Context) -> Result<Option<Self>, Malformed> {
        let mut globs = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${").filter(|_| variables) {
            globs.extend(before.chars().map(glob));
            let (variable, after) = after.split_once('}').ok_or_else(|| Malformed(format!("`{text}` does not close a brace")))?;
            rest = after;
            match value(variable, context)? {
                Some(value) => globs.extend(value.chars().map(Glob::Char)),
                None => return Ok(None),
            }
        }
        globs.extend(rest.chars().map(glob));
        Ok(Some(Self(globs)))
    }

    /// Whether the pattern matches exactly this text.
    pub(super) fn like(&self, text: &str) -> bool {
        like(&self.0, &text.chars().collect::<Vec<_>>())
    }

    /// The text without wildcards, for operators that compare literally.
    pub(super) fn text(&self) -> String {
        let char = |glob: &Glob| match glob {
            Glob::Char(char) => *char,
            Glob::One => '?',
            Glob::Any => '*',
        };
        self.0.iter().map(char).collect()
    }

    /// Whether the pattern matches this ARN, part by part: a wildcard does not match one of the first five colons. `*` alone
    /// matches every resource.
    pub(super) fn like_arn(&self, arn: &str) -> bool {
        if self.0 == [Glob::Any] {
            return true;
        }
        let pattern: Vec<_> = self.0.splitn(6, |glob| *glob == Glob::Char(':')).collect();
        let parts: Vec<_> = arn.splitn(6, ':').collect();
        let matches = |(pattern, part): (&&[Glob], &&str)| like(pattern, &part.chars().collect::<Vec<_>>());
        pattern.len() == 6 && parts.len() == 6 && pattern.iter().zip(&parts).all(matches)
    }
}

fn glob(char: char) -> Glob {
    match char {
        '*' => Glob::Any,
        '?' => Glob::One,
        char => Glob::Char(char),
    }
}

/// A variable's value in a request, or the default of `${key, 'default'}`. `${*}`, `${?}` and `${$}` are the literal characters.
fn value(variable: &str, context: &Context) -> Result<Option<String>, Malformed> {
    if matches!(variable, "*" | "?" | "$") {
        return Ok(Some(variable.to_owned()));
    }
    let (key, default) = match variable.split_once(',') {
        None => (variable.trim(), None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|default| default.strip_suffix('\''));
            let default = quoted.ok_or_else(|| Malformed(format!("`${{{variable}}}` has no quoted default")))?;
            (key.trim(), Some(default.to_owned()))
        }
    };
    super::condition::known(key)?;
    match context.get(&key.to_ascii_lowercase()).map(Vec::as_slice) {
        Some([value]) => Ok(Some(value.clone())),
        Some([]) | None => Ok(default),
        Some(_) => Err(Malformed(format!("`{key}` has several values, but a variable takes one"))),
    }
}

fn like(pattern: &[Glob], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The position of the last `*`, and the text that it has matched so far.
    let mut last: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Glob::Any) => {
                last = Some((p, t));
                p += 1;
            }
            Some(Glob::One) => (p, t) = (p + 1, t + 1),
            Some(Glob::Char(char)) if *char == text[t] => (p, t) = (p + 1, t + 1),
            _ => match last {
                None => return false,
                Some((star, reached)) => {
                    last = Some((star, reached + 1));
                    (p, t) = (star + 1, reached + 1);
                }
            },
        }
    }
    pattern[p..].iter().all(|glob| *glob == Glob::Any)
}
