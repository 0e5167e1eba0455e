//! A template as it is meant.

use std::rc::Rc;

use crate::functions::Function;

/// All of it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// How many variables are known at one place, at most.
    pub(crate) slots: usize,
}

/// A piece of it.
#[derive(Debug)]
pub(crate) enum Node {
    /// As it stands.
    Text(String),
    /// What it brings is printed, unless it only sets variables.
    Action(Pipeline),
    /// The first that is true, or what is left.
    If(Vec<Branch>, Vec<Node>),
    /// The same, where what is true is the dot inside.
    With(Vec<Branch>, Vec<Node>),
    /// Once for each element, or what is left where there is none.
    Range(Branch, Vec<Node>),
    /// Ends the range around it.
    Break,
    /// Goes on with its next element.
    Continue,
}

/// What is done under a condition.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) on: Pipeline,
    pub(crate) nodes: Vec<Node>,
}

/// Commands, each of which is given what the one before it has brought.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// The slots of the variables that it sets.
    pub(crate) sets: Vec<usize>,
    pub(crate) commands: Vec<Vec<Operand>>,
}

/// A value, or how to come by one.
#[derive(Debug)]
pub(crate) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Whole(i64),
    Float(f64),
    Text(Rc<str>),
    /// What stands under these names in the dot.
    Field(Vec<Rc<str>>),
    /// The variable of a slot, and what stands under these names in it.
    Variable(usize, Vec<Rc<str>>),
    Function(&'static Function),
    Pipeline(Box<Pipeline>),
    /// What stands under these names in what that brings.
    Chain(Box<Operand>, Vec<Rc<str>>),
}
