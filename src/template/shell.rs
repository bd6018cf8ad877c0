//! No value of a pod may become a part of a shell script: looked for in the words of every command of a template.
//!
//! A shell takes the first operand after its `-c` for a script. An expression there, or a variable that the kubelet
//! pastes there, would run what an annotation says. What could be a shell or a `-c` counts as one.

use std::collections::HashSet;

use super::diagnostic::Problems;
use super::yaml::{Kind, Place, Tree};

/// Programs that take a script after `-c`. What runs other programs (`busybox`, `env`, `timeout`) has one of these among
/// its own words.
const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "hush", "ksh", "mksh", "zsh"];

/// Words after which a program stands.
const RUNNERS: &[&str] = &["busybox", "env", "exec", "nohup", "setsid", "tini", "dumb-init", "--"];

/// The letters that POSIX, dash and bash have for options: Go's `-config` is no cluster of them.
const OPTIONS: &str = "abcefhiklmnoprstuvxBCDEHOPT";

/// Variables whose value the kubelet may paste into a command, and a pod decides.
#[derive(Debug, Default)]
pub(super) struct Tainted<'t> {
    names: HashSet<&'t str>,
    /// A name is made by an expression: every name is meant.
    all: bool,
}

/// Checks the commands of a container: its own, its probes' and its hooks'.
pub(super) fn check(container: &Tree<'_>, problems: &mut Problems<'_>) {
    let tainted = container.get("env").map(tainted).unwrap_or_default();
    let (command, args) = (container.get("command"), container.get("args"));
    let words: Vec<_> = command.into_iter().chain(args).flat_map(words).collect();
    // Without a command the image decides what runs.
    let start = if command.is_some() { Reading::Words } else { Reading::Options(Shell::maybe()) };
    scripts(&words, start, &tainted, problems);

    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        hook(container.get(probe), &tainted, problems);
    }
    // The kubelet expands nothing in hooks.
    for when in ["postStart", "preStop"] {
        hook(container.get("lifecycle").and_then(|hooks| hooks.get(when)), &Tainted::default(), problems);
    }
}

fn hook(hook: Option<&Tree<'_>>, tainted: &Tainted<'_>, problems: &mut Problems<'_>) {
    if let Some(command) = hook.and_then(|hook| hook.get("exec")).and_then(|exec| exec.get("command")) {
        let words: Vec<_> = words(command).collect();
        scripts(&words, Reading::Words, tainted, problems);
    }
}

/// One word of a command.
struct Word<'t> {
    /// As far as the file decides it: up to the first expression.
    text: &'t str,
    /// An expression makes the rest.
    open: bool,
    /// It stands for any number of words: an expression makes the whole list.
    many: bool,
    place: &'t Place,
}

/// The words of a `command`.
fn words<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = Word<'t>> {
    let many = !matches!(tree.kind, Kind::List(_));
    let items = if many { std::slice::from_ref(tree) } else { tree.items() };
    items.iter().filter_map(move |item| {
        let text = item.as_text()?;
        let open = expression_start(text);
        Some(Word { text: open.map_or(text, |start| &text[..start]), open: open.is_some(), many, place: &item.place })
    })
}

/// Where the first expression starts whose value isn't written there, as that of `{{ '{{' }}` is.
fn expression_start(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("{{")?;
        let Some(length) = literal_length(&text[start..]) else {
            return Some(start);
        };
        from = start + length;
    }
}

/// The length of an expression at the start of `text` that is nothing but quoted text.
fn literal_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("{{")?.trim_start();
    let quote = inner.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let (literal, rest) = inner[1..].split_once(quote)?;
    let rest = rest.trim_start().strip_prefix("}}")?;
    (!literal.contains('\\')).then_some(text.len() - rest.len())
}

/// What is looked for in the next word.
enum Reading {
    /// A shell.
    Words,
    /// The options of a shell, then its script.
    Options(Shell),
    /// Nothing: `$0` of a script.
    Skip,
}

/// A shell whose options are being read.
struct Shell {
    /// It is one; else it only could be.
    certain: bool,
    /// The next operand is a script.
    script: bool,
    /// No more options come.
    operands: bool,
    /// So many words are arguments of options.
    arguments: usize,
}

impl Shell {
    fn certain() -> Self {
        Self { certain: true, ..Self::maybe() }
    }

    fn maybe() -> Self {
        Self { certain: false, script: false, operands: false, arguments: 0 }
    }

    /// Reads a word as this shell would; `Err` if it is an operand.
    fn option(&mut self, word: &Word<'_>) -> Result<(), ()> {
        if self.arguments > 0 {
            self.arguments -= 1;
            return Ok(());
        }
        if word.many && self.certain && !self.operands {
            // It may hold a `-c` and its script.
            self.script = true;
            return Err(());
        }
        let Some(letters) = word.text.strip_prefix(['-', '+']).filter(|_| !self.operands) else {
            // An expression that makes the whole word may make it `-c`.
            let could_be_option = word.open && word.text.is_empty() && self.certain && !self.operands && !self.script;
            self.script |= could_be_option;
            return if could_be_option { Ok(()) } else { Err(()) };
        };
        match letters {
            "" | "-" if !word.open => self.operands = true,
            "-rcfile" | "-init-file" => self.arguments = 1,
            letters if letters.chars().all(|letter| OPTIONS.contains(letter)) => {
                self.script |= letters.contains('c') || (word.open && self.certain);
                self.arguments = letters.matches(['o', 'O']).count();
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reports every word that a shell would run and a pod would decide.
fn scripts(words: &[Word<'_>], start: Reading, tainted: &Tainted<'_>, problems: &mut Problems<'_>) {
    let mut reading = start;
    let mut before = "--";
    for word in words {
        reading = match reading {
            Reading::Skip => Reading::Words,
            Reading::Options(mut shell) => match shell.option(word) {
                Ok(()) => Reading::Options(shell),
                Err(()) if shell.script => {
                    script(word, tainted, problems);
                    Reading::Skip
                }
                Err(()) => program(word, before),
            },
            Reading::Words => program(word, before),
        };
        before = word.text.rsplit('/').next().unwrap_or_default();
    }
}

/// What follows a word that may be a program.
fn program(word: &Word<'_>, before: &str) -> Reading {
    let name = word.text.rsplit('/').next().unwrap_or_default();
    if SHELLS.contains(&name) && !word.open {
        Reading::Options(Shell::certain())
    } else if word.open && RUNNERS.contains(&before) {
        Reading::Options(Shell::maybe())
    } else {
        Reading::Words
    }
}

fn script(word: &Word<'_>, tainted: &Tainted<'_>, problems: &mut Problems<'_>) {
    if word.open {
        problems.error(word.place, "an expression in a shell script would run whatever an annotation says").help(
            "pass the value as a word after the script, which has it as \"$1\", or as an environment variable; if no \
             shell runs this, name the program in `command`",
        );
    }
    for name in references(word.text).filter(|name| tainted.all || tainted.names.contains(name)) {
        problems
            .error(
                word.place,
                format!("the kubelet pastes $({name}) into the script, whatever an annotation makes of it"),
            )
            .help(format!("write \"${name}\", which the shell reads as a value, or $$({name}) for a command's output"));
    }
}

/// The variables of a container that an expression makes, directly or through one another.
fn tainted<'t>(env: &'t Tree<'_>) -> Tainted<'t> {
    let mut tainted = Tainted { names: HashSet::new(), all: env.as_text().is_some() };
    for entry in env.items() {
        let Some(name) = entry.get("name").and_then(Tree::as_text) else { continue };
        let value = entry.get("value").and_then(Tree::as_text).unwrap_or_default();
        if expression_start(name).is_some() {
            tainted.all = true;
        } else if expression_start(value).is_some() || references(value).any(|other| tainted.names.contains(other)) {
            tainted.names.insert(name);
        }
    }
    tainted
}

/// The names in `$(NAME)`, as the kubelet finds them: `$$` is a dollar sign.
fn references(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('$')?;
            rest = after.strip_prefix('$').unwrap_or(after);
            if let Some(inner) = after.strip_prefix('(')
                && let Some((name, after)) = inner.split_once(')')
            {
                rest = after;
                return Some(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{LoadOptions, Origin, load};

    /// What loading says about a container with these fields.
    fn mistakes(fields: &str) -> Vec<String> {
        let text = format!(
            "{{apiVersion: podgraft.dev/v1alpha1, kind: ClusterInjectionTemplate, metadata: {{name: a}}, spec: {{\
             parameters: {{x: {{type: string, default: a}}}}, sidecars: [{{name: a, image: b, {fields}}}]}}}}"
        );
        let loaded = load(Origin("file.yaml".into()), &text, &LoadOptions::default());
        loaded.err().map_or_else(Vec::new, |error| error.diagnostics.into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn values_may_go_where_no_shell_reads_them_as_a_script() {
        for fields in [
            r#"command: [sh, -c, 'echo "$1"', sh, "{{ params.x }}", "{{ params.x }}"]"#,
            r#"command: [sh, -ec, 'exec "$@"', --, "{{ params.x }}"]"#,
            r#"command: [sh, -c, "echo {{ '{{' }} x {{ \"}}\" }}"]"#,
            r#"command: [sh, "/scripts/{{ params.x }}.sh", "{{ params.x }}"]"#,
            r#"command: [sh, /script.sh, -c, "{{ params.x }}"]"#,
            r#"command: [sh, --, "{{ params.x }}", "{{ params.x }}"]"#,
            r#"command: [nginx, -c, "{{ params.x }}"]"#,
            r#"command: ["{{ params.x }}", "{{ params.x }}"]"#,
            r#"command: [busybox, nc, -zc, "{{ params.x }}"]"#,
            r#"args: [--config, "{{ params.x }}", "{{ params.x }}"]"#,
            r#"args: [-config, "{{ params.x }}"]"#,
            r#"args: [run, -c, "{{ params.x }}"]"#,
            r#"command: [sh, -c, "echo $(date) $X"], env: [{name: X, value: "{{ params.x }}"}]"#,
            r#"command: [sh, -c, "echo $$(X) $$$$(X)"], env: [{name: X, value: "{{ params.x }}"}]"#,
            r#"command: [sh, -c, "echo $(X)"], env: [{name: X, value: "$$(Y)"}, {name: Y, value: "{{ params.x }}"}]"#,
        ] {
            assert_eq!(mistakes(fields), [""; 0], "{fields}");
        }
    }

    #[test]
    fn no_value_becomes_a_part_of_a_script() {
        for fields in [
            r#"command: [sh, -c, "{{ params.x }}"]"#,
            r#"command: [sh, -c, "echo '{{ params.x }}'"]"#,
            r#"command: [sh, -c, "{{ '{{' }} {{ params.x }}"]"#,
            r#"command: [sh, -c, --, "{{ params.x }}"]"#,
            r#"command: [sh, +x, -o, pipefail, -c, "{{ params.x }}"]"#,
            r#"command: [bash, --rcfile, x, -c, "{{ params.x }}"]"#,
            r#"command: [bash, -O, extglob, -c, "{{ params.x }}"]"#,
            r#"command: [sh, "-{{ params.x }}", "{{ params.x }}"]"#,
            r#"command: [sh, "{{ params.x }}", "a {{ params.x }}"]"#,
            r#"command: [env, A=b, /usr/bin/zsh, -c, "{{ params.x }}"]"#,
            r#"command: [busybox, "{{ params.x }}", -c, "{{ params.x }}"]"#,
            r#"command: [tini, --, "{{ params.x }}", -c, "{{ params.x }}"]"#,
            r#"command: [sh, -c, 'exec "$@"', sh, bash, -c, "{{ params.x }}"]"#,
            r#"args: [sh, -c, "{{ params.x }}"]"#,
            r#"args: [-c, "{{ params.x }}"]"#,
            r#"args: ["{{ params.x }}", -c, "{{ params.x }}"]"#,
            r#"command: "{{ [params.x] }}", args: [-c, "{{ params.x }}"]"#,
            r#"command: [sh], args: "{{ [params.x, params.x] }}""#,
            r#"command: [sh, -c, "echo $(X)"], env: [{name: X, value: "{{ params.x }}"}]"#,
            r#"command: [sh, -c, "echo $$$(X)"], env: [{name: X, value: "{{ params.x }}"}]"#,
            r#"command: [sh, -c, "echo $(Y)"], env: [{name: X, value: "{{ params.x }}"}, {name: Y, value: "a$(X)"}]"#,
            r#"command: [sh, -c, "echo $(Y)"], env: "{{ [{'name': params.x, 'value': params.x}] }}""#,
        ] {
            assert_eq!(mistakes(fields).len(), 1, "{fields}: {:?}", mistakes(fields));
        }
    }
}
