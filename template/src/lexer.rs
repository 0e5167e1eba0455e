//! From the text of a template to its tokens, with the blanks that trim marks take away gone.

use crate::Error;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const COMMENT: &str = "/*";
const COMMENT_END: &str = "*/";
const BLANKS: &[char] = &[' ', '\t', '\r', '\n'];

/// A word of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'t> {
    /// What is outside of actions.
    Text(&'t str),
    Open,
    Close,
    /// Blanks between two words of an action.
    Blank,
    Dot,
    /// `.name`, without the dot.
    Field(&'t str),
    /// `$name`, without the dollar; nothing behind it is all of the data.
    Variable(&'t str),
    /// A function or keyword.
    Word(&'t str),
    Literal(String),
    Whole(i64),
    Float(f64),
    Pipe,
    Comma,
    OpenParenthesis,
    CloseParenthesis,
    Declare,
    Assign,
    End,
}

/// A token and the line on which it begins.
#[derive(Debug, Clone)]
pub(crate) struct Placed<'t> {
    pub(crate) token: Token<'t>,
    pub(crate) line: usize,
}

/// All tokens, the last of which is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Error> {
    let mut lexer = Lexer { rest: text, line: 1, tokens: Vec::new() };
    lexer.run().map_err(|text| Error::Invalid(format!("line {}: {text}", lexer.line)))?;
    lexer.push(Token::End);
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    tokens: Vec<Placed<'t>>,
}

/// What ended an action or a comment.
struct Ended {
    /// Whether the blanks behind it go.
    trims: bool,
}

impl<'t> Lexer<'t> {
    fn push(&mut self, token: Token<'t>) {
        self.tokens.push(Placed { token, line: self.line });
    }

    /// Takes so many bytes, which end between two characters.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn run(&mut self) -> Result<(), String> {
        let mut trims = false;
        loop {
            let end = self.rest.find(OPEN).unwrap_or(self.rest.len());
            let opens = end < self.rest.len();
            let trims_before = opens && left_mark(&self.rest[end + OPEN.len()..]);
            let mut text = &self.rest[..end];
            if trims {
                text = text.trim_start_matches(BLANKS);
            }
            if trims_before {
                text = text.trim_end_matches(BLANKS);
            }
            if !text.is_empty() {
                self.push(Token::Text(text));
            }
            self.take(end);
            if !opens {
                return Ok(());
            }
            self.take(OPEN.len());
            if trims_before {
                self.take("-".len());
            }
            let after_mark = usize::from(trims_before);
            let comment = self.rest.get(after_mark..).filter(|rest| rest.starts_with(COMMENT));
            let ended = if comment.is_some() {
                self.take(after_mark);
                self.comment()?
            } else {
                self.action()?
            };
            trims = ended.trims;
        }
    }

    fn comment(&mut self) -> Result<Ended, String> {
        let end = self.rest.find(COMMENT_END).ok_or("comment has no end")?;
        self.take(end + COMMENT_END.len());
        self.close().ok_or_else(|| "comment ends before its action does".to_owned())
    }

    /// The end of an action, if it stands here.
    fn close(&mut self) -> Option<Ended> {
        let mark = self.rest.strip_prefix(BLANKS).and_then(|rest| rest.strip_prefix('-'));
        let trims = mark.is_some_and(|rest| rest.starts_with(CLOSE));
        if !trims && !self.rest.starts_with(CLOSE) {
            return None;
        }
        self.take(if trims { 2 + CLOSE.len() } else { CLOSE.len() });
        Some(Ended { trims })
    }

    fn action(&mut self) -> Result<Ended, String> {
        self.push(Token::Open);
        let mut parentheses = 0_usize;
        loop {
            if let Some(ended) = self.close() {
                if parentheses > 0 {
                    return Err("parenthesis is not closed".to_owned());
                }
                self.push(Token::Close);
                return Ok(ended);
            }
            let mut characters = self.rest.chars();
            let first = characters.next().ok_or("action is not closed")?;
            match first {
                _ if BLANKS.contains(&first) => {
                    let rest = self.rest.trim_start_matches(BLANKS);
                    let mut blanks = self.rest.len() - rest.len();
                    // The last one belongs to a trim mark, if one follows.
                    if rest.starts_with("-}}") {
                        blanks -= 1;
                    }
                    if blanks > 0 {
                        self.push(Token::Blank);
                        self.take(blanks);
                    }
                }
                ':' if characters.next() == Some('=') => self.sign(Token::Declare, 2),
                '=' => self.sign(Token::Assign, 1),
                '|' => self.sign(Token::Pipe, 1),
                ',' => self.sign(Token::Comma, 1),
                '(' => {
                    parentheses += 1;
                    self.sign(Token::OpenParenthesis, 1);
                }
                ')' => {
                    parentheses = parentheses.checked_sub(1).ok_or("parenthesis was not opened")?;
                    self.sign(Token::CloseParenthesis, 1);
                }
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '.' if characters.next().is_some_and(|c| c.is_ascii_digit()) => self.number()?,
                '.' | '$' => self.name(first)?,
                '+' | '-' => self.number()?,
                _ if first.is_ascii_digit() => self.number()?,
                _ if is_name(first) => self.name(first)?,
                _ => return Err(format!("{first:?} is unexpected in an action")),
            }
        }
    }

    fn sign(&mut self, token: Token<'t>, bytes: usize) {
        self.push(token);
        self.take(bytes);
    }

    /// A field, variable or word, which must end there.
    fn name(&mut self, first: char) -> Result<(), String> {
        let mark = usize::from(matches!(first, '.' | '$'));
        let named = &self.rest[mark..];
        let bytes = named.find(|c| !is_name(c)).unwrap_or(named.len());
        let (name, rest) = named.split_at(bytes);
        let ends = rest.is_empty()
            || rest.starts_with(CLOSE)
            || rest.starts_with(|c| BLANKS.contains(&c) || ".,|:()".contains(c));
        if !(ends || first == '.' && name.is_empty()) {
            let next = rest.chars().next().unwrap_or_default();
            return Err(format!("{next:?} is unexpected behind a name"));
        }
        let token = match first {
            '.' if name.is_empty() => Token::Dot,
            '.' => Token::Field(name),
            '$' => Token::Variable(name),
            _ => Token::Word(name),
        };
        self.sign(token, mark + bytes);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), String> {
        let text = &self.rest[1..];
        let end = text.find('`').ok_or("raw text is not closed")?;
        self.sign(Token::Literal(text[..end].replace('\r', "")), end + 2);
        Ok(())
    }

    /// The bytes up to the quote that ends a literal.
    fn until_quote(&self, quote: u8) -> Result<&'t str, String> {
        let body = &self.rest[1..];
        let mut bytes = body.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'\n' => break,
                _ if byte == quote => return Ok(&body[..at]),
                _ => {}
            }
        }
        Err("text is not closed on its line".to_owned())
    }

    fn quoted(&mut self) -> Result<(), String> {
        let body = self.until_quote(b'"')?;
        let text = String::from_utf8_lossy(&unescaped(body, '"')?).into_owned();
        self.sign(Token::Literal(text), body.len() + 2);
        Ok(())
    }

    /// A character, which is its number.
    fn character(&mut self) -> Result<(), String> {
        let body = self.until_quote(b'\'')?;
        let bytes = unescaped(body, '\'')?;
        let number = match (std::str::from_utf8(&bytes), bytes.as_slice()) {
            (Ok(text), _) if text.chars().count() == 1 => text.chars().next().map(u32::from),
            (Err(_), [byte]) => Some(u32::from(*byte)),
            _ => None,
        };
        let number = number.ok_or_else(|| format!("'{body}' is not one character"))?;
        self.sign(Token::Whole(i64::from(number)), body.len() + 2);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let mut previous = ' ';
        let is_hex = self.rest.trim_start_matches(['+', '-']).to_ascii_lowercase();
        let is_hex = is_hex.starts_with("0x");
        let end = self.rest.find(|c: char| {
            let is_sign = matches!(c, '+' | '-')
                && (previous == ' ' || (!is_hex && matches!(previous, 'e' | 'E')));
            previous = c;
            !(is_sign || c == '.' || is_name(c))
        });
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        let token = number(text).ok_or_else(|| format!("{text:?} is no number"))?;
        self.sign(token, text.len());
        Ok(())
    }
}

/// Whether an action begins with a mark that trims what is before it.
fn left_mark(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|rest| rest.starts_with(BLANKS))
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A number as Go writes it, with a fraction or without.
fn number(text: &str) -> Option<Token<'static>> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-', '_']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let plain = digits.replace('_', "").to_ascii_lowercase();
    let (radix, whole) = match plain.get(..2) {
        Some("0x") => (16, &plain[2..]),
        Some("0b") => (2, &plain[2..]),
        Some("0o") => (8, &plain[2..]),
        Some(_) if plain.starts_with('0') && plain.bytes().all(|b| b.is_ascii_digit()) => {
            (8, &plain[1..])
        }
        _ => (10, plain.as_str()),
    };
    if whole.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(number) = i128::from_str_radix(whole, radix) {
        let number = if is_negative { -number } else { number };
        return i64::try_from(number).ok().map(Token::Whole);
    }
    let begins = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = if radix == 10 && begins { plain.parse().ok()? } else { return None };
    number.is_finite().then_some(Token::Float(if is_negative { -number } else { number }))
}

/// The bytes of a quoted text, which need not be UTF-8.
fn unescaped(body: &str, quote: char) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let c = escape.chars().next().ok_or("escape has no end")?;
        let numbered = |begin: usize, digits: usize, radix| {
            let text = escape.get(begin..begin + digits);
            let number = text.and_then(|text| u32::from_str_radix(text, radix).ok());
            number.ok_or_else(|| "escape of a character is malformed".to_owned())
        };
        let mut taken = c.len_utf8();
        match c {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            _ if c == quote => bytes.push(c as u8),
            'x' | '0'..='7' => {
                let (begin, digits, radix) = if c == 'x' { (1, 2, 16) } else { (0, 3, 8) };
                let byte = u8::try_from(numbered(begin, digits, radix)?);
                bytes.push(byte.map_err(|_| "escape is no byte")?);
                taken = begin + digits;
            }
            'u' | 'U' => {
                let digits = if c == 'u' { 4 } else { 8 };
                let character = char::from_u32(numbered(1, digits, 16)?);
                let character = character.ok_or("escape is no character")?;
                bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                taken = 1 + digits;
            }
            _ => return Err(format!("\\{c} is no escape")),
        }
        rest = &escape[taken..];
    }
    bytes.extend(rest.bytes());
    Ok(bytes)
}
