//! A template file: its documents, one after the other, and the mistakes of all of them together.

use super::diagnostic::{Place, Problems};
use super::document::{declares, template};
use super::lint::lint;
use super::parameter::Patterns;
use super::yaml::{Document, SyntaxError, Tree, documents};
use super::{Gap, LoadError, LoadOptions, Loaded, MAX_FILE, Origin, Scope, Template};

/// The most documents in one file.
const MAX_DOCUMENTS: usize = 1000;

/// What `kubectl get` writes templates as.
const LISTS: [&str; 3] = ["List", "ClusterInjectionTemplateList", "InjectionTemplateList"];

/// Compiles every template of a file, or none.
pub(super) fn load(origin: Origin, text: &str, gaps: &[Gap], options: &LoadOptions) -> Result<Loaded, LoadError> {
    let mut file = File {
        origin: &origin,
        options,
        patterns: Patterns::default(),
        problems: Problems::new(text),
        templates: Vec::new(),
        declares: Vec::new(),
    };
    if text.len() > MAX_FILE {
        let message = format!("the file is too large: {} bytes", text.len());
        file.problems.error(&Place::default(), message).help(format!("at most {MAX_FILE} bytes are read"));
    } else {
        file.read(gaps);
    }
    let File { templates, declares, problems, .. } = file;
    match problems.finish() {
        Ok(warnings) => Ok(Loaded { templates, warnings }),
        // Of what is too large, nothing is kept.
        Err(diagnostics) if text.len() > MAX_FILE => {
            Err(LoadError { origin, text: "".into(), declares, diagnostics, passing: false })
        }
        Err(diagnostics) => Err(LoadError { origin, text: text.into(), declares, diagnostics, passing: false }),
    }
}

/// The system has no thread to load a file on: no mistake of the file's, but as much a reason to keep the last good one.
pub(super) fn no_thread(origin: Origin, text: &str, error: &impl std::fmt::Display) -> LoadError {
    let mut problems = Problems::new(text);
    problems.error(&Place::default(), format!("the file can't be read now: no thread is to be had: {error}"));
    let diagnostics = problems.finish().err().unwrap_or_default();
    LoadError { origin, text: text.into(), declares: Vec::new(), diagnostics, passing: true }
}

/// A mistake of ours ended the load: as much a reason to keep the last good one. What it would declare is guessed, as there is
/// nobody left to tell.
pub(super) fn failed_inside(origin: Origin, text: &str) -> LoadError {
    let mut problems = Problems::new(text);
    problems.error(&Place::default(), "podgraft failed inside when it compiled this; its log says more");
    let diagnostics = problems.finish().err().unwrap_or_default();
    let declares = text.split("\n---").filter_map(guess).collect();
    LoadError { origin, text: text.into(), declares, diagnostics, passing: false }
}

struct File<'f> {
    origin: &'f Origin,
    options: &'f LoadOptions,
    patterns: Patterns,
    problems: Problems<'f>,
    templates: Vec<Template>,
    declares: Vec<(Scope, String)>,
}

impl File<'_> {
    fn read(&mut self, gaps: &[Gap]) {
        for (index, document) in documents(self.problems.text(), gaps).enumerate() {
            if index == MAX_DOCUMENTS {
                self.problems.error(&document.place, format!("the file has more than {MAX_DOCUMENTS} documents"));
                return;
            }
            self.document(document);
        }
    }

    fn document(&mut self, Document { text, root, .. }: Document<'_>) {
        let mut root = match root {
            Ok(Some(root)) => root,
            Ok(None) => return,
            Err(error) => {
                self.declares.extend(guess(text));
                self.syntax_error(&error);
                return;
            }
        };
        lint(&mut root, &mut self.problems);
        let list = root.get("kind").and_then(Tree::as_text).is_some_and(|kind| LISTS.contains(&kind));
        match root.get("items").filter(|_| list) {
            None => self.template(&root, text),
            Some(items) => {
                let file = self.problems.text();
                items.items().iter().for_each(|item| self.template(item, &item_text(file, &item.place)));
            }
        }
    }

    fn template(&mut self, root: &Tree<'_>, text: &str) {
        if let Some(declared) = declares(root) {
            if self.declares.contains(&declared) {
                let message = format!("the template `{}` stands here a second time", declared.1);
                self.problems.error(&root.place, message);
            }
            self.declares.push(declared);
        }
        let patterns = self.patterns.of_another();
        self.templates.extend(template(root, self.origin, text, self.options, &patterns, &mut self.problems));
    }

    fn syntax_error(&mut self, error: &SyntaxError) {
        let text = self.problems.text();
        let diagnostic = self.problems.error(&error.place, &*error.message);
        let start = text[..diagnostic.range.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        if line.contains("{{") {
            diagnostic.help("text with an expression must stand in quotes: \"{{ … }}\"");
        } else if line.contains('\t') {
            diagnostic.help("YAML is indented with blanks, not with tabs");
        }
    }
}

/// The text of a list's item as a document: what stands in brackets, or its lines without their indentation.
fn item_text(file: &str, place: &Place) -> String {
    let text = &file[place.range.start..];
    if text.starts_with('{') {
        return text[..flow_end(text)].to_owned();
    }
    let indent = place.column as usize - 1;
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    let own = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start_matches(' ').len() >= indent;
    let rest: String = lines.take_while(own).map(|line| line.get(indent..).unwrap_or("\n")).collect();
    (first + &rest).trim_end().to_owned()
}

/// Where what begins with a bracket ends; the place of it in the tree is that of the bracket alone.
fn flow_end(text: &str) -> usize {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            // Inside of a word it is an apostrophe.
            (None, '"' | '\'') if text[..at].ends_with([' ', '\t', '\n', '{', '[', ',', ':']) => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth -= 1,
            _ => {}
        }
        escaped = false;
        if depth == 0 {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Which template a document that is no YAML would declare, judged by its lines: pods that ask for it are told why it
/// is not there.
fn guess(text: &str) -> Option<(Scope, String)> {
    let value = |indented: bool, key: &str| {
        text.lines()
            .filter(|line| line.starts_with(' ') == indented)
            .find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'))
            .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let metadata = value(false, "metadata").unwrap_or_default();
    let inline = |key: &str| {
        let value =
            metadata.split(['{', ',', '}']).find_map(|part| part.trim().strip_prefix(key)?.strip_prefix(':'))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let name = inline("name").or_else(|| value(true, "name"))?;
    match &*value(false, "kind")? {
        "ClusterInjectionTemplate" => Some((Scope::Cluster, name)),
        "InjectionTemplate" => {
            let namespace = inline("namespace").or_else(|| value(true, "namespace"));
            Some((Scope::Namespace(namespace.unwrap_or_else(|| "default".to_owned())), name))
        }
        _ => None,
    }
}
