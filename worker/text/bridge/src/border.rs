//! What crosses the border to C++: buffers, error codes, and the wall that stops panics.

use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

pub const OK: i32 = 0;
pub const INVALID: i32 = 1;
pub const RAISED: i32 = 2;
pub const PANIC: i32 = 3;

pub struct Failure {
    pub code: i32,
    pub message: String,
}

impl Failure {
    pub fn invalid(message: impl Into<String>) -> Self {
        Failure { code: INVALID, message: message.into() }
    }
}

#[repr(C)]
pub struct Buffer {
    data: *mut u8,
    size: usize,
}

impl From<String> for Buffer {
    fn from(text: String) -> Self {
        let (data, size) = leak(text.into_bytes());
        Buffer { data, size }
    }
}

#[repr(C)]
pub struct Ids {
    ids: *mut u32,
    type_ids: *mut u32,
    offsets: *mut u32,
    size: usize,
}

impl Ids {
    pub fn new(ids: Vec<u32>, type_ids: Option<Vec<u32>>) -> Self {
        let (ids, size) = leak(ids);
        let type_ids = type_ids.map_or(std::ptr::null_mut(), |v| {
            assert_eq!(v.len(), size);
            leak(v).0
        });
        Ids { ids, type_ids, offsets: std::ptr::null_mut(), size }
    }

    /// `offsets`: two numbers an id.
    pub fn with_offsets(mut self, offsets: Vec<u32>) -> Self {
        assert_eq!(offsets.len(), 2 * self.size);
        self.offsets = leak(offsets).0;
        self
    }
}

fn leak<T>(values: Vec<T>) -> (*mut T, usize) {
    let boxed = values.into_boxed_slice();
    let size = boxed.len();
    (Box::into_raw(boxed) as *mut T, size)
}

unsafe fn reclaim<T>(data: *mut T, size: usize) {
    if !data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)));
    }
}

/// # Safety
/// `buffer` is null or was filled by this library and not freed since.
#[no_mangle]
pub unsafe extern "C" fn tutti_buffer_free(buffer: *mut Buffer) {
    if let Some(b) = buffer.as_mut() {
        reclaim(b.data, b.size);
        *b = Buffer { data: std::ptr::null_mut(), size: 0 };
    }
}

/// # Safety
/// `ids` is null or was filled by this library and not freed since.
#[no_mangle]
pub unsafe extern "C" fn tutti_ids_free(ids: *mut Ids) {
    if let Some(i) = ids.as_mut() {
        reclaim(i.ids, i.size);
        reclaim(i.type_ids, i.size);
        reclaim(i.offsets, 2 * i.size);
        let none = std::ptr::null_mut();
        *i = Ids { ids: none, type_ids: none, offsets: none, size: 0 };
    }
}

/// # Safety
/// `data` points to `size` bytes, or `size` is 0.
pub unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// # Safety
/// As `bytes`.
pub unsafe fn text<'a>(data: *const u8, size: usize, what: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes(data, size))
        .map_err(|e| Failure::invalid(format!("{what} is not UTF-8 at byte {}", e.valid_up_to())))
}

thread_local! {
    static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body`; a panic in it becomes code PANIC. On failure `error` holds the message.
///
/// # Safety
/// `error` points to a writable Buffer.
pub unsafe fn guarded(error: *mut Buffer, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        // Keep the place for the message instead of printing to stderr.
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(|l| format!("{}:{}", short(l.file()), l.line()));
            WHERE.with(|w| *w.borrow_mut() = place.unwrap_or_default());
        }));
    });
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let what = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("panic");
            let place = WHERE.with(|w| w.borrow().clone());
            Failure { code: PANIC, message: format!("{what} ({place})") }
        }
    };
    error.write(Buffer::from(failure.message));
    failure.code
}

// The last two parts of a path: enough to find the line, and no folder of the building machine.
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.rsplit('/').take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}
