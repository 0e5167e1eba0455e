//! A tree over data: the text that it brings.

use std::rc::Rc;

use crate::Error;
use crate::format;
use crate::functions::{Body, Call, Function};
use crate::tree::{Branch, Node, Operand, Pipeline, Tree};
use crate::value::Value;
use crate::work::Work;

/// Where an evaluation goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Evaluation {
    work: Work,
    /// The variables, by their slots. The first is all of the data.
    slots: Vec<Value>,
    text: String,
    bytes_max: usize,
}

/// The text that a tree makes of data.
pub(crate) fn evaluate(tree: &Tree, data: &Value, bytes_max: usize) -> Result<String, Error> {
    let mut slots = vec![Value::Nil; tree.slots];
    slots[0] = data.clone();
    let mut evaluation = Evaluation { work: Work::new(), slots, text: String::new(), bytes_max };
    evaluation.nodes(&tree.nodes, data)?;
    Ok(evaluation.text)
}

impl Evaluation {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Error> {
        for node in nodes {
            self.work.steps(1)?;
            let flow = match node {
                Node::Text(text) => self.print(text)?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.sets.is_empty() { self.print_value(&value)? } else { Flow::Next }
                }
                Node::If(branches, otherwise) => self.branches(branches, otherwise, dot, false)?,
                Node::With(branches, otherwise) => self.branches(branches, otherwise, dot, true)?,
                Node::Range(branch, otherwise) => self.range(branch, otherwise, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, text: &str) -> Result<Flow, Error> {
        let bytes = self.text.len() + text.len();
        if bytes > self.bytes_max {
            let limit = self.bytes_max;
            return Err(Error::TooLong(format!("makes more than {limit} bytes of text")));
        }
        self.work.bytes(text.len())?;
        self.text += text;
        Ok(Flow::Next)
    }

    fn print_value(&mut self, value: &Value) -> Result<Flow, Error> {
        match value {
            Value::Text(text) => self.print(text),
            Value::Nil => self.print(format::NO_VALUE),
            other => {
                let text = format::plain(other, &mut self.work)?;
                self.print(&text)
            }
        }
    }

    fn branches(
        &mut self,
        branches: &[Branch],
        otherwise: &[Node],
        dot: &Value,
        is_with: bool,
    ) -> Result<Flow, Error> {
        for Branch { on, nodes } in branches {
            let value = self.pipeline(on, dot)?;
            if value.is_true() {
                return self.nodes(nodes, if is_with { &value } else { dot });
            }
        }
        self.nodes(otherwise, dot)
    }

    fn range(&mut self, branch: &Branch, otherwise: &[Node], dot: &Value) -> Result<Flow, Error> {
        let Branch { on, nodes } = branch;
        let over = self.commands(on, dot)?;
        let mut is_empty = true;
        let mut each = |key: Value, value: Value| -> Result<bool, Error> {
            is_empty = false;
            self.work.steps(1)?;
            match on.sets.as_slice() {
                [] => {}
                [slot] => self.slots[*slot] = value.clone(),
                [first, second, ..] => {
                    self.slots[*first] = key;
                    self.slots[*second] = value.clone();
                }
            }
            Ok(self.nodes(nodes, &value)? != Flow::Break)
        };
        match &over {
            Value::Nil => {}
            Value::List(list) => {
                for (at, value) in (0..).zip(&list.inside) {
                    if !each(Value::Whole(at), value.clone())? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (name, value) in &map.inside {
                    if !each(Value::Text(name.clone()), value.clone())? {
                        break;
                    }
                }
            }
            Value::Whole(count) if on.sets.len() < 2 => {
                for at in 0..*count {
                    if !each(Value::Whole(at), Value::Whole(at))? {
                        break;
                    }
                }
            }
            other => {
                let text = format!("range cannot go over a {}", other.type_name());
                return Err(Error::Failed(text));
            }
        }
        if is_empty { self.nodes(otherwise, dot) } else { Ok(Flow::Next) }
    }

    /// What a pipeline brings, once its variables are set.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Error> {
        let value = self.commands(pipeline, dot)?;
        for slot in &pipeline.sets {
            self.slots[*slot] = value.clone();
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Error> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Error> {
        let Some((first, arguments)) = operands.split_first() else { return Ok(Value::Nil) };
        match first {
            Operand::Function(function) => self.call(function, arguments, dot, piped),
            Operand::Chain(inner, names) if matches!(**inner, Operand::Function(_)) => {
                let Operand::Function(function) = **inner else { return Ok(Value::Nil) };
                self.call(function, arguments, dot, piped)?.fields(names)
            }
            _ if piped.is_some() || !arguments.is_empty() => {
                Err(Error::Failed("what is no function was given a value".to_owned()))
            }
            Operand::Nil => Err(Error::Failed("nil is no command".to_owned())),
            _ => self.operand(first, dot),
        }
    }

    fn call(
        &mut self,
        function: &'static Function,
        arguments: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Error> {
        let name = function.name;
        let count = arguments.len() + usize::from(piped.is_some());
        if count < function.arguments.0 || count > function.arguments.1 {
            return Err(Error::Failed(format!("{name} does not take {count} values")));
        }
        let stops_at = match function.body {
            Body::And => Some(false),
            Body::Or => Some(true),
            Body::Of(_) => None,
        };
        self.work.steps(1)?;
        let mut values = Vec::with_capacity(count);
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            if stops_at == Some(value.is_true()) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        let Body::Of(body) = function.body else {
            return Ok(values.pop().unwrap_or(Value::Nil));
        };
        body(&mut Call { name, values, work: &mut self.work })
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Error> {
        self.work.steps(1)?;
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Nil => Value::Nil,
            Operand::Bool(is_true) => Value::Bool(*is_true),
            Operand::Whole(number) => Value::Whole(*number),
            Operand::Float(number) => Value::Float(*number),
            Operand::Text(text) => Value::Text(Rc::clone(text)),
            Operand::Field(names) => dot.clone().fields(names)?,
            Operand::Variable(slot, names) => self.slots[*slot].clone().fields(names)?,
            Operand::Function(function) => self.call(function, &[], dot, None)?,
            Operand::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
            Operand::Chain(inner, names) => self.operand(inner, dot)?.fields(names)?,
        })
    }
}
