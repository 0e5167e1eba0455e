//! Values as Go prints them: by itself, and by the verbs of `printf`.

use std::fmt::Write;

use jiff::Zoned;

use crate::Error;
use crate::limits::WIDTH_MAX;
use crate::value::Value;
use crate::work::Work;

/// What a template prints of what is not there.
pub(crate) const NO_VALUE: &str = "<no value>";
const NIL: &str = "<nil>";
/// What Go makes of a character's number that is none.
const NO_CHARACTER: char = '\u{fffd}';
/// Digits of a number with an exponent or a fraction, unless it is said how many.
const DIGITS: usize = 6;

/// A value as `print` writes it.
pub(crate) fn plain(value: &Value, work: &mut Work) -> Result<String, Error> {
    let mut printer = Printer { text: String::new(), work };
    printer.value(value, 'v', &Spec::default(), true)?;
    Ok(printer.text)
}

/// Several values as `print` writes them: with a blank between two that are no text.
pub(crate) fn print(values: &[Value], work: &mut Work) -> Result<String, Error> {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&values[at - 1]) {
            text.push(' ');
        }
        text += &plain(value, work)?;
    }
    Ok(text)
}

/// Values as a format says, which may have mistakes: they are printed where they are.
pub(crate) fn printf(format: &str, values: &[Value], work: &mut Work) -> Result<String, Error> {
    let mut printer = Printer { text: String::new(), work };
    printer.work.bytes(format.len())?;
    let mut next = 0;
    let mut chose = false;
    let mut rest = format;
    while let Some((before, directive)) = rest.split_once('%') {
        printer.text += before;
        let mut spec = Spec::default();
        let mut is_bad_index = false;
        let mut at = spec.read_flags(directive);
        let mut take_index = |at: &mut usize| {
            let Some(index) = directive[*at..].strip_prefix('[') else { return };
            chose = true;
            let Some((digits, _)) = index.split_once(']') else {
                is_bad_index = true;
                return;
            };
            *at += digits.len() + 2;
            match digits.parse::<usize>() {
                Ok(number @ 1..) if number <= values.len() => next = number - 1,
                _ => is_bad_index = true,
            }
        };
        take_index(&mut at);
        spec.width = size(directive, &mut at)?;
        if directive[at..].starts_with('.') {
            at += 1;
            take_index(&mut at);
            spec.precision = Some(size(directive, &mut at)?.unwrap_or(0));
        }
        take_index(&mut at);
        let Some(verb) = directive[at..].chars().next() else {
            printer.text += "%!(NOVERB)";
            rest = "";
            continue;
        };
        rest = &directive[at + verb.len_utf8()..];
        match values.get(next) {
            _ if verb == '%' => printer.text.push('%'),
            _ if is_bad_index => {
                let _ = write!(printer.text, "%!{verb}(BADINDEX)");
            }
            None => {
                let _ = write!(printer.text, "%!{verb}(MISSING)");
            }
            Some(value) => {
                next += 1;
                printer.argument(value, verb, &spec)?;
            }
        }
        printer.work.steps(1)?;
    }
    printer.text += rest;
    if !chose && next < values.len() {
        printer.text += "%!(EXTRA ";
        for (at, value) in values[next..].iter().enumerate() {
            if at > 0 {
                printer.text += ", ";
            }
            printer.typed(value)?;
        }
        printer.text.push(')');
    }
    printer.work.bytes(printer.text.len())?;
    Ok(printer.text)
}

/// A width or a precision.
fn size(directive: &str, at: &mut usize) -> Result<Option<usize>, Error> {
    let rest = &directive[*at..];
    let bytes = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..bytes].parse::<usize>();
    let fits = bytes == 0 || number.as_ref().is_ok_and(|number| *number <= WIDTH_MAX);
    if !fits || rest[bytes..].starts_with('*') {
        let text = format!("printf takes widths and precisions up to {WIDTH_MAX}, and no *");
        return Err(Error::Failed(text));
    }
    *at += bytes;
    Ok(number.ok())
}

/// How a value is to be printed.
#[derive(Debug, Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "a flag of a directive each")]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    blank: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    /// Reads the flags that a directive begins with: how many bytes they are.
    fn read_flags(&mut self, directive: &str) -> usize {
        let mut bytes = 0;
        for flag in directive.bytes() {
            match flag {
                b'-' => self.minus = true,
                b'+' => self.plus = true,
                b'#' => self.sharp = true,
                b' ' => self.blank = true,
                b'0' => self.zero = true,
                _ => break,
            }
            bytes += 1;
        }
        self.zero &= !self.minus;
        bytes
    }
}

struct Printer<'w> {
    text: String,
    work: &'w mut Work,
}

impl Printer<'_> {
    /// One of the values of `printf`.
    fn argument(&mut self, value: &Value, verb: char, spec: &Spec) -> Result<(), Error> {
        match (value, verb) {
            (_, 'T') => self.pad(value.type_name(), spec),
            (Value::Nil, 'v') => self.pad(NIL, spec),
            (Value::Nil, _) => {
                let _ = write!(self.text, "%!{verb}({NIL})");
            }
            _ => self.value(value, verb, spec, true)?,
        }
        Ok(())
    }

    /// A value with its type, where something is wrong with it.
    fn typed(&mut self, value: &Value) -> Result<(), Error> {
        if matches!(value, Value::Nil) {
            self.text += NIL;
            return Ok(());
        }
        let _ = write!(self.text, "{}=", value.type_name());
        self.value(value, 'v', &Spec::default(), true)
    }

    fn value(&mut self, value: &Value, verb: char, spec: &Spec, is_top: bool) -> Result<(), Error> {
        self.work.steps(1)?;
        let before = self.text.len();
        match value {
            Value::Nil => self.text += NIL,
            Value::Bool(is_true) if matches!(verb, 'v' | 't') => {
                self.pad(if *is_true { "true" } else { "false" }, spec);
            }
            Value::Whole(number) if "vdboOxXcqU".contains(verb) => self.whole(*number, verb, spec),
            Value::Float(number) if "veEfFgG".contains(verb) => self.float(*number, verb, spec),
            Value::Text(text) if "vsxXq".contains(verb) => self.string(text, verb, spec),
            Value::Time(time) if matches!(verb, 'v' | 's') => self.pad(&time_text(time), spec),
            Value::List(list) => {
                self.text.push('[');
                for (at, value) in list.inside.iter().enumerate() {
                    if at > 0 {
                        self.text.push(' ');
                    }
                    self.value(value, verb, spec, false)?;
                }
                self.text.push(']');
            }
            Value::Map(map) => {
                self.text += "map[";
                for (at, (name, value)) in map.inside.iter().enumerate() {
                    if at > 0 {
                        self.text.push(' ');
                    }
                    self.value(&Value::Text(name.clone()), verb, spec, false)?;
                    self.text.push(':');
                    self.value(value, verb, spec, false)?;
                }
                self.text.push(']');
            }
            _ => {
                let _ = write!(self.text, "%!{verb}(");
                self.typed(value)?;
                self.text.push(')');
            }
        }
        let bytes = self.text.len() - before;
        // What is inside of another value is paid for with it.
        self.work.bytes(if is_top { bytes } else { 0 })
    }

    /// A text in its width.
    fn pad(&mut self, text: &str, spec: &Spec) {
        let width = spec.width.unwrap_or(0);
        let missing = width.saturating_sub(text.chars().count());
        if spec.minus {
            self.text += text;
        }
        self.text.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, missing));
        if !spec.minus {
            self.text += text;
        }
    }

    /// A number in its width, where zeros come behind the sign.
    fn pad_number(&mut self, sign: &str, digits: &str, spec: &Spec) {
        let width = spec.width.unwrap_or(0);
        let missing = width.saturating_sub(sign.len() + digits.len());
        let zeros = if spec.zero { "0".repeat(missing) } else { String::new() };
        let number = format!("{sign}{zeros}{digits}");
        self.pad(&number, &Spec { zero: false, ..*spec });
    }

    fn whole(&mut self, number: i64, verb: char, spec: &Spec) {
        let sign = sign(number < 0, spec);
        let magnitude = number.unsigned_abs();
        let character = || u32::try_from(number).ok().and_then(char::from_u32);
        let mut digits = match verb {
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' => {
                let character = character().unwrap_or(NO_CHARACTER);
                return self.pad(character.encode_utf8(&mut [0; 4]), spec);
            }
            'q' => {
                let quoted = quoted(character().unwrap_or(NO_CHARACTER), '\'', spec.plus);
                return self.pad(&format!("'{quoted}'"), spec);
            }
            'U' => {
                let mut text = format!("U+{magnitude:04X}");
                if let Some(character) = character().filter(|_| spec.sharp) {
                    let _ = write!(text, " '{character}'");
                }
                return self.pad(&text, &Spec { zero: false, ..*spec });
            }
            _ => magnitude.to_string(),
        };
        if let Some(precision) = spec.precision {
            if precision == 0 && number == 0 {
                return self.pad("", &Spec { zero: false, ..*spec });
            }
            digits.insert_str(0, &"0".repeat(precision.saturating_sub(digits.len())));
        }
        let prefix = match verb {
            'O' => "0o",
            'b' if spec.sharp => "0b",
            'o' if spec.sharp && !digits.starts_with('0') => "0",
            'x' if spec.sharp => "0x",
            'X' if spec.sharp => "0X",
            _ => "",
        };
        // Go counts its zeros without the prefix.
        let zero = spec.zero && spec.precision.is_none();
        if zero {
            let width = spec.width.unwrap_or(0).saturating_sub(sign.len());
            digits.insert_str(0, &"0".repeat(width.saturating_sub(digits.len())));
        }
        let number = format!("{sign}{prefix}{digits}");
        self.pad(&number, &Spec { zero: false, ..*spec });
    }

    fn float(&mut self, number: f64, verb: char, spec: &Spec) {
        let sign = sign(number.is_sign_negative(), spec);
        let number = number.abs();
        if !number.is_finite() {
            let (sign, text) = if number.is_nan() { ("", "NaN") } else { (sign, "Inf") };
            let sign = if spec.plus && sign.is_empty() { "+" } else { sign };
            return self.pad(&format!("{sign}{text}"), &Spec { zero: false, ..*spec });
        }
        let precision = spec.precision;
        let digits = match verb {
            'e' | 'E' => exponential(number, precision.or(Some(DIGITS))),
            'f' | 'F' => format!("{number:.*}", precision.unwrap_or(DIGITS)),
            _ => general(number, precision),
        };
        let digits = if matches!(verb, 'E' | 'G') { digits.to_uppercase() } else { digits };
        self.pad_number(sign, &digits, spec);
    }

    fn string(&mut self, text: &str, verb: char, spec: &Spec) {
        let cut = |text: &str| match spec.precision {
            Some(precision) => text.chars().take(precision).collect::<String>(),
            None => text.to_owned(),
        };
        match verb {
            'q' => {
                let text = cut(text);
                let is_plain =
                    |c: char| c == '\t' || !(c.is_control() || c == '`' || c == '\u{feff}');
                if spec.sharp && text.chars().all(is_plain) {
                    return self.pad(&format!("`{text}`"), spec);
                }
                let inside: String = text.chars().map(|c| quoted(c, '"', spec.plus)).collect();
                self.pad(&format!("\"{inside}\""), spec);
            }
            'x' | 'X' => {
                let bytes = text.len().min(spec.precision.unwrap_or(usize::MAX));
                let mut digits = String::new();
                for (at, byte) in text.bytes().take(bytes).enumerate() {
                    if spec.blank && at > 0 {
                        digits.push(' ');
                    }
                    if spec.sharp && (at == 0 || spec.blank) {
                        digits += "0x";
                    }
                    let _ = write!(digits, "{byte:02x}");
                }
                if verb == 'X' {
                    digits.make_ascii_uppercase();
                }
                self.pad(&digits, spec);
            }
            _ => self.pad(&cut(text), spec),
        }
    }
}

fn sign(is_negative: bool, spec: &Spec) -> &'static str {
    match (is_negative, spec) {
        (true, _) => "-",
        (false, Spec { plus: true, .. }) => "+",
        (false, Spec { blank: true, .. }) => " ",
        _ => "",
    }
}

/// A number with an exponent of at least two digits.
fn exponential(number: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A number with an exponent if it is large or small, in as many digits as are said or are needed.
fn general(number: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let text = match precision {
        Some(precision) => format!("{number:.*e}", precision - 1),
        None => format!("{number:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    let digits = digits.trim_end_matches('0');
    let count = digits.len().max(1);
    let count_i32 = i32::try_from(count).unwrap_or(i32::MAX);
    let most = match precision {
        None => 6,
        Some(precision) if precision > count && count_i32 > exponent => count_i32,
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX),
    };
    if (-4..most).contains(&exponent) {
        let fraction = usize::try_from(count_i32 - 1 - exponent).unwrap_or(0);
        return format!("{number:.fraction$}");
    }
    exponential(number, Some(count - 1))
}

/// A character as it stands in quotes.
fn quoted(c: char, quote: char, is_ascii: bool) -> String {
    match c {
        _ if c == quote || c == '\\' => format!("\\{c}"),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        ' ' => " ".to_owned(),
        _ if c < ' ' || c == '\u{7f}' => format!("\\x{:02x}", u32::from(c)),
        _ if is_printed(c) && (c.is_ascii() || !is_ascii) => c.to_string(),
        _ if u32::from(c) < 0x1_0000 => format!("\\u{:04x}", u32::from(c)),
        _ => format!("\\U{:08x}", u32::from(c)),
    }
}

/// Whether a character is seen, as far as the standard library can tell.
pub(crate) fn is_printed(c: char) -> bool {
    !c.is_control() && !c.is_whitespace() && c.escape_debug().count() == 1 || c == ' '
        || matches!(c, '"' | '\'' | '\\')
        // What belongs to the character before it.
        || matches!(u32::from(c), 0x300..=0x36f | 0xfe0f)
}

fn time_text(time: &Zoned) -> String {
    let mut text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let nanoseconds = time.subsec_nanosecond();
    if nanoseconds > 0 {
        let digits = format!("{nanoseconds:09}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    let _ = write!(text, " {}", time.strftime("%z %Z"));
    text
}
