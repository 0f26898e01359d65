//! The C face. See `include/glia_text_rs.h` for what each function promises. Here: what crosses the border and how
//! failures do; the functions are in the modules below.

mod chat_template;
mod stream;
mod tokenizer;

use std::panic::{self, AssertUnwindSafe};
use std::slice;
use std::sync::Once;

use crate::failure::{Failure, Kind, Result};
use crate::limits;

/// Borrowed bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GliaBytes {
    data: *const u8,
    size: usize,
}

/// Owned text.
#[repr(C)]
pub struct GliaText {
    data: *mut u8,
    size: usize,
    capacity: usize,
}

/// Owned ids.
#[repr(C)]
pub struct GliaIds {
    data: *mut i32,
    size: usize,
    capacity: usize,
}

/// An encoder's reading of a text or a pair.
#[repr(C)]
pub struct GliaEncoded {
    ids: GliaIds,
    types: GliaIds,
    dropped: usize,
}

/// # Safety
/// `data` points at `size` values that live as long as `'a`, or `size` is 0.
unsafe fn slice_of<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 || data.is_null() {
        &[]
    } else {
        unsafe { slice::from_raw_parts(data, size) }
    }
}

impl GliaBytes {
    /// # Safety
    /// As `slice_of`.
    unsafe fn text<'a>(self, what: &str, failure: fn(String) -> Failure) -> Result<&'a str> {
        let bytes = unsafe { slice_of(self.data, self.size) };
        std::str::from_utf8(bytes)
            .map_err(|e| failure(format!("{what} is not valid UTF-8 at byte {}", e.valid_up_to())))
    }
}

impl From<String> for GliaText {
    fn from(text: String) -> GliaText {
        let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
        GliaText { data: bytes.as_mut_ptr(), size: bytes.len(), capacity: bytes.capacity() }
    }
}

impl From<Vec<i32>> for GliaIds {
    fn from(ids: Vec<i32>) -> GliaIds {
        let mut ids = std::mem::ManuallyDrop::new(ids);
        GliaIds { data: ids.as_mut_ptr(), size: ids.len(), capacity: ids.capacity() }
    }
}

/// Steps back that a regular expression may take in one search: more than a text of MAX_TEXT bytes needs, and less than
/// a second.
const MAX_RETRIES: std::ffi::c_ulong = 50_000_000;

/// Once: panics are answers here, not lines on stderr that could show a piece of a prompt; and no pattern of a tokenizer
/// may search forever.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|_| {}));
        // SAFETY: plain numbers of the library, set before any search.
        unsafe {
            onig_sys::onig_set_retry_limit_in_match(MAX_RETRIES);
            onig_sys::onig_set_retry_limit_in_search(MAX_RETRIES);
        }
    });
}

/// Runs `work`, writes its value to `out` or its failure to `error`, and never lets a panic through.
///
/// # Safety
/// `out` may be written; `error` may be written or is null.
unsafe fn guard<T>(out: *mut T, error: *mut GliaText, work: impl FnOnce() -> Result<T>) -> i32 {
    prepare();
    let result = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(match limits::gave_up(panic.as_ref()) {
            true => Failure::input("a pattern of the tokenizer takes too long over the text"),
            false => Failure::internal("the text library stopped at a fault of its own"),
        })
    });
    match result {
        Ok(value) => {
            unsafe { out.write(value) };
            0
        }
        Err(failure) => {
            let kind: Kind = failure.kind;
            if !error.is_null() {
                unsafe { error.write(failure.message.into()) };
            }
            kind as i32
        }
    }
}

/// Gives back a text.
///
/// # Safety
/// `text` came from this library and was not given back yet.
#[no_mangle]
pub unsafe extern "C" fn glia_text_free(text: GliaText) {
    if !text.data.is_null() {
        drop(unsafe { Vec::from_raw_parts(text.data, text.size, text.capacity) });
    }
}

/// Gives back ids.
///
/// # Safety
/// `ids` came from this library and was not given back yet.
#[no_mangle]
pub unsafe extern "C" fn glia_ids_free(ids: GliaIds) {
    if !ids.data.is_null() {
        drop(unsafe { Vec::from_raw_parts(ids.data, ids.size, ids.capacity) });
    }
}
