//! No value of a pod may become a part of a shell script: looked for in the words of every command of a template.
//!
//! A shell takes the first operand after its `-c` for a script. An expression there, or a variable that the kubelet
//! pastes there, would run what an annotation says. What could be a shell or a `-c` counts as one.

mod environment;

use std::collections::HashSet;

use super::diagnostic::{Place, Problems};
use super::expansion::references;
use super::expression::{ExpressionError, Leaf, Names, Style, Word};
use super::parameter::Patterns;
use super::yaml::Tree;

use environment::Environment;

/// Programs that take a script after `-c`. What runs other programs (`busybox`, `env`, `timeout`) has one of these among
/// its own words.
const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "hush", "ksh", "mksh", "zsh"];

/// Words after which a program stands.
const RUNNERS: &[&str] = &["busybox", "env", "exec", "nohup", "setsid", "tini", "dumb-init", "--"];

/// The letters that POSIX, dash and bash have for options: Go's `-config` is no cluster of them.
const OPTIONS: &str = "abcefhiklmnoprstuvxBCDEHOPT";

/// Checks the commands of a container: its own, its probes' and its hooks'.
pub(super) fn check(container: &Tree<'_>, names: Names<'_>, problems: &mut Problems<'_>) {
    // The template is refused, and to compile its patterns once more may take long.
    if names.patterns.is_exceeded() {
        return;
    }
    let (environment, none) = (Environment::of(container, names), Environment::default());
    let mut found = Found { names, environment: &environment, problems, told: HashSet::new() };
    let (command, args) = (container.get("command"), container.get("args"));
    for command in found.ways(command) {
        for args in found.ways(args) {
            // Without a command the image decides what runs.
            let start = if command.is_empty() { Reading::Options(Shell::maybe()) } else { Reading::Words };
            found.scripts(command.iter().chain(&args), start);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        found.hook(container.get(probe));
    }
    // The kubelet expands nothing in hooks.
    found.environment = &none;
    let hooks = container.get("lifecycle");
    found.piece(hooks);
    for when in ["postStart", "preStop"] {
        found.hook(hooks.and_then(|hooks| hooks.get(when)));
    }
}

/// A word of a command, and where it is made.
type Placed<'t> = (Word, &'t Place);

/// A text with expressions, for a look at it: its patterns count where it is compiled.
fn leaf(text: &str, names: Names<'_>) -> Result<Option<Leaf>, Vec<ExpressionError>> {
    let patterns = Patterns::default();
    let names = Names { in_for_each: true, literal_items: false, patterns: &patterns, ..names };
    Leaf::parse(text, Style::Typed, names)
}

/// What a text makes when it is one word of a list; `None`: nothing.
fn word(text: &str, names: Names<'_>) -> Option<Word> {
    match leaf(text, names) {
        Ok(Some(leaf)) => leaf.word(),
        Ok(None) => Some(Word { text: text.to_owned(), ..Word::default() }),
        // It is wrong, which is reported where it is compiled.
        Err(_) => None,
    }
}

/// Whether a pod decides a part of a text.
fn is_open(text: &str, names: Names<'_>) -> bool {
    word(text, names).is_some_and(|word| word.open)
}

/// The last part of a program's path.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn is_shell(path: &str) -> bool {
    SHELLS.contains(&name(path))
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
    fn option(&mut self, word: &Word) -> Result<(), ()> {
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

/// What follows a word that may be a program.
fn program(word: &Word, before: &str) -> Reading {
    if (is_shell(&word.text) && !word.open) || word.made_of.iter().any(|text| is_shell(text)) {
        Reading::Options(Shell::certain())
    } else if word.open && RUNNERS.contains(&before) {
        Reading::Options(Shell::maybe())
    } else {
        Reading::Words
    }
}

/// What is found, and with what it is looked for.
struct Found<'c, 'f> {
    names: Names<'c>,
    environment: &'c Environment,
    problems: &'c mut Problems<'f>,
    /// A word of several ways is reported once.
    told: HashSet<(usize, String)>,
}

impl Found<'_, '_> {
    /// The words of a `command`, in each of the ways in which it may be made.
    fn ways<'t>(&self, tree: Option<&'t Tree<'_>>) -> Vec<Vec<Placed<'t>>> {
        let Some(tree) = tree else { return vec![Vec::new()] };
        let Some(text) = tree.as_text() else {
            let word = |item: &'t Tree<'_>| Some((word(item.as_text()?, self.names)?, &item.place));
            return vec![tree.items().iter().filter_map(word).collect()];
        };
        let ways = leaf(text, self.names).ok().flatten().map(|leaf| leaf.words());
        let placed = |words: Vec<Word>| words.into_iter().map(|word| (word, &tree.place)).collect();
        ways.unwrap_or_default().into_iter().map(placed).collect()
    }

    fn hook(&mut self, hook: Option<&Tree<'_>>) {
        self.piece(hook);
        let exec = hook.and_then(|hook| hook.get("exec"));
        self.piece(exec);
        for words in self.ways(exec.and_then(|exec| exec.get("command"))) {
            self.scripts(words.iter(), Reading::Words);
        }
    }

    /// An expression that makes more than a command may make a command that no one has seen.
    fn piece(&mut self, tree: Option<&Tree<'_>>) {
        let Some((tree, text)) = tree.and_then(|tree| Some((tree, tree.as_text()?))) else { return };
        let Ok(Some(leaf)) = leaf(text, self.names) else { return };
        let names_values =
            leaf.expressions().any(|expression| expression.names_item() || !expression.parameters().is_empty());
        let has_shell = leaf.word().is_some_and(|word| word.open && word.made_of.iter().any(|text| is_shell(text)));
        if names_values || has_shell {
            let message = "an expression that makes a whole probe or hook may make a script of what an annotation says";
            self.tell(&tree.place, message.to_owned(), "write the map, and expressions for the values in it");
        }
    }

    /// Reports every word that a shell would run and a pod would decide.
    fn scripts<'t>(&mut self, words: impl Iterator<Item = &'t Placed<'t>>, start: Reading) {
        let mut reading = start;
        let mut before = "--".to_owned();
        for (written, place) in words {
            let word = &self.environment.expand(written);
            if word.many && word.made_of.iter().any(|text| is_shell(text)) {
                let message = "an expression that makes a shell's whole command would run whatever an annotation says";
                let help = "write the command as a list, a word an item, and expressions for single words";
                self.tell(place, message.to_owned(), help);
                return;
            }
            reading = match reading {
                Reading::Skip => Reading::Words,
                Reading::Options(mut shell) => match shell.option(word) {
                    Ok(()) => Reading::Options(shell),
                    Err(()) if shell.script => {
                        self.script(written, place);
                        Reading::Skip
                    }
                    Err(()) => program(word, &before),
                },
                Reading::Words => program(word, &before),
            };
            name(&word.text).clone_into(&mut before);
        }
    }

    fn script(&mut self, word: &Word, place: &Place) {
        if word.open {
            self.tell(
                place,
                "an expression in a shell script would run whatever an annotation says".to_owned(),
                "pass the value as a word after the script, which has it as \"$1\", or as an environment variable; if \
                 no shell runs this, name the program in `command`",
            );
        }
        for name in references(&word.text).filter(|name| self.environment.is_tainted(name)).collect::<Vec<_>>() {
            let message = format!("the kubelet pastes $({name}) into the script, whatever an annotation makes of it");
            let help =
                format!("write \"${name}\", which the shell reads as a value, or $$({name}) for a command's output");
            self.tell(place, message, &help);
        }
    }

    fn tell(&mut self, place: &Place, message: String, help: &str) {
        if self.told.insert((place.range.start, message.clone())) {
            self.problems.error(place, message).help(help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LoadOptions, Origin, load};

    /// What loading says about a container with these fields.
    fn mistakes(fields: &str) -> Vec<String> {
        let text = format!(
            "{{apiVersion: podgraft.dev/v1alpha1, kind: ClusterInjectionTemplate, metadata: {{name: a}}, spec: {{\
             parameters: {{x: {{type: string, default: a}}, l: {{type: list, default: [a]}}}}, sidecars: [{{name: a, image: b, {fields}}}]}}}}"
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
            r#"command: "{{ ['sh', '-c', 'exec \"$@\"', 'sh', params.x] }}""#,
            r#"command: "{{ params.l }}", args: "{{ size(params.l) > 0 ? params.l : null }}""#,
            r#"command: [run], args: "{{ params.l.map(l, '--host=' + l) + ['-c', params.x] }}""#,
            r#"command: "{{ params.x == '' ? ['run', params.x] : ['sh', '-c', 'true'] }}""#,
            r#"command: [sh, -c, "echo $(X)"], environment: target, env: [{name: X, value: a}]"#,
            r#"command: [sh, -c, "echo $(X)"], env: [{name: X, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], env: [{name: S, value: run}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"]"#,
            r#"command: [sh, "$(S)", "{{ params.x }}"], env: [{name: S, value: /run.sh}]"#,
            r#"command: [sh, -c, "echo $(S)"], envFrom: [{configMapRef: {name: fixed}}]"#,
            r#"command: [sh, -c, "echo $(S)"], env: [{name: S, value: a}], envFrom: [{configMapRef: {name: "{{ params.x }}"}}]"#,
            r#"livenessProbe: "{{ target.livenessProbe }}", lifecycle: {preStop: {exec: {command: [sh, -c, "$(X)"]}}}"#,
        ] {
            assert_eq!(mistakes(fields), [""; 0], "{fields}");
        }
    }

    #[test]
    fn variables_that_double_one_another_are_read_to_the_end() {
        for value in ["sh", "{{ params.x == '' ? 'sh' : 'run' }}"] {
            let doubled = |index| format!("{{name: A{}, value: \"$(A{index})$(A{index})\"}}", index + 1);
            let doubled: Vec<_> = (0..59).map(doubled).collect();
            let env = format!("{{name: A0, value: \"{value}\"}}, {}", doubled.join(", "));
            assert_eq!(mistakes(&format!("command: [\"$(A59)\", a], env: [{env}]")), [""; 0]);
            assert_eq!(mistakes(&format!("command: [\"$(A0)\", -c, \"{{{{ params.x }}}}\"], env: [{env}]")).len(), 1);
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
            r#"command: ["{{ 'sh' }}", -c, "{{ params.x }}"]"#,
            r#"command: ["{{ '/bin/' }}sh", -c, "{{ params.x }}"]"#,
            r#"command: ["{{ params.x }}/sh", -c, "{{ params.x }}"]"#,
            r#"command: ["{{ params.x == '' ? 's' + 'h' : 'run' }}", -c, "{{ params.x }}"]"#,
            r#"command: [sh, "{{ '-c' }}", "{{ params.x }}"]"#,
            r#"command: [sh], args: ["{{ '-' }}{{ 'c' }}", "{{ params.x }}"]"#,
            r#"command: [sh, "{{ null }}", -c, "{{ params.x }}"]"#,
            r#"command: "{{ ['sh', '-c', params.x] }}""#,
            r#"command: "{{ ['sh', '-c'] + params.l }}""#,
            r#"command: "{{ params.x == '' ? ['run', params.x] : ['sh', '-c', params.x] }}""#,
            r#"command: "{{ ['sh', '-c', params.x].filter(w, w != '') }}""#,
            r#"command: "{{ [params.x].map(w, ['bash', '-c', w]).flatten() }}""#,
            r#"command: [sh, -c], args: "{{ params.x == '' ? params.l : [params.x] }}""#,
            r#"livenessProbe: {exec: {command: "{{ ['sh', '-c', params.x] }}"}}"#,
            r#"livenessProbe: {exec: "{{ {'command': ['sh', '-c', params.x]} }}"}"#,
            r#"startupProbe: "{{ {'exec': {'command': ['sh', '-c', target.name]}} }}""#,
            r#"lifecycle: "{{ {'preStop': {'exec': {'command': params.l}}} }}""#,
            r#"lifecycle: {postStart: "{{ {'exec': {'command': params.l}} }}"}"#,
            r#"command: [sh, -c, "{{ '$(X)' }}"], env: [{name: X, value: "{{ params.x }}"}]"#,
            r#"command: [sh, -c, "echo $(X)"], env: ["{{ {'name': 'X', 'value': params.x} }}"]"#,
            r#"command: [sh, -c, "echo $(B)"], environment: target"#,
            r#"command: [sh, -c, "echo $(Y)"], environment: target, env: [{name: Y, value: "$(B)"}]"#,
            r#"command: [sh, -c, "echo $(B)"], environment: target, env: [{name: B, value: a, when: "params.x == ''"}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], env: [{name: S, value: sh}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], env: [{name: S, value: sh, when: "params.x == ''"}]"#,
            r#"command: ["/bin/$(S)h", -c, "{{ params.x }}"], env: [{name: T, value: s}, {name: S, value: "ba$(T)"}]"#,
            r#"command: ["$(S)/sh", -c, "{{ params.x }}"], env: [{name: S, value: "{{ params.x }}"}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], env: [{name: S, value: "{{ params.x == '' ? 'sh' : 'run' }}"}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], env: [{name: S, valueFrom: {configMapKeyRef: {name: a, key: b}}}]"#,
            r#"command: ["$(S)", -c, "{{ params.x }}"], envFrom: [{configMapRef: {name: fixed}}]"#,
            r#"command: ["$(B)", -c, "{{ params.x }}"], environment: target"#,
            r#"command: [sh, "$(S)", "{{ params.x }}"], env: [{name: S, value: -c}]"#,
            r#"livenessProbe: {exec: {command: ["$(S)", -c, "{{ params.x }}"]}}, env: [{name: S, value: sh}]"#,
            r#"command: [sh, -c, "echo $(S)"], envFrom: [{configMapRef: {name: "{{ params.x }}"}}]"#,
            r#"command: [sh, -c, "echo $(S)"], envFrom: [{prefix: "{{ params.x }}", secretRef: {name: a}}]"#,
            r#"command: [sh, -c, "echo $(S)"], envFrom: "{{ params.l.map(l, {'configMapRef': {'name': l}}) }}""#,
            r#"command: [sh, -c, "$(X)"], env: [{name: X, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['x']"}}}]"#,
            r#"command: [sh, -c, "$(X)"], env: [{name: X, valueFrom: {fieldRef: {fieldPath: "{{ target.name }}"}}}]"#,
        ] {
            assert_eq!(mistakes(fields).len(), 1, "{fields}: {:?}", mistakes(fields));
        }
    }
}
