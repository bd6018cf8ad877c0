//! CEL's operators on values.

use std::cmp::Ordering;

use super::EvaluationError;
use super::code::Operator;
use super::data::Data;
use super::evaluate::{Evaluated, Machine, fail};

impl<'v> Machine<'v> {
    pub(super) fn binary(&mut self, operator: Operator, left: &Data<'v>, right: &Data<'v>) -> Evaluated<'v> {
        match operator {
            Operator::Equal => self.equal(left, right).map(Data::Boolean),
            Operator::NotEqual => self.equal(left, right).map(|equal| Data::Boolean(!equal)),
            Operator::Less => self.order(operator, left, right, Ordering::is_lt),
            Operator::LessOrEqual => self.order(operator, left, right, Ordering::is_le),
            Operator::Greater => self.order(operator, left, right, Ordering::is_gt),
            Operator::GreaterOrEqual => self.order(operator, left, right, Ordering::is_ge),
            Operator::In => self.contains(left, right),
            Operator::Add => self.add(left, right),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                arithmetic(operator, left, right)
            }
        }
    }

    fn add(&mut self, left: &Data<'v>, right: &Data<'v>) -> Evaluated<'v> {
        match (left, right) {
            (Data::Text(left), Data::Text(right)) => {
                self.spend_text(left.len() + right.len())?;
                Ok(Data::text([&**left, &**right].concat()))
            }
            (Data::List(left), Data::List(right)) => {
                self.spend(left.len() + right.len())?;
                let items = left.iter().chain(right.iter()).map(|item| self.read(item));
                Ok(Data::list(items.collect::<Result<_, _>>()?))
            }
            _ => arithmetic(Operator::Add, left, right),
        }
    }

    fn order(
        &mut self,
        operator: Operator,
        left: &Data<'v>,
        right: &Data<'v>,
        holds: impl Fn(Ordering) -> bool,
    ) -> Evaluated<'v> {
        if let (Data::Text(left), Data::Text(right)) = (left, right) {
            self.spend_text(left.len().min(right.len()))?;
        }
        match left.order(right) {
            Some(ordering) => Ok(Data::Boolean(holds(ordering))),
            None => mismatch(operator, left, right),
        }
    }

    /// `left in right`.
    fn contains(&mut self, left: &Data<'v>, right: &Data<'v>) -> Evaluated<'v> {
        match right {
            Data::Map(map) => Ok(Data::Boolean(self.lookup(map, left)?.is_some())),
            Data::List(list) => {
                for item in list.iter() {
                    let item = self.read(item)?;
                    if self.equal(&item, left)? {
                        return Ok(Data::Boolean(true));
                    }
                }
                Ok(Data::Boolean(false))
            }
            _ => mismatch(Operator::In, left, right),
        }
    }

    /// Whether two values are equal; values of different types are not, except for numbers.
    pub(super) fn equal(&mut self, left: &Data<'v>, right: &Data<'v>) -> Result<bool, EvaluationError> {
        self.spend(1)?;
        match (left, right) {
            (Data::Null, Data::Null) | (Data::Optional(None), Data::Optional(None)) => Ok(true),
            (Data::Optional(Some(left)), Data::Optional(Some(right))) => self.equal(left, right),
            (Data::Type(left), Data::Type(right)) => Ok(left == right),
            (Data::Text(left), Data::Text(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                self.spend_text(left.len())?;
                Ok(**left == **right)
            }
            (Data::List(left), Data::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    let (left, right) = (self.read(left)?, self.read(right)?);
                    if !self.deeper(|machine| machine.equal(&left, &right))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Data::Map(left), Data::Map(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, left) in left.entries() {
                    let key = self.read(key)?;
                    let Some(right) = self.lookup(right, &key)? else { return Ok(false) };
                    let (left, right) = (self.read(left)?, self.read(right)?);
                    if !self.deeper(|machine| machine.equal(&left, &right))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (left, right) => Ok(left.order(right) == Some(Ordering::Equal)),
        }
    }
}

fn arithmetic<'v>(operator: Operator, left: &Data<'v>, right: &Data<'v>) -> Evaluated<'v> {
    match (left, right) {
        (Data::Integer(left), Data::Integer(right)) => {
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                Operator::Divide if *right != 0 => left.checked_div(*right),
                Operator::Modulo if *right != 0 => left.checked_rem(*right),
                _ => return fail("division by zero"),
            };
            match result {
                Some(result) => Ok(Data::Integer(result)),
                None => fail(format!("the result of {operator} does not fit a 64-bit integer")),
            }
        }
        (Data::Double(left), Data::Double(right)) => match operator {
            Operator::Add => Ok(Data::Double(left + right)),
            Operator::Subtract => Ok(Data::Double(left - right)),
            Operator::Multiply => Ok(Data::Double(left * right)),
            Operator::Divide => Ok(Data::Double(left / right)),
            _ => fail("% wants ints"),
        },
        _ => mismatch(operator, left, right),
    }
}

/// An operator whose sides don't go together.
fn mismatch<'v>(operator: Operator, left: &Data<'v>, right: &Data<'v>) -> Evaluated<'v> {
    let hint = match (left, right) {
        (Data::Text(_), Data::Integer(_) | Data::Double(_) | Data::Boolean(_))
        | (Data::Integer(_) | Data::Double(_) | Data::Boolean(_), Data::Text(_)) => {
            "; string(...) makes text of a value, int(...) a number of text"
        }
        (Data::Integer(_), Data::Double(_)) | (Data::Double(_), Data::Integer(_)) => {
            "; double(...) or int(...) makes them alike"
        }
        (Data::Optional(_), _) | (_, Data::Optional(_)) => "; orValue(...) gives an optional's value",
        _ => "",
    };
    fail(format!("no {operator} for {} and {}{hint}", left.kind(), right.kind()))
}

/// Unary minus.
pub(super) fn negate<'v>(data: &Data<'v>) -> Evaluated<'v> {
    match data {
        Data::Integer(integer) => match integer.checked_neg() {
            Some(negative) => Ok(Data::Integer(negative)),
            None => fail("the result of - does not fit a 64-bit integer"),
        },
        Data::Double(double) => Ok(Data::Double(-double)),
        other => fail(format!("- wants a number, not {}", other.kind())),
    }
}
