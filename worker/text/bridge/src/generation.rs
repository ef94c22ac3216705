//! `{% generation %}…{% endgeneration %}`: what of a rendered conversation the assistant wrote.
//! minijinja has no tag of ours: source.rs writes a scope between two marker characters, which
//! stand nowhere in the input and are taken out of the output again.

use crate::border::Failure;

pub struct Markers {
    pub open: char,
    pub close: char,
}

/// Two Unicode noncharacters that are in neither text.
pub fn choose_markers(source: &str, variables: &str) -> Result<Markers, Failure> {
    let mut free =
        ('\u{fdd0}'..='\u{fdef}').filter(|c| !source.contains(*c) && !variables.contains(*c));
    match (free.next(), free.next()) {
        (Some(open), Some(close)) => Ok(Markers { open, close }),
        _ => Err(Failure::invalid("the text uses all of U+FDD0 to U+FDEF: no marker is left")),
    }
}

/// Removes the markers; byte ranges [from, to) of what stood between them.
pub fn take_spans(rendered: &str, markers: &Markers) -> Result<(String, Vec<u32>), Failure> {
    let mut out = String::with_capacity(rendered.len());
    let mut spans = Vec::new();
    let mut start = None;
    for c in rendered.chars() {
        let at = u32::try_from(out.len()).map_err(|_| Failure::invalid("output above 4 GiB"))?;
        if c == markers.open {
            if start.replace(at).is_some() {
                return Err(Failure::invalid("nested {% generation %}"));
            }
        } else if c == markers.close {
            let from = start.take().ok_or_else(|| Failure::invalid("stray endgeneration"))?;
            spans.extend([from, at]);
        } else {
            out.push(c);
        }
    }
    if start.is_some() {
        return Err(Failure::invalid("{% generation %} was left without endgeneration"));
    }
    Ok((out, spans))
}
