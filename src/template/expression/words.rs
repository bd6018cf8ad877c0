//! The words of a command as far as a template decides them: what names nothing has its value already.

use super::Budget;
use super::code::{Code, Element, Operator};
use super::data::Data;
use super::evaluate;
use super::leaf::{Leaf, Part};
use super::tree::Unread;

/// The most ways in which one expression may make a list that are told apart.
const WAYS: usize = 16;

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Its text, up to the first part that a pod decides.
    pub text: String,
    /// A pod decides the rest.
    pub open: bool,
    /// It stands for any number of words: a pod decides how many.
    pub many: bool,
    /// The texts that the template has for the rest.
    pub made_of: Vec<String>,
}

impl Leaf {
    /// The one word that it makes; `None` if that is `null`.
    #[must_use]
    pub fn word(&self) -> Option<Word> {
        let budget = Budget::beforehand();
        if let [Part::Expression(expression)] = self.parts() {
            return Word::of(&expression.code, &budget);
        }
        let mut word = Word::default();
        for part in self.parts() {
            match part {
                Part::Text(json) => word.add(serde_json::from_str(&format!("\"{json}\"")).unwrap_or_default()),
                Part::Expression(expression) => word.add_code(&expression.code, &budget),
            }
        }
        Some(word)
    }

    /// The words that it makes if it is a whole list, in each of the ways in which it may make one.
    #[must_use]
    pub fn words(&self) -> Vec<Vec<Word>> {
        match self.parts() {
            [Part::Expression(expression)] => ways(&expression.code, &Budget::beforehand()),
            _ => Vec::new(),
        }
    }
}

impl Word {
    fn of(code: &Code, budget: &Budget) -> Option<Self> {
        if evaluate::constant(code, budget, |data| matches!(data, Data::Null)) == Some(true) {
            return None;
        }
        let mut word = Self::default();
        word.add_code(code, budget);
        Some(word)
    }

    /// Any number of words that the code makes.
    fn any(code: &Code, budget: &Budget) -> Self {
        let mut word = Self { open: true, many: true, ..Self::default() };
        texts(code, budget, &mut word.made_of);
        word
    }

    /// Adds what the template has for it.
    pub fn add(&mut self, text: String) {
        if self.open { self.made_of.push(text) } else { self.text.push_str(&text) }
    }

    fn add_code(&mut self, code: &Code, budget: &Budget) {
        if let Some(text) = evaluate::constant(code, budget, scalar).flatten() {
            self.add(text);
        } else {
            self.open = true;
            texts(code, budget, &mut self.made_of);
        }
    }
}

fn scalar(data: &Data<'_>) -> Option<String> {
    match data {
        Data::Text(text) => Some(text.to_string()),
        Data::Integer(integer) => Some(integer.to_string()),
        Data::Double(double) => Some(double.to_string()),
        Data::Boolean(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

/// The texts that the template has in code: those of its parts that name nothing.
fn texts(code: &Code, budget: &Budget, found: &mut Vec<String>) {
    let value = evaluate::constant(code, budget, |data| match data {
        Data::List(list) => list.iter().filter_map(|item| scalar(&item.read())).collect(),
        data => Vec::from_iter(scalar(data)),
    });
    match value {
        Some(value) => found.extend(value),
        None => code.parts().into_iter().for_each(|part| texts(part, budget, found)),
    }
}

fn ways(code: &Code, budget: &Budget) -> Vec<Vec<Word>> {
    let constant = evaluate::constant(code, budget, |data| match data {
        Data::List(list) => {
            let word = |item: Unread<'_>| Some(Word { text: scalar(&item.read())?, ..Word::default() });
            Some(list.iter().filter_map(word).collect())
        }
        Data::Null => Some(Vec::new()),
        _ => None,
    });
    if let Some(words) = constant.flatten() {
        return vec![words];
    }
    let any = || vec![vec![Word::any(code, budget)]];
    let found = match code {
        Code::List(elements) => {
            let word = |element: &Element| {
                let value = &element.value;
                if element.optional { Some(Word::any(value, budget)) } else { Word::of(value, budget) }
            };
            vec![elements.iter().filter_map(word).collect()]
        }
        Code::If(branches) => branches[1..].iter().flat_map(|branch| ways(branch, budget)).collect(),
        Code::Binary(Operator::Add, sides) => {
            let [left, right] = sides.each_ref().map(|side| ways(side, budget));
            if left.len() * right.len() > WAYS {
                return any();
            }
            left.iter().flat_map(|left| right.iter().map(|right| [&**left, right].concat())).collect()
        }
        _ => any(),
    };
    if found.len() > WAYS { any() } else { found }
}
