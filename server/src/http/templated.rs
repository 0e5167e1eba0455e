//! A publish whose text is made of its body by a template: what a webhook sends becomes a message.

use doorbell_protocol::code::said;
use doorbell_protocol::draft::is_yes;
use doorbell_protocol::limits::MESSAGE_BYTES_MAX;
use doorbell_protocol::{Code, Draft, Error, Parameter, Topic, lenient};
use doorbell_template::{Data, Error as TemplateError, Template};

use super::App;
use crate::templates::TemplateFile;

/// Which templates.
enum Which {
    /// The parameters themselves.
    Parameters,
    /// Those of a file.
    Named(String),
}

impl Which {
    fn of(parameter: &impl Fn(Parameter) -> Option<String>) -> Option<Self> {
        let said = parameter(Parameter::Template)?;
        let said = said.trim();
        if is_yes(said) {
            return Some(Self::Parameters);
        }
        let is_no = ["", "0", "no", "false"].iter().any(|no| said.eq_ignore_ascii_case(no));
        (!is_no).then(|| Self::Named(said.to_owned()))
    }
}

/// Whether the parameters ask for a template.
pub(super) fn is_templated(parameter: impl Fn(Parameter) -> Option<String>) -> bool {
    Which::of(&parameter).is_some()
}

/// The draft of a body and the parameters that `parameter` finds; the body is JSON to fill in a
/// template with, if they ask for one.
///
/// # Errors
///
/// Why there is none.
pub(super) fn draft(
    app: &App,
    topic: Topic,
    body: &str,
    message_bytes: usize,
    parameter: impl Fn(Parameter) -> Option<String>,
) -> Result<Draft, Error> {
    let Some(which) = Which::of(&parameter) else {
        return Draft::new(topic, body, message_bytes, parameter);
    };
    let data = lenient::value(body.as_bytes()).map_err(|error| {
        let text = format!("body is no JSON to fill in a template: {}", said(&error.to_string()));
        Error::new(Code::TemplateNotJson, text)
    })?;
    let templates = match which {
        Which::Parameters => TemplateFile {
            title: parameter(Parameter::Title),
            message: parameter(Parameter::Message),
            priority: parameter(Parameter::Priority),
        },
        Which::Named(name) => app.templates.named(&name)?,
    };
    let data = Data::from(data);
    let fill_in = |what, template: Option<&String>| {
        template.map(|template| filled_in(what, template, &data, message_bytes)).transpose()
    };
    let message = fill_in("message", templates.message.as_ref())?;
    let title = fill_in("title", templates.title.as_ref())?;
    let priority = fill_in("priority", templates.priority.as_ref())?;
    let body = message.as_deref().unwrap_or_default();
    Draft::new(topic, body, message_bytes, |wanted| match wanted {
        Parameter::Message if message.is_some() => None,
        Parameter::Title if title.is_some() => title.clone(),
        Parameter::Priority if priority.is_some() => priority.clone(),
        _ => parameter(wanted),
    })
}

/// The text that a template makes.
fn filled_in(
    what: &str,
    template: &str,
    data: &Data,
    message_bytes: usize,
) -> Result<String, Error> {
    let refused = |error: TemplateError, too_long| {
        let code = match &error {
            TemplateError::Invalid(_) => Code::TemplateInvalid,
            TemplateError::Disallowed(_) => Code::TemplateDisallowed,
            TemplateError::Failed(_) => Code::TemplateFailed,
            TemplateError::Exhausted => Code::TemplateExhausted,
            TemplateError::TooLong(_) => too_long,
        };
        let text = format!("template of the {what}: {}", said(&error.to_string()));
        Error::new(code, text)
    };
    let read = Template::parse(template).map_err(|error| refused(error, Code::TemplateTooLong))?;
    let text = read
        .fill_in(data, MESSAGE_BYTES_MAX)
        .map_err(|error| refused(error, Code::TemplateTextTooLong))?;
    // As in any parameter, the two characters stand for the end of a line.
    let text = text.replace("\\n", "\n").trim().to_owned();
    if text.len() > message_bytes {
        let bytes = text.len();
        let text = format!(
            "{what} is {bytes} bytes long once its template is filled in, limit is {message_bytes}"
        );
        return Err(Error::new(Code::TemplateTextTooLong, text));
    }
    Ok(text)
}
