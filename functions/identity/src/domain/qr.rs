//! A QR code as a picture for web pages, with a name for screen readers.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// The quiet zone around it, in modules (ISO/IEC 18004 wants four).
const BORDER: i32 = 4;

/// An SVG of `text`, black on white, that loads nothing from elsewhere. `None` if the text is too long, which is over about 2,300
/// bytes.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * BORDER;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "M{},{}h1v1h-1z", x + BORDER, y + BORDER);
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" role=\"img\" shape-rendering=\"crispEdges\">\
         <title>QR code</title><path fill=\"#fff\" d=\"M0,0h{size}v{size}h-{size}z\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the modules of a picture back from its path.
    fn modules(svg: &str) -> Vec<(i32, i32)> {
        let path = svg.rsplit_once("d=\"").unwrap().1.split_once('"').unwrap().0;
        let number = |text: &str| text.parse::<i32>().unwrap() - BORDER;
        path.split('M')
            .skip(1)
            .map(|m| m.split_once('h').unwrap().0.split_once(',').map(|(x, y)| (number(x), number(y))).unwrap())
            .collect()
    }

    #[test]
    fn svg_contains_the_code_and_an_accessible_name() {
        let text = "otpauth://totp/Acme:ada%40acme.example?secret=GEZDGNBVGY3TQOJQ";
        let picture = svg(text).unwrap();
        assert!(picture.contains("<title>QR code</title>") && !picture.contains("href"), "{picture}");
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let dark = |x, y| code.get_module(x, y);
        let expected: Vec<_> =
            (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))).filter(|(x, y)| dark(*x, *y)).collect();
        assert_eq!(modules(&picture), expected);
        // A finder pattern is a ring of seven modules, a gap, and a core of three.
        let found = modules(&picture);
        assert!(
            (0..7).all(|i| found.contains(&(i, 0)) && found.contains(&(0, i)))
                && !found.contains(&(1, 1))
                && found.contains(&(3, 3))
        );
    }

    #[test]
    fn text_too_long_for_a_qr_code_gives_none() {
        assert!(svg(&"x".repeat(3000)).is_none());
    }
}
