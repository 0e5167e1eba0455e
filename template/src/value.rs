//! What a template computes with.

use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Zoned;
use serde_json::Value as Json;

use crate::Error;
use crate::limits::DEPTH_MAX;

/// What a template is filled in with: JSON as Go reads it, where every number is a float.
#[derive(Debug)]
pub struct Data(pub(crate) Value);

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Null, or what is not there.
    Nil,
    Bool(bool),
    Whole(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Deep<Vec<Value>>>),
    Map(Rc<Deep<Members>>),
    Time(Rc<Zoned>),
}

/// The members of a map, in the order in which Go goes through them.
pub(crate) type Members = BTreeMap<Rc<str>, Value>;

/// What holds values, and how deep they are inside one another: whoever goes through one calls
/// itself that often.
#[derive(Debug)]
pub(crate) struct Deep<T> {
    pub(crate) inside: T,
    depth: u16,
}

impl Value {
    pub(crate) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list.
    ///
    /// # Errors
    ///
    /// That it is too deep.
    pub(crate) fn list(values: Vec<Self>) -> Result<Self, Error> {
        let depth = depth(values.iter())?;
        Ok(Self::List(Rc::new(Deep { inside: values, depth })))
    }

    /// A map.
    ///
    /// # Errors
    ///
    /// That it is too deep.
    pub(crate) fn map(members: Members) -> Result<Self, Error> {
        let depth = depth(members.values())?;
        Ok(Self::Map(Rc::new(Deep { inside: members, depth })))
    }

    /// What Go calls its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Whole(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
        }
    }

    /// Whether a condition with it is met.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(is_true) => *is_true,
            Self::Whole(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.inside.is_empty(),
            Self::Map(map) => !map.inside.is_empty(),
            Self::Time(_) => true,
        }
    }

    /// What stands under names inside one another. What is not there is nil, and so is what stands
    /// in it.
    ///
    /// # Errors
    ///
    /// That something stands there which holds no names.
    pub(crate) fn fields(mut self, names: &[Rc<str>]) -> Result<Self, Error> {
        for (at, name) in names.iter().enumerate() {
            self = match &self {
                Self::Nil => return Ok(Self::Nil),
                Self::Map(map) => match map.inside.get(name) {
                    None => return Ok(Self::Nil),
                    Some(Self::Nil) if at + 1 < names.len() => {
                        let next = &names[at + 1];
                        return Err(Error::Failed(format!("{name} is null and has no {next}")));
                    }
                    Some(value) => value.clone(),
                },
                other => {
                    let text = format!("a {} has no member {name}", other.type_name());
                    return Err(Error::Failed(text));
                }
            };
        }
        Ok(self)
    }
}

fn depth<'v>(values: impl Iterator<Item = &'v Value>) -> Result<u16, Error> {
    let deepest = values.map(|value| match value {
        Value::List(list) => list.depth,
        Value::Map(map) => map.depth,
        _ => 0,
    });
    let depth = deepest.max().unwrap_or(0) + 1;
    if depth > DEPTH_MAX {
        let text = format!("lists and maps are more than {DEPTH_MAX} deep inside one another");
        return Err(Error::Failed(text));
    }
    Ok(depth)
}

impl From<Json> for Value {
    /// What is deeper than JSON can be read is nil.
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(is_true) => Self::Bool(is_true),
            Json::Number(number) => number.as_f64().map_or(Self::Nil, Self::Float),
            Json::String(text) => Self::text(text),
            Json::Array(values) => {
                Self::list(values.into_iter().map(Self::from).collect()).unwrap_or(Self::Nil)
            }
            Json::Object(members) => {
                let members = members.into_iter();
                let members = members.map(|(name, value)| (name.into(), value.into()));
                Self::map(members.collect()).unwrap_or(Self::Nil)
            }
        }
    }
}
