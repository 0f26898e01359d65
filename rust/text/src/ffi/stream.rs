//! Streams: ids to text, piece by piece.

use super::tokenizer::GliaTokenizer;
use super::{guard, GliaText};
use crate::stream::Stream;

/// A stream for C.
pub struct GliaStream(Stream);

/// A stream at its beginning.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_new(
    tokenizer: *const GliaTokenizer,
    skip_special: i32,
    out: *mut *mut GliaStream,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || {
            let stream = Stream::new((*tokenizer).0.clone(), skip_special != 0)?;
            Ok(Box::into_raw(Box::new(GliaStream(stream))))
        })
    }
}

/// What became certain with this id.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_push(
    stream: *mut GliaStream,
    id: i32,
    out: *mut GliaText,
    error: *mut GliaText,
) -> i32 {
    unsafe {
        guard(out, error, || match u32::try_from(id) {
            Ok(id) => (*stream).0.push(id).map(GliaText::from),
            Err(_) => Ok(String::new().into()),
        })
    }
}

/// What was held back.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_finish(stream: *mut GliaStream, out: *mut GliaText, error: *mut GliaText) -> i32 {
    unsafe { guard(out, error, || (*stream).0.finish().map(GliaText::from)) }
}

/// Frees a stream.
///
/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn glia_stream_free(stream: *mut GliaStream) {
    if !stream.is_null() {
        drop(unsafe { Box::from_raw(stream) });
    }
}
