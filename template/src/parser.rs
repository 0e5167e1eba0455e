//! From tokens to the tree, by Go's grammar.

use std::rc::Rc;

use crate::Error;
use crate::functions;
use crate::lexer::{Placed, Token, tokens};
use crate::limits::NESTING_MAX;
use crate::tree::{Branch, Node, Operand, Pipeline, Tree};

/// Reads a template.
pub(crate) fn parse(text: &str) -> Result<Tree, Error> {
    let tokens = tokens(text)?;
    // The first variable is all of the data.
    let variables = vec![String::new()];
    let mut parser = Parser { tokens: &tokens, at: 0, variables, slots: 1, nesting: 0, ranges: 0 };
    let (nodes, end) = parser.nodes()?;
    match end {
        Ending::Text => Ok(Tree { nodes, slots: parser.slots }),
        Ending::Else => Err(parser.invalid("else is outside of a block")),
        Ending::Block => Err(parser.invalid("end is outside of a block")),
    }
}

/// What ended a list of nodes.
enum Ending {
    /// The end of the template.
    Text,
    /// `else`.
    Else,
    /// `end`.
    Block,
}

/// The blocks that have conditions.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    If,
    With,
    Range,
}

struct Parser<'t> {
    tokens: &'t [Placed<'t>],
    at: usize,
    /// The variables that are known here, by their slots.
    variables: Vec<String>,
    slots: usize,
    nesting: usize,
    /// Ranges around this place.
    ranges: usize,
}

impl<'t> Parser<'t> {
    fn invalid(&self, text: impl AsRef<str>) -> Error {
        let line = self.tokens[self.at.saturating_sub(1)].line;
        Error::Invalid(format!("line {line}: {}", text.as_ref()))
    }

    fn unexpected(&self, where_: &str) -> Error {
        let token = &self.tokens[self.at.saturating_sub(1)].token;
        let what = match token {
            Token::End => "the end of the template".to_owned(),
            Token::Close => "the end of the action".to_owned(),
            Token::Word(name) => format!("'{name}'"),
            Token::Field(name) => format!("'.{name}'"),
            Token::Variable(name) => format!("'${name}'"),
            Token::Literal(text) => format!("{text:?}"),
            other => format!("{other:?}").to_lowercase(),
        };
        self.invalid(format!("{what} is unexpected in {where_}"))
    }

    fn peek(&self) -> &'t Token<'t> {
        &self.tokens[self.at.min(self.tokens.len() - 1)].token
    }

    fn next(&mut self) -> &'t Token<'t> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len());
        token
    }

    fn skip_blanks(&mut self) {
        while *self.peek() == Token::Blank {
            self.at += 1;
        }
    }

    fn next_word(&mut self) -> &'t Token<'t> {
        self.skip_blanks();
        self.next()
    }

    /// Reads something that may hold itself.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.nesting == NESTING_MAX {
            return Err(self.invalid(format!("is nested more than {NESTING_MAX} deep")));
        }
        self.nesting += 1;
        let read = read(self);
        self.nesting -= 1;
        read
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Ending), Error> {
        let mut nodes = Vec::new();
        loop {
            match self.next() {
                Token::End => return Ok((nodes, Ending::Text)),
                Token::Text(text) => nodes.push(Node::Text((*text).to_owned())),
                _ => {
                    self.skip_blanks();
                    let Token::Word(word) = self.peek() else {
                        nodes.push(Node::Action(self.pipeline(Block::If, &Token::Close)?));
                        continue;
                    };
                    self.at += 1;
                    match *word {
                        "end" => {
                            self.close("end")?;
                            return Ok((nodes, Ending::Block));
                        }
                        "else" => return Ok((nodes, Ending::Else)),
                        "if" => nodes.push(self.nested(|parser| parser.block(Block::If))?),
                        "with" => nodes.push(self.nested(|parser| parser.block(Block::With))?),
                        "range" => nodes.push(self.nested(Self::range)?),
                        "break" | "continue" => {
                            if self.ranges == 0 {
                                return Err(self.invalid(format!("{word} is outside of a range")));
                            }
                            self.close(word)?;
                            let is_break = *word == "break";
                            nodes.push(if is_break { Node::Break } else { Node::Continue });
                        }
                        "define" | "block" | "template" => return Err(self.disallowed(word)),
                        _ => {
                            self.at -= 1;
                            nodes.push(Node::Action(self.pipeline(Block::If, &Token::Close)?));
                        }
                    }
                }
            }
        }
    }

    fn disallowed(&self, word: &str) -> Error {
        let line = self.tokens[self.at.saturating_sub(1)].line;
        Error::Disallowed(format!("line {line}: {word} is not allowed"))
    }

    /// The end of an action that has no more words.
    fn close(&mut self, what: &str) -> Result<(), Error> {
        match self.next_word() {
            Token::Close => Ok(()),
            _ => Err(self.unexpected(what)),
        }
    }

    /// `if` or `with`, with all that stands under other conditions.
    fn block(&mut self, block: Block) -> Result<Node, Error> {
        let (known, word) = (self.variables.len(), if block == Block::If { "if" } else { "with" });
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let on = self.pipeline(block, &Token::Close)?;
            let (nodes, end) = self.scope(Self::nodes)?;
            branches.push(Branch { on, nodes });
            match end {
                Ending::Text => return Err(self.unexpected(word)),
                Ending::Block => break,
                Ending::Else => {}
            }
            self.skip_blanks();
            if *self.peek() == Token::Word(word) {
                self.at += 1;
                continue;
            }
            otherwise = self.otherwise(word)?;
            break;
        }
        self.variables.truncate(known);
        Ok(if block == Block::If {
            Node::If(branches, otherwise)
        } else {
            Node::With(branches, otherwise)
        })
    }

    fn range(&mut self) -> Result<Node, Error> {
        let known = self.variables.len();
        let on = self.pipeline(Block::Range, &Token::Close)?;
        self.ranges += 1;
        let read = self.scope(Self::nodes);
        self.ranges -= 1;
        let (nodes, end) = read?;
        let otherwise = match end {
            Ending::Text => return Err(self.unexpected("range")),
            Ending::Block => Vec::new(),
            Ending::Else => self.otherwise("range")?,
        };
        self.variables.truncate(known);
        Ok(Node::Range(Branch { on, nodes }, otherwise))
    }

    /// What stands behind an `else` without a condition.
    fn otherwise(&mut self, what: &str) -> Result<Vec<Node>, Error> {
        self.close("else")?;
        let (nodes, end) = self.scope(Self::nodes)?;
        match end {
            Ending::Block => Ok(nodes),
            Ending::Else => Err(self.invalid("else is there twice")),
            Ending::Text => Err(self.unexpected(what)),
        }
    }

    /// Reads something whose variables nobody else knows.
    fn scope<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let known = self.variables.len();
        let read = read(self);
        self.variables.truncate(known);
        read
    }

    fn slot(&self, name: &str) -> Result<usize, Error> {
        let found = self.variables.iter().rposition(|known| known == name);
        found.ok_or_else(|| self.invalid(format!("variable ${name} is not declared")))
    }

    /// A variable that is set here, if one is: its name, and what stands behind it.
    fn setting(&mut self) -> Option<(&'t str, &'t Token<'t>)> {
        self.skip_blanks();
        let Token::Variable(name) = self.peek() else { return None };
        let mut ahead = self.at + 1;
        while self.tokens.get(ahead).is_some_and(|placed| placed.token == Token::Blank) {
            ahead += 1;
        }
        let sign = &self.tokens.get(ahead)?.token;
        if !matches!(sign, Token::Declare | Token::Assign | Token::Comma) {
            return None;
        }
        self.at = ahead + 1;
        Some((name, sign))
    }

    fn pipeline(&mut self, block: Block, end: &Token<'_>) -> Result<Pipeline, Error> {
        let mut names = Vec::new();
        let mut declares = false;
        while let Some((name, sign)) = self.setting() {
            names.push(name);
            if *sign == Token::Comma {
                if block == Block::Range && names.len() == 1 {
                    continue;
                }
                return Err(self.invalid("too many variables are set"));
            }
            declares = *sign == Token::Declare;
            break;
        }
        let mut sets = Vec::new();
        if !declares {
            sets = names.iter().map(|name| self.slot(name)).collect::<Result<_, _>>()?;
        }
        // What is set in a range is known in its own pipeline, in Go as here.
        let mut commands = Vec::new();
        loop {
            self.skip_blanks();
            if self.peek() == end {
                self.at += 1;
                break;
            }
            let command = self.command()?;
            if !commands.is_empty() && is_plain(&command[0]) {
                return Err(self.invalid("a value can be given nothing by a pipeline"));
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return Err(self.invalid("a value is missing"));
        }
        if declares {
            sets = (self.variables.len()..).take(names.len()).collect();
            self.variables.extend(names.into_iter().map(str::to_owned));
            self.slots = self.slots.max(self.variables.len());
        }
        Ok(Pipeline { sets, commands })
    }

    fn command(&mut self) -> Result<Vec<Operand>, Error> {
        let mut operands = Vec::new();
        loop {
            self.skip_blanks();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.next() {
                Token::Blank => {}
                Token::Close | Token::CloseParenthesis => {
                    self.at -= 1;
                    break;
                }
                Token::Pipe => break,
                _ => return Err(self.unexpected("a command")),
            }
        }
        if operands.is_empty() {
            return Err(self.invalid("a command is empty"));
        }
        Ok(operands)
    }

    /// A value, with the names of what is wanted of it.
    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let name = |text: &str| Rc::<str>::from(text);
        let term = match self.next() {
            Token::Dot => Operand::Dot,
            Token::Field(field) => Operand::Field(vec![name(field)]),
            Token::Variable(variable) => Operand::Variable(self.slot(variable)?, Vec::new()),
            Token::Literal(text) => Operand::Text(name(text)),
            Token::Whole(number) => Operand::Whole(*number),
            Token::Float(number) => Operand::Float(*number),
            Token::Word("nil") => Operand::Nil,
            Token::Word("true") => Operand::Bool(true),
            Token::Word("false") => Operand::Bool(false),
            Token::Word("call") => return Err(self.disallowed("call")),
            Token::Word(word) => {
                let function = functions::named(word);
                let text = || self.invalid(format!("function '{word}' is not known"));
                Operand::Function(function.ok_or_else(text)?)
            }
            Token::OpenParenthesis => {
                let end = Token::CloseParenthesis;
                let pipeline = self.nested(|parser| parser.pipeline(Block::If, &end))?;
                Operand::Pipeline(Box::new(pipeline))
            }
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        let mut fields = Vec::new();
        while let Token::Field(field) = self.peek() {
            fields.push(name(field));
            self.at += 1;
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        Ok(Some(match term {
            Operand::Field(mut first) => {
                first.append(&mut fields);
                Operand::Field(first)
            }
            Operand::Variable(slot, _) => Operand::Variable(slot, fields),
            _ if is_plain(&term) => {
                return Err(self.invalid("a dot is unexpected behind a value"));
            }
            _ => Operand::Chain(Box::new(term), fields),
        }))
    }
}

/// Whether it is a value that takes nothing.
fn is_plain(operand: &Operand) -> bool {
    matches!(
        operand,
        Operand::Dot
            | Operand::Nil
            | Operand::Bool(_)
            | Operand::Whole(_)
            | Operand::Float(_)
            | Operand::Text(_)
    )
}
