//! What the allocator keeps for the next request, and what it does not.

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

/// A block larger than this (`DEFAULT_MMAP_THRESHOLD_MAX`) is no part of a heap of glibc's, whatever it has seen freed.
const APART: usize = 32 * 1024 * 1024 + 1;

/// Bodies that are larger than this are few, and not kept.
const LARGE: usize = 1024 * 1024;

/// The capacity with which a buffer of this many bytes goes back to the kernel when it is freed, if it is large: each heap
/// would keep as many bodies as it ever had at a time, and there is one for each thread. What is not written to is no
/// memory.
pub(super) fn given_back(bytes: usize) -> usize {
    if bytes > LARGE { APART } else { bytes }
}
