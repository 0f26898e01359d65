//! `datetime.strftime` in the C locale, for a time in UTC.

/// A civil date and time.
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    /// 0 is Sunday.
    weekday: u32,
    /// 1 is the first of January.
    yearday: u32,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Proleptic Gregorian, from days of 400-year eras that begin in March (Howard Hinnant's `civil_from_days`).
fn civil(unix_s: i64) -> Civil {
    let days = unix_s.div_euclid(86_400);
    let in_day = unix_s.rem_euclid(86_400) as u32;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    Civil {
        year,
        month,
        day,
        hour: in_day / 3600,
        minute: in_day / 60 % 60,
        second: in_day % 60,
        weekday: (days + 4).rem_euclid(7) as u32,
        yearday: before + day + u32::from(leap && month > 2),
    }
}

/// The time as `format` says. Directives that do not exist are kept as they are written.
pub fn strftime(format: &str, unix_s: i64) -> String {
    // Years 1 to 9999, as Python's datetime.
    let t = civil(unix_s.clamp(-62_135_596_800, 253_402_300_799));
    let mut out = String::new();
    write(format, &t, &mut out);
    out
}

fn write(format: &str, t: &Civil, out: &mut String) {
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(mut directive) = chars.next() else {
            out.push('%');
            break;
        };
        let mut plain = false;
        if directive == '-' {
            match chars.next() {
                Some(next) => (directive, plain) = (next, true),
                None => {
                    out.push_str("%-");
                    break;
                }
            }
        }
        let number = |value: u32, width: usize| {
            if plain {
                value.to_string()
            } else {
                format!("{value:0width$}")
            }
        };
        let hour12 = (t.hour + 11) % 12 + 1;
        let text = match directive {
            'a' => DAYS[t.weekday as usize][..3].to_owned(),
            'A' => DAYS[t.weekday as usize].to_owned(),
            'b' | 'h' => MONTHS[t.month as usize - 1][..3].to_owned(),
            'B' => MONTHS[t.month as usize - 1].to_owned(),
            'd' => number(t.day, 2),
            'e' if plain => t.day.to_string(),
            'e' => format!("{:>2}", t.day),
            'm' => number(t.month, 2),
            'y' => number((t.year % 100) as u32, 2),
            'Y' => t.year.to_string(),
            'C' => number((t.year / 100) as u32, 2),
            'H' => number(t.hour, 2),
            'I' => number(hour12, 2),
            'k' => format!("{:>2}", t.hour),
            'l' => format!("{hour12:>2}"),
            'M' => number(t.minute, 2),
            'S' => number(t.second, 2),
            'f' => "000000".to_owned(),
            'p' => if t.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'P' => if t.hour < 12 { "am" } else { "pm" }.to_owned(),
            'j' => number(t.yearday, 3),
            'w' => t.weekday.to_string(),
            'u' => (if t.weekday == 0 { 7 } else { t.weekday }).to_string(),
            'U' => number((t.yearday + 6 - t.weekday) / 7, 2),
            'W' => number((t.yearday + 6 - (t.weekday + 6) % 7) / 7, 2),
            'V' => number(iso_week(t).1, 2),
            'G' => iso_week(t).0.to_string(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            // A datetime without a zone has no offset and no zone name.
            'z' | 'Z' => String::new(),
            'c' => composed("%a %b %e %H:%M:%S %Y", t),
            'D' | 'x' => composed("%m/%d/%y", t),
            'F' => composed("%Y-%m-%d", t),
            'T' | 'X' => composed("%H:%M:%S", t),
            'R' => composed("%H:%M", t),
            'r' => composed("%I:%M:%S %p", t),
            other => format!("%{}{other}", if plain { "-" } else { "" }),
        };
        out.push_str(&text);
    }
}

fn composed(format: &str, t: &Civil) -> String {
    let mut out = String::new();
    write(format, t, &mut out);
    out
}

/// ISO 8601 year and week.
fn iso_week(t: &Civil) -> (i64, u32) {
    let weekday = if t.weekday == 0 { 7 } else { t.weekday };
    let week = (t.yearday as i64 - weekday as i64 + 10) / 7;
    let weeks_of = |year: i64| {
        let p = |y: i64| (y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400)).rem_euclid(7);
        if p(year) == 4 || p(year - 1) == 3 {
            53
        } else {
            52
        }
    };
    if week < 1 {
        (t.year - 1, weeks_of(t.year - 1))
    } else if week as u32 > weeks_of(t.year) {
        (t.year + 1, 1)
    } else {
        (t.year, week as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn known_times() {
        // Each expected text is what Python's datetime prints.
        assert_eq!(strftime("%d %b %Y", 1_721_952_000), "26 Jul 2024");
        assert_eq!(strftime("%A, %B %-d, %Y %I:%M:%S %p", 951_827_696), "Tuesday, February 29, 2000 12:34:56 PM");
        assert_eq!(
            strftime("%Y-%m-%d %H:%M:%S|%j|%U|%W|%V|%G|%u|%w", 1_609_459_199),
            "2020-12-31 23:59:59|366|52|52|53|2020|4|4"
        );
        assert_eq!(strftime("%c|%x|%X|%%|%Z", 0), "Thu Jan  1 00:00:00 1970|01/01/70|00:00:00|%|");
        assert_eq!(strftime("%G-%V", 1_735_603_200), "2025-01");
    }
}
