//! The bounds of a template, each with its unit and what it stops.

/// Bytes of a template's text.
pub const TEMPLATE_BYTES_MAX: usize = 32 << 10;
/// Steps of filling one in: what an action, an operand or a function costs. All of them take some
/// milliseconds, while their thread serves nobody else.
pub const STEPS_MAX: u64 = 100_000;
/// Bytes that are read or made by one step.
pub const STEP_BYTES: usize = 64;
/// Blocks and parentheses inside one another.
pub const NESTING_MAX: usize = 100;
/// Lists and maps inside one another: those of JSON are fewer.
pub const DEPTH_MAX: u16 = 200;
/// A width or precision of `printf`.
pub const WIDTH_MAX: usize = 999;
/// Bytes of a regular expression as it is made to be used.
pub const REGEX_BYTES_MAX: usize = 256 << 10;
/// How much dearer than other steps a regular expression is that is made: bytes of its text that
/// cost one step.
pub const REGEX_STEP_CHARS: usize = 1;
