//! Regular expressions of templates, whose cost is known.

use std::fmt;
use std::rc::Rc;

use regex_automata::meta::Regex;

use crate::template::allowance::Allowance;

/// The most memory, in bytes, that a compiled pattern may take.
const MAX_SIZE: usize = 512 * 1024;

/// The most memory, in bytes, that the compiled patterns of one template may take together: some hundred of those that
/// people write. Without it, a line with thirty patterns of the greatest size would hold 16 MiB.
const MAX_TOGETHER: usize = 2 * 1024 * 1024;

/// The most memory, in bytes, that the compiled patterns of one file may take together. Without it, a file of a thousand
/// small templates would hold 2 GiB while it is loaded.
const MAX_OF_FILE: usize = 16 * 1024 * 1024;

/// The memory, in bytes, of a pattern that costs one step for each byte of a text. A match's time is at worst the text's
/// length times the pattern's states, of which this holds some hundred: a step is at worst a microsecond.
const STEP: usize = 8 * 1024;

/// The most steps that a match of a parameter's value may cost: 100 KB of text for a plain pattern, 12 KB for one with
/// a `\w` in it.
const MAX_STEPS: usize = 100_000;

/// The most steps that the values of one request may cost together: ten of the longest, or a thousand that people write.
const MAX_ALL_STEPS: usize = 1_000_000;

/// What the values of one request, or of one declaration, may still cost: who has many values is told of the first ones too
/// long.
#[derive(Debug)]
pub struct Steps(Allowance);

impl Default for Steps {
    fn default() -> Self {
        Self(Allowance::new(MAX_ALL_STEPS))
    }
}

impl Steps {
    /// What is left of it.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.left()
    }

    /// Pays what the same values cost before, if that much is left.
    #[must_use]
    pub fn repeat(&self, steps: usize) -> bool {
        steps <= self.left() && self.0.spend(steps)
    }
}

/// What the patterns of one template may take together, and those of its file, while it is loaded.
#[derive(Debug)]
pub struct Patterns {
    of_template: Allowance,
    of_file: Rc<Allowance>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { of_template: Allowance::new(MAX_TOGETHER), of_file: Rc::new(Allowance::new(MAX_OF_FILE)) }
    }
}

impl Patterns {
    /// What the patterns of another template of the file may take.
    pub(in crate::template) fn of_another(&self) -> Self {
        Self { of_file: Rc::clone(&self.of_file), ..Self::default() }
    }

    /// Whether one of them was too much: no more of them are compiled.
    pub(in crate::template) fn is_exceeded(&self) -> bool {
        self.of_template.left() == 0 || self.of_file.left() == 0
    }

    fn spend(&self, bytes: usize) -> Result<(), String> {
        for (allowance, whose, most) in
            [(&self.of_template, "template", MAX_TOGETHER), (&*self.of_file, "file", MAX_OF_FILE)]
        {
            if !allowance.spend(bytes) {
                let most = most / 1024;
                return Err(format!("the patterns of the {whose} take more than {most} KiB when they are compiled"));
            }
        }
        Ok(())
    }
}

/// A regular expression in the regex crate's syntax, compiled when its template is loaded, unanchored as in JSON Schema.
///
/// **Why not the regex crate itself:** it does not tell how large a compiled pattern is, and to try one limit after the
/// other took a third of the program's start.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
    steps: usize,
}

impl Pattern {
    /// What to do about a pattern that does not compile.
    pub(in crate::template) const HELP: &str = "the syntax is https://docs.rs/regex/latest/regex/#syntax; \\w, \\d and . stand \
        for all of Unicode, classes such as [0-9A-Za-z_] are smaller";

    /// Compiles a pattern, one of those of a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one line: it is no regular expression, or too large when it is compiled, alone or with
    /// the template's others.
    pub(in crate::template) fn compile(pattern: &str, patterns: &Patterns) -> Result<Self, String> {
        /// What the smallest one takes beside its states, caches among it.
        const BESIDE: usize = 2 * 1024;
        patterns.spend(BESIDE)?;
        // No lazy DFA: patterns are short, and its caches may take megabytes each.
        let limits =
            Regex::config().hybrid(false).dfa(false).nfa_size_limit(Some(MAX_SIZE)).onepass_size_limit(Some(MAX_SIZE));
        match Regex::builder().configure(limits).build(pattern) {
            Ok(regex) => {
                patterns.spend(regex.memory_usage())?;
                let steps = 1 + regex.memory_usage() / STEP;
                Ok(Self { text: pattern.into(), regex, steps })
            }
            Err(error) => match error.syntax_error() {
                // The text draws the pattern; its last line says what is wrong.
                Some(error) => Err(error.to_string().lines().last().unwrap_or_default().replace("error: ", "")),
                None if error.size_limit().is_some() => {
                    // As far as it was compiled, it took as much as the largest.
                    let _ = patterns.spend(MAX_SIZE);
                    Err("the pattern is too large when it is compiled".to_owned())
                }
                None => Err(error.to_string()),
            },
        }
    }

    /// The pattern's text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    /// What looking for it in a text costs: it is looked for at each place, and the end is one, too.
    pub(in crate::template) fn steps(&self, text: &str) -> usize {
        (text.len() + 1).saturating_mul(self.steps)
    }

    /// Whether it is somewhere in the text; to be asked for only once [`Self::steps`] are paid.
    pub(in crate::template) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Checks a parameter's value.
    ///
    /// # Errors
    ///
    /// It does not match, or is too long for the pattern, alone or with others, to follow the value in a sentence.
    pub(super) fn check(&self, text: &str, budget: &Steps) -> Result<(), String> {
        let steps = self.steps(text);
        if steps > MAX_STEPS {
            return Err(format!("is too long for the pattern {self}: {} bytes", text.len()));
        }
        if !budget.0.spend(steps) {
            return Err(format!(
                "is too long for the pattern {self} with all others: the values of this request take more than \
                 {MAX_ALL_STEPS} steps together"
            ));
        }
        if self.is_match(text) { Ok(()) } else { Err("does not match its pattern".to_owned()) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pattern: &str) -> Result<Pattern, String> {
        Pattern::compile(pattern, &Patterns::default())
    }

    #[test]
    fn ordinary_patterns_compile_and_bombs_do_not() {
        for pattern in ["^/", r"^[\w.-]+/[\w.-]+:[\w.-]+$", "^.{1,200}$", r"^\d{1,5}$", "(?i)^[a-z]+$", ""] {
            assert_eq!(compile(pattern).unwrap().as_str(), pattern);
        }
        for pattern in ["(a{1000}){1000}", r"(\w{100}){100}", "((a{100}){100}){100}"] {
            assert_eq!(compile(pattern).unwrap_err(), "the pattern is too large when it is compiled");
        }
        assert_eq!(compile("a(b").unwrap_err(), "unclosed group");
        assert_eq!(compile("*").unwrap_err(), "repetition operator missing expression");
    }

    #[test]
    fn all_patterns_of_a_template_have_one_budget() {
        let patterns = Patterns::default();
        let large = || Pattern::compile("(?:a?){4500}", &patterns);
        let told = "the patterns of the template take more than 2048 KiB when they are compiled";
        let compiled = (0..100).map_while(|_| large().ok()).count();
        assert!((3..10).contains(&compiled), "{compiled}");
        // Nothing is left for a small one either.
        assert_eq!(Pattern::compile("a", &patterns).unwrap_err(), told);
        // One that is too large costs as much as one that is not.
        let patterns = Patterns::default();
        let too_large =
            (0..100).map_while(|_| Pattern::compile(r"(\w{100}){100}", &patterns).err().filter(|it| it != told));
        assert!((3..=4).contains(&too_large.count()));
        // One costs something however small it is.
        let patterns = Patterns::default();
        let compiled = (0..10_000).map_while(|_| Pattern::compile("a", &patterns).ok()).count();
        assert!((500..=1024).contains(&compiled), "{compiled}");
    }

    #[test]
    fn all_templates_of_a_file_have_one_budget_too() {
        let file = Patterns::default();
        let template = || {
            let patterns = file.of_another();
            (0..3).try_for_each(|_| Pattern::compile("(?:a?){4500}", &patterns).map(drop))
        };
        let told = "the patterns of the file take more than 16384 KiB when they are compiled";
        let loaded = (0..100).map_while(|_| template().ok()).count();
        assert!((10..30).contains(&loaded), "{loaded}");
        assert_eq!(template().unwrap_err(), told);
        assert!(file.of_another().is_exceeded());
    }

    #[test]
    fn an_empty_text_is_no_free_one() {
        let pattern = compile("(?:a?){4500}").unwrap();
        assert!(pattern.steps("") > 10);
        assert_eq!(pattern.steps("a"), 2 * pattern.steps(""));
    }

    #[test]
    fn the_larger_a_pattern_the_shorter_its_texts() {
        let (plain, large) = (compile("x$").unwrap(), compile(r"\w{1,8}$").unwrap());
        let text = "x".repeat(50_000);
        let steps = Steps::default();
        assert_eq!(plain.check(&text, &steps), Ok(()));
        assert!(large.check(&text, &steps).unwrap_err().starts_with("is too long for the pattern"));
        assert_eq!(large.check("x", &steps), Ok(()));
        assert!(plain.check(&"x".repeat(256 * 1024), &steps).is_err());
    }

    #[test]
    fn the_values_of_a_request_have_one_budget() {
        let (pattern, steps) = (compile("x$").unwrap(), Steps::default());
        let text = "x".repeat(50_000);
        let fit = (0..1000).map_while(|_| pattern.check(&text, &steps).ok()).count();
        assert_eq!(fit, MAX_ALL_STEPS / pattern.steps(&text));
        // A short one behind it, too.
        let told = "is too long for the pattern x$ with all others: the values of this request take more than 1000000 steps \
                    together";
        assert_eq!(pattern.check("x", &steps).unwrap_err(), told);
        assert!(!steps.repeat(1) && Steps::default().repeat(MAX_ALL_STEPS));
    }
}
