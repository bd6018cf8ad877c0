//! CEL's functions on lists.

use std::cmp::Ordering;

use super::wrong;
use crate::template::expression::EvaluationError;
use crate::template::expression::data::{Data, List};
use crate::template::expression::evaluate::{Evaluated, Machine, fail};

pub(super) fn range<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Integer(end)] => {
            let Ok(size) = usize::try_from(*end) else {
                return fail(format!("lists.range(): {} is negative", machine.shown(&arguments[0])));
            };
            machine.spend(size)?;
            Ok(Data::list((0..*end).map(Data::Integer).collect()))
        }
        _ => wrong("lists.range", arguments),
    }
}

pub(super) fn slice<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let [Data::List(list), Data::Integer(start), Data::Integer(end)] = arguments else {
        return wrong("slice", arguments);
    };
    match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(from), Ok(to)) if from <= to && to <= list.len() => {
            // What is passed over costs something too: of a text, an item's place is known only from the one before it.
            machine.spend(to - from + from / 8)?;
            let items = list.iter().skip(from).take(to - from).map(|item| machine.read(item));
            Ok(Data::list(items.collect::<Result<_, _>>()?))
        }
        _ => {
            let [start, end, length] =
                [&arguments[1], &arguments[2], &Data::count(list.len())].map(|number| machine.shown(number));
            fail(format!("slice(): {start} to {end} is no part of a list of {length}"))
        }
    }
}

/// The items of the lists in a list, one level deep or as deep as the argument says.
pub(super) fn flatten<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (list, depth) = match arguments {
        [Data::List(list)] => (list, 1),
        [Data::List(list), Data::Integer(depth)] if *depth >= 0 => (list, *depth),
        [Data::List(_), Data::Integer(_)] => return fail("flatten(): the depth is negative"),
        _ => return wrong("flatten", arguments),
    };
    let mut items = Vec::new();
    flatten_into(machine, list, depth, &mut items)?;
    Ok(Data::list(items))
}

fn flatten_into<'v>(
    machine: &mut Machine<'v>,
    list: &List<'v>,
    depth: i64,
    items: &mut Vec<Data<'v>>,
) -> Result<(), EvaluationError> {
    for item in list.iter() {
        machine.spend(1)?;
        match machine.read(item)? {
            Data::List(inner) if depth > 0 => {
                machine.deeper(|machine| flatten_into(machine, &inner, depth - 1, items))?;
            }
            item => items.push(item),
        }
    }
    Ok(())
}

/// The first of all equal items.
pub(super) fn distinct<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let [Data::List(list)] = arguments else {
        return wrong("distinct", arguments);
    };
    let mut items: Vec<Data<'v>> = Vec::new();
    'list: for item in list.iter() {
        machine.spend(1)?;
        let item = machine.read(item)?;
        for seen in &items {
            if machine.equal(seen, &item)? {
                continue 'list;
            }
        }
        items.push(item);
    }
    Ok(Data::list(items))
}

pub(super) fn sort<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let [Data::List(list)] = arguments else {
        return wrong("sort", arguments);
    };
    machine.spend(list.len())?;
    let items: Vec<_> = list.iter().map(|item| machine.read(item)).collect::<Result<_, _>>()?;
    sort_by_keys(machine, &items, &items)
}

/// The items in the order of their keys; items with equal keys keep theirs.
pub(in crate::template::expression) fn sort_by_keys<'v>(
    machine: &mut Machine<'v>,
    keys: &[Data<'v>],
    items: &[Data<'v>],
) -> Evaluated<'v> {
    // What a comparison may read, for each of the comparisons that sorting makes.
    let text = |key: &Data<'_>| if let Data::Text(text) = key { text.len() } else { 0 };
    let longest = keys.iter().map(text).max().unwrap_or(0);
    machine.spend_texts(keys.len() * (keys.len().max(1).ilog2() as usize + 1), longest)?;
    // Any two keys are in order if each is with the first one: there is no not-a-number, and the types are the same.
    if let Some(odd) = keys.iter().find(|key| key.kind() != keys[0].kind() || key.order(&keys[0]).is_none()) {
        return fail(format!("only keys of one type can be sorted, not {} and {}", keys[0].kind(), odd.kind()));
    }
    let mut order: Vec<usize> = (0..keys.len().min(items.len())).collect();
    order.sort_by(|left, right| keys[*left].order(&keys[*right]).unwrap_or(Ordering::Equal));
    Ok(Data::list(order.into_iter().map(|index| items[index].clone()).collect()))
}
