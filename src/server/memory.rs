//! What the allocator keeps for the next request.

use std::hint::black_box;

/// So many bytes may be free at the end of a heap before the kernel gets them back.
const KEPT: usize = 8 * 1024 * 1024;

/// Has glibc keep memory that requests have freed. It gives a heap's free end back once that is twice as long as the
/// largest block it has seen freed (mallopt(3), `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`), 128 KiB at first: then each
/// body of a large pod would be read into memory that the kernel has to find and clear anew, an eighth of what the request
/// costs. The block is never touched, so it is no memory. Other allocators have their own ways.
pub fn keep_freed() {
    drop(black_box(Vec::<u8>::with_capacity(KEPT / 2)));
}
