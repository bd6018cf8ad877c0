//! Kubernetes' notations for durations and quantities, read into numbers that can be compared.

/// Units of Go's `time.ParseDuration`, which metav1.Duration is read by, in nanoseconds.
const DURATION_UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Suffixes of a resource quantity: apimachinery's `resource.Quantity`. The factor is in billionths, the finest step
/// that a quantity keeps.
const QUANTITY_SUFFIXES: [(&str, i128); 16] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", 1_000_000_000),
    ("k", 1_000_000_000_000),
    ("M", 10_i128.pow(15)),
    ("G", 10_i128.pow(18)),
    ("T", 10_i128.pow(21)),
    ("P", 10_i128.pow(24)),
    ("E", 10_i128.pow(27)),
    ("Ki", 1_000_000_000 << 10),
    ("Mi", 1_000_000_000 << 20),
    ("Gi", 1_000_000_000 << 30),
    ("Ti", 1_000_000_000 << 40),
    ("Pi", 1_000_000_000 << 50),
    ("Ei", 1_000_000_000 << 60),
];

/// Digits of a fraction that are looked at: more change nothing that a unit could tell apart.
const FRACTION_DIGITS: usize = 15;

/// A duration in nanoseconds: `1h30m`, `1.5s`, `-500ms`, `0`. `None` if it is none, or does not fit 64 bits, as in Go.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = sign(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i128;
    loop {
        let (number, after) = decimal(rest)?;
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.saturating_add(number.times(*factor));
        rest = next;
        if rest.is_empty() {
            i64::try_from(total).ok()?;
            return Some(if negative { -total } else { total });
        }
    }
}

/// Whole seconds of a duration, rounded up; `None` if the text is no duration.
pub(in crate::template) fn seconds(text: &str) -> Option<i64> {
    billionths_rounded_up(duration(text)?)
}

/// A quantity as a whole number, rounded up; `None` if the text is no quantity, or one that does not fit 64 bits.
pub(in crate::template) fn units(text: &str) -> Option<i64> {
    billionths_rounded_up(quantity(text)?)
}

fn billionths_rounded_up(billionths: i128) -> Option<i64> {
    const ONE: i128 = 1_000_000_000;
    i64::try_from(billionths.div_euclid(ONE) + i128::from(billionths.rem_euclid(ONE) != 0)).ok()
}

/// A quantity in billionths: `128Mi`, `0.5`, `-1`, `2e3`. Beyond 128 bits it saturates, so that a comparison with any
/// quantity that does fit stays right. `None` if it is none.
pub(in crate::template) fn quantity(text: &str) -> Option<i128> {
    let (negative, rest) = sign(text);
    let (number, suffix) = decimal(rest)?;
    let amount = match QUANTITY_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        Some((_, factor)) => number.times(*factor),
        None => number.shifted(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(if negative { -amount } else { amount })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// An unsigned decimal number: `digits / 10^places`.
struct Decimal {
    digits: i128,
    places: u32,
}

/// Reads `1`, `1.5`, `1.` or `.5` off the front of `text`.
fn decimal(text: &str) -> Option<(Decimal, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, mut rest) = text.split_at(digits(text));
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at(digits(after));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let digits = (whole.bytes().chain(fraction.bytes()))
        .fold(0_i128, |sum, digit| sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
    Some((Decimal { digits, places: fraction.len() as u32 }, rest))
}

impl Decimal {
    /// The number times `factor`, a part of one rounded up, as Kubernetes does.
    fn times(&self, factor: i128) -> i128 {
        if self.places == 0 {
            // Nearly all, and a division of 128 bits takes as long as all else.
            return self.digits.saturating_mul(factor);
        }
        let divisor = 10_i128.pow(self.places);
        let (whole, part) = (self.digits / divisor, self.digits % divisor);
        let part = part.saturating_mul(factor);
        whole.saturating_mul(factor).saturating_add(part / divisor + i128::from(part % divisor != 0))
    }

    /// The number times ten to `exponent`, in billionths.
    fn shifted(&self, exponent: i32) -> i128 {
        let power = exponent.saturating_add(9);
        let scale = 10_i128.saturating_pow(power.unsigned_abs());
        if power >= 0 { self.times(scale) } else { self.times(1).saturating_add(scale - 1) / scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("500ms", 500_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("-2m", -120_000_000_000),
            ("+2m", 120_000_000_000),
            ("0s1h", 3_600_000_000_000),
            ("1ns", 1),
        ] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "-", "1", "s", "1d", "1 s", "1h ", ".s", "1hm", "1e3s", "300000h1000000h10000000h", "1s,2s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        const ONE: i128 = 1_000_000_000;
        for (text, billionths) in [
            ("0", 0),
            ("1", ONE),
            ("128Mi", 128 * 1024 * 1024 * ONE),
            ("0.5", ONE / 2),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("500m", ONE / 2),
            ("1k", 1000 * ONE),
            ("1E", 10_i128.pow(18) * ONE),
            ("1e3", 1000 * ONE),
            ("1E3", 1000 * ONE),
            ("1e-3", ONE / 1000),
            ("1.5Gi", 3 * 512 * 1024 * 1024 * ONE),
            ("-1", -ONE),
            ("+1", ONE),
            ("1n", 1),
            ("0.1n", 1),
        ] {
            assert_eq!(quantity(text), Some(billionths), "{text}");
        }
        for text in ["", "Mi", "1mi", "1KB", "1 Mi", "1e", "1e1.5", "--1", "1Mi2", "0x10", "∞"] {
            assert_eq!(quantity(text), None, "{text}");
        }
        for (text, whole) in
            [("16Mi", Some(16 << 20)), ("1500m", Some(2)), ("-1500m", Some(-1)), ("1Mb", None), ("10Ei", None)]
        {
            assert_eq!(units(text), whole, "{text}");
        }
        assert!(quantity("1e999999999") > quantity("1000Ei"));
        assert!(quantity(&"9".repeat(4000)) > quantity("1000Ei"));
        assert!(quantity("-1e2147483647") < quantity("-1000Ei"));
    }
}
