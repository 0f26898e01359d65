//! The alphabet of byte-level BPE: a printable character for each byte (GPT-2's `bytes_to_unicode`).

/// The byte that a character stands for.
pub fn of_char(c: char) -> Option<u8> {
    let code = c as u32;
    match code {
        // Printable bytes stand for themselves.
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => Some(code as u8),
        // The others, in order, are the characters from U+0100 on.
        0x100..=0x143 => {
            let nth = (code - 0x100) as u8;
            Some(match nth {
                0..=0x20 => nth,
                0x21..=0x42 => nth - 0x21 + 0x7F,
                _ => 0xAD,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_character_of_the_alphabet_is_one_byte() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut bytes: Vec<u8> = alphabet.iter().map(|c| super::of_char(*c).unwrap()).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(super::of_char('Ġ'), Some(b' '));
        assert_eq!(super::of_char('Ċ'), Some(b'\n'));
        assert_eq!(super::of_char('ń'), None);
    }
}
