//! sysDescr of SR OS: version and model.

/// The parts of a sysDescr; `None` where it has another form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SysDescr {
    /// The version, such as `TiMOS-C-14.0.R5`.
    pub version: Option<String>,
    /// Model, such as `7750 SR`, with the number first as in product names. Releases before and
    /// after the change of the vendor's name have either order.
    pub model: Option<String>,
}

/// Reads `TiMOS-C-14.0.R5 cpm/hops64 Nokia 7750 SR Copyright ...` and
/// `TiMOS-B-4.0.R11 both/hops ALCATEL SR 7750 Copyright ...`.
#[must_use]
pub fn decode_sys_descr(text: &str) -> SysDescr {
    let mut words = text.split_whitespace();
    let Some(version) = words.next().filter(|word| word.starts_with("TiMOS-")) else {
        return SysDescr::default();
    };
    let is_maker =
        |word: &str| word.eq_ignore_ascii_case("nokia") || word.eq_ignore_ascii_case("alcatel");
    let mut model: Vec<&str> = words
        .skip_while(|word| !is_maker(word))
        .skip(1)
        .take_while(|word| *word != "Copyright")
        .collect();
    let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
    if model.last().is_some_and(is_number) {
        model.rotate_right(1);
    }
    SysDescr {
        version: Some(version.to_owned()),
        model: Some(model.join(" ")).filter(|m| !m.is_empty()),
    }
}
